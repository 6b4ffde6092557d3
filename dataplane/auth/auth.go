// Package auth finds out whether a client is who it says. It never does I/O and never waits: a step takes a message and gives the bytes to send, and what would hold up a loop is handed back as work for a goroutine.
package auth

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/binary"
	"strings"
	"sync/atomic"

	"github.com/heliosproxy/heliosproxy/pkg/pgerr"
	"github.com/heliosproxy/heliosproxy/pkg/pgmd5"
	"github.com/heliosproxy/heliosproxy/pkg/pgwire"
	"github.com/heliosproxy/heliosproxy/pkg/scram"
)

// Method is how clients prove who they are.
type Method uint8

// Methods. LocalOnly is what holds when nothing was said: those on this machine are let in under any name.
const (
	LocalOnly Method = iota
	Trust
	Password
	MD5
	SCRAM
)

// NeedsUser says whether only users that the configuration names may log in.
func (m Method) NeedsUser() bool { return m >= Password }

// User is somebody who may log in. Any thread may use it.
type User struct {
	Name   string
	secret string // a password, an md5 hash or a SCRAM verifier
	keys   atomic.Pointer[scram.Keys]
}

// NewUser makes a user with a secret that is a password, an md5 hash or a SCRAM verifier; an empty one
// lets nobody in by a password.
func NewUser(name, secret string) (*User, error) {
	u := &User{Name: name, secret: secret}
	if scram.IsVerifier(secret) {
		k, err := scram.ParseVerifier(secret)
		if err != nil {
			return nil, err
		}
		u.keys.Store(&k)
	}
	return u, nil
}

func (u *User) isMD5() bool      { return pgmd5.IsHash(u.secret) }
func (u *User) isVerifier() bool { return scram.IsVerifier(u.secret) }

// Step is what an exchange wants next.
type Step struct {
	Reply []byte // to be sent
	// Done says that the client is who it says. Reply goes together with what follows.
	Done bool
	// Work, if set, is done outside the loop; then Resume is called.
	Work func()
	Err  *pgerr.Error
}

// Exchange is the proof of one client. The zero Exchange is not one.
type Exchange struct {
	name   string
	user   *User // nil: there is no such user, which the client must not notice
	mock   string
	method Method
	salt   [4]byte
	server *scram.Server
	first  []byte // the client's, while the keys are made
	proved bool   // the work's outcome
	phase  uint8
}

// Begin asks for a proof. local says that the client is on this machine; mockSecret is what unknown users'
// salts are made from.
func Begin(m Method, name string, u *User, local bool, mockSecret string) (*Exchange, Step) {
	x := &Exchange{name: name, user: u, method: m, mock: mockSecret}
	switch m {
	case Trust:
		return x, Step{Done: true}
	case LocalOnly:
		if local {
			return x, Step{Done: true}
		}
		return x, Step{Err: pgerr.New(pgerr.DoorClosed)}
	case Password:
		return x, Step{Reply: pgwire.AppendAuthentication(nil, pgwire.AuthCleartext, nil)}
	case MD5:
		if u == nil || !u.isVerifier() {
			rand.Read(x.salt[:])
			return x, Step{Reply: pgwire.AppendAuthentication(nil, pgwire.AuthMD5, x.salt[:])}
		}
	}
	x.method = SCRAM
	return x, Step{Reply: pgwire.AppendAuthentication(nil, pgwire.AuthSASL, []byte(scram.Mechanism+"\x00\x00"))}
}

func (x *Exchange) denied() Step { return Step{Err: pgerr.New(pgerr.AuthenticationFailed, x.name)} }

// Step takes the body of a password message.
func (x *Exchange) Step(body []byte) Step {
	switch x.method {
	case Password:
		pw, rest, ok := pgwire.CString(body)
		if !ok || len(rest) > 0 {
			return Step{Err: pgerr.New(pgerr.ProtocolViolation, "invalid password packet size")}
		}
		return x.password(string(pw))
	case MD5:
		return x.md5(body)
	default:
		return x.scram(body)
	}
}

func (x *Exchange) password(pw string) Step {
	u := x.user
	switch {
	case u == nil || u.secret == "" || pw == "":
		return x.denied()
	case u.isVerifier():
		keys := u.keys.Load()
		return Step{Work: func() {
			k, _ := scram.Derive(pw, keys.Salt, keys.Iterations)
			x.proved = subtle.ConstantTimeCompare(k.StoredKey[:], keys.StoredKey[:]) == 1
		}}
	case u.isMD5():
		x.proved = equal(pgmd5.Hash(pw, u.Name), u.secret)
	default:
		x.proved = equal(pw, u.secret)
	}
	return x.Resume()
}

func (x *Exchange) md5(body []byte) Step {
	u := x.user
	if u == nil || u.secret == "" {
		return x.denied()
	}
	stored := u.secret
	if !u.isMD5() {
		stored = pgmd5.Hash(stored, u.Name)
	}
	got, _, ok := pgwire.CString(body)
	x.proved = ok && equal(string(got), pgmd5.Salted(stored, x.salt[:]))
	return x.Resume()
}

func equal(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

// Resume goes on after the work was done.
func (x *Exchange) Resume() Step {
	switch {
	case x.method == SCRAM:
		return x.challenge()
	case x.proved:
		return Step{Done: true}
	}
	return x.denied()
}

// scram takes the two messages of a SCRAM exchange.
func (x *Exchange) scram(body []byte) Step {
	x.phase++
	if x.phase > 1 {
		final, _, err := x.server.Final(body)
		if err != nil {
			return Step{Err: pgerr.New(pgerr.AuthenticationFailed, x.name).Because(err)}
		}
		return Step{Done: true, Reply: pgwire.AppendAuthentication(nil, pgwire.AuthSASLFinal, final)}
	}
	mech, rest, ok := pgwire.CString(body)
	if !ok || string(mech) != scram.Mechanism || len(rest) < 4 || int(int32(binary.BigEndian.Uint32(rest))) != len(rest)-4 {
		return Step{Err: pgerr.New(pgerr.ProtocolViolation, "malformed SASL initial response, or a mechanism that was not offered")}
	}
	x.first = append([]byte(nil), rest[4:]...)
	u := x.user
	if u != nil && u.secret != "" && !u.isMD5() && u.keys.Load() == nil {
		return Step{Work: func() {
			k, _ := scram.NewKeys(u.secret)
			u.keys.CompareAndSwap(nil, &k)
		}}
	}
	return x.challenge()
}

// challenge answers the first message. A user who has no keys gets a challenge that nobody can meet.
func (x *Exchange) challenge() Step {
	var keys scram.Keys
	if x.user != nil && x.user.keys.Load() != nil {
		keys = *x.user.keys.Load()
	} else {
		keys = scram.MockKeys(x.mock, x.name)
	}
	x.server = scram.NewServer(keys, rand.Reader)
	first, err := x.server.First(x.first)
	if err != nil {
		return Step{Err: pgerr.New(pgerr.ProtocolViolation, strings.TrimSpace(err.Error()))}
	}
	return Step{Reply: pgwire.AppendAuthentication(nil, pgwire.AuthSASLContinue, first)}
}
