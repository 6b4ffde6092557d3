// Package users is who may log in: what the configuration says, and what databases have said. It never asks anybody, and shows no secret.
package users

import (
	"sync/atomic"

	"github.com/heliosproxy/heliosproxy/pkg/pgmd5"
	"github.com/heliosproxy/heliosproxy/pkg/scram"
)

// User is somebody who may log in. Any thread may use it.
type User struct {
	Name   string
	secret string // a password, an md5 hash or a SCRAM verifier
	proves bool   // it is a verifier
	keys   atomic.Pointer[scram.Keys]
}

// New makes a user with a secret that is a password, an md5 hash or a SCRAM verifier; an empty one lets nobody in by a
// password.
func New(name, secret string) (*User, error) {
	u := &User{Name: name, secret: secret}
	if scram.IsVerifier(secret) {
		k, err := scram.ParseVerifier(secret)
		if err != nil {
			return nil, err
		}
		u.proves = true
		u.keys.Store(&k)
	}
	return u, nil
}

// Secret returns the secret; empty is none.
func (u *User) Secret() string { return u.secret }

// HasMD5 says whether the secret is an md5 hash.
func (u *User) HasMD5() bool { return pgmd5.IsHash(u.secret) }

// HasVerifier says whether the secret is a SCRAM verifier. Nobody has none.
func (u *User) HasVerifier() bool { return u != nil && u.proves }

// Kind says what the secret is: "scram", "md5", "password" or "none".
func (u *User) Kind() string {
	switch {
	case u.secret == "":
		return "none"
	case u.HasVerifier():
		return "scram"
	case u.HasMD5():
		return "md5"
	}
	return "password"
}

// Keys returns what a proof of SCRAM is checked with; nil where that is not made yet, see [User.Stretch], or cannot be.
func (u *User) Keys() *scram.Keys { return u.keys.Load() }

// Verifier is Keys of who has a verifier; nil for others.
func (u *User) Verifier() *scram.Keys {
	if !u.HasVerifier() {
		return nil
	}
	return u.keys.Load()
}

// Stretch makes the keys of a password, which takes milliseconds. Who comes first makes them for all. The salt is the one that
// somebody of that name would get who is not there, of whom mockSecret makes it.
func (u *User) Stretch(mockSecret string) {
	mock := scram.MockKeys(mockSecret, u.Name)
	k, _ := scram.Derive(u.secret, mock.Salt, mock.Iterations)
	u.keys.CompareAndSwap(nil, &k)
}

// String is the name: the secret is not shown.
func (u *User) String() string { return u.Name }

// GoString hides the secret from %#v.
func (u *User) GoString() string { return u.Name }
