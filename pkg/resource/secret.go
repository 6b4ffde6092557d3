package resource

import (
	"errors"
	"strings"

	"github.com/heliosproxy/heliosproxy/pkg/pgmd5"
	"github.com/heliosproxy/heliosproxy/pkg/scram"
)

// SecretForm is what a user's secret is, which decides what it can prove and to whom.
type SecretForm int

// The forms of a secret.
const (
	SecretNone     SecretForm = iota // no secret, or an empty one
	SecretPassword                   // clear text: good for everything
	SecretMD5                        // PostgreSQL's md5 hash: good for md5, towards servers too
	SecretSCRAM                      // a verifier: checks clients, opens no server by itself
)

// String is the form in a word.
func (f SecretForm) String() string {
	switch f {
	case SecretPassword:
		return "password"
	case SecretMD5:
		return "md5"
	case SecretSCRAM:
		return "scram"
	}
	return "none"
}

// FormOf says what a secret is, as PostgreSQL would read it. The secret is in neither result.
func FormOf(secret string) (SecretForm, error) {
	switch {
	case secret == "":
		return SecretNone, nil
	case strings.IndexByte(secret, 0) >= 0:
		return SecretNone, errors.New("a secret has no NUL byte")
	case pgmd5.IsHash(secret):
		return SecretMD5, nil
	case strings.HasPrefix(secret, scram.Mechanism+"$"):
		_, err := scram.ParseVerifier(secret)
		return SecretSCRAM, err
	}
	return SecretPassword, nil
}
