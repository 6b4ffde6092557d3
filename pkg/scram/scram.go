// Package scram is SCRAM-SHA-256 as PostgreSQL speaks it (RFC 5802 and 7677), for both roles: bytes in, bytes out. It never does I/O, and never hashes a password but in [Derive] and [NewKeys], which cost milliseconds and may run in a goroutine.
//
// Over TLS both roles also speak SCRAM-SHA-256-PLUS, which binds the exchange to the server's certificate
// (tls-server-end-point, RFC 5929): they are told the certificate's hash, the end point, by [Client.Select] and
// [Server.Select]. A role whose Select was not called is on a connection without TLS.
package scram

import (
	"bytes"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

const (
	// Mechanism and MechanismPlus, the one with channel binding, are the names in AuthenticationSASL and SASLInitialResponse.
	Mechanism     = "SCRAM-SHA-256"
	MechanismPlus = "SCRAM-SHA-256-PLUS"
	// DefaultIterations and SaltLen are what PostgreSQL uses for a new verifier.
	DefaultIterations = 4096
	SaltLen           = 16
	// MaxIterations bounds what a verifier or a server may ask for: 1,000,000 rounds are some tenths of a second of a CPU, for each
	// connection that a server is asked for (CVE-2026-6669).
	MaxIterations = 1_000_000
	// MaxMessage is the longest message in bytes that PostgreSQL reads from a client during an exchange, and so does [Server].
	MaxMessage = 1024

	nonceLen = 18 // random bytes, before base64
)

// With each error that a [Server] returns stands the SQLSTATE under which PostgreSQL reports the same.
var (
	// ErrFailed reports that the peer does not hold the secret: a wrong password, or a user that does not exist. 28P01.
	ErrFailed = errors.New("SCRAM authentication failed")
	// ErrMalformed reports a message that breaks the grammar or the order of the exchange. 08P01.
	ErrMalformed = errors.New("malformed SCRAM message")
	// ErrUnsupported reports a message that is right but asks for what is not offered. 0A000.
	ErrUnsupported = errors.New("unsupported SCRAM feature")
	// ErrNegotiation reports that the peers differ about whether channel binding was offered: somebody between them may
	// have changed the list of mechanisms. 28000.
	ErrNegotiation = errors.New("SCRAM channel binding negotiation error")
	// ErrBinding reports a client that sees another server certificate than the server has: somebody is between them. 28000.
	ErrBinding = errors.New("SCRAM channel binding check failed")
	// ErrVerifier reports a stored secret that is not a SCRAM verifier.
	ErrVerifier = errors.New("not a SCRAM-SHA-256 verifier")
	// ErrOtherVerifier reports a server that stores another verifier than the one a [ClientKey] belongs to.
	ErrOtherVerifier = errors.New("the server stores another SCRAM verifier")
)

// Key is an HMAC-SHA-256 key or a SHA-256 hash.
type Key [sha256.Size]byte

// Keys are what a server stores of a password. With them clients can be checked, but nobody can be logged in to a server.
type Keys struct {
	Salt       []byte
	Iterations int
	StoredKey  Key // the hash of the ClientKey
	ServerKey  Key // proves to the client that the server knows the verifier

	mock bool // no password fits, whatever the proof
}

// ClientKey is what a client needs to log in besides a server's challenge; it is worth as much as the password.
type ClientKey Key

// String hides the key from logs.
func (ClientKey) String() string { return "[redacted]" }

// GoString hides the key from %#v.
func (ClientKey) GoString() string { return "[redacted]" }

// ParseVerifier reads a secret of PostgreSQL's pg_authid: SCRAM-SHA-256$iterations:salt$StoredKey:ServerKey.
// An error wraps [ErrVerifier] and never shows the secret.
func ParseVerifier(s string) (Keys, error) {
	rest, ok := strings.CutPrefix(s, Mechanism+"$")
	if !ok {
		return Keys{}, fmt.Errorf("%w: it does not begin with %s$", ErrVerifier, Mechanism)
	}
	head, keys, ok := strings.Cut(rest, "$")
	iterations, salt, ok1 := strings.Cut(head, ":")
	stored, server, ok2 := strings.Cut(keys, ":")
	if !ok || !ok1 || !ok2 {
		return Keys{}, fmt.Errorf("%w: want iterations:salt$StoredKey:ServerKey", ErrVerifier)
	}
	var k Keys
	var err error
	if k.Iterations, err = parseIterations(iterations); err != nil {
		return Keys{}, fmt.Errorf("%w: iteration count is not within 1 and %d", ErrVerifier, MaxIterations)
	}
	if k.Salt, err = decodeBase64(salt); err != nil || len(k.Salt) == 0 {
		return Keys{}, fmt.Errorf("%w: salt is not base64", ErrVerifier)
	}
	if !k.StoredKey.decode(stored) {
		return Keys{}, fmt.Errorf("%w: StoredKey is not 32 bytes in base64", ErrVerifier)
	}
	if !k.ServerKey.decode(server) {
		return Keys{}, fmt.Errorf("%w: ServerKey is not 32 bytes in base64", ErrVerifier)
	}
	return k, nil
}

// IsVerifier tells a verifier from a password. As in PostgreSQL, what only looks like one is a password.
func IsVerifier(s string) bool {
	_, err := ParseVerifier(s)
	return err == nil
}

// String returns the verifier. It is a secret, though less than the password.
func (k Keys) String() string {
	b64 := base64.StdEncoding.EncodeToString
	return Mechanism + "$" + strconv.Itoa(k.Iterations) + ":" + b64(k.Salt) +
		"$" + b64(k.StoredKey[:]) + ":" + b64(k.ServerKey[:])
}

// Match returns [ErrOtherVerifier] unless salt and iterations, as [Client.Salt] returned them, are those of k: with another
// salt or count a ClientKey that belongs to k is not the server's. Where they are the same and only the password is
// another one, only the server can tell.
func (k Keys) Match(salt []byte, iterations int) error {
	switch {
	case !bytes.Equal(salt, k.Salt):
		return fmt.Errorf("%w: its salt is another", ErrOtherVerifier)
	case iterations != k.Iterations:
		return fmt.Errorf("%w: it has %d iterations, not %d", ErrOtherVerifier, iterations, k.Iterations)
	}
	return nil
}

// Derive computes the keys of a password, which takes some milliseconds at 4096 iterations and grows with them.
// It keeps salt, which must not change afterwards; iterations is at least 1.
func Derive(password string, salt []byte, iterations int) (Keys, ClientKey) {
	// The error is for lengths that are no hash's, and for a FIPS mode that wants longer salts: neither can be served.
	salted, err := pbkdf2.Key(sha256.New, prepare(password), salt, iterations, sha256.Size)
	if err != nil {
		panic(fmt.Sprintf("scram: derive keys: %v", err))
	}
	client := ClientKey(mac(salted, "Client Key"))
	return Keys{
		Salt:       salt,
		Iterations: iterations,
		StoredKey:  sha256.Sum256(client[:]),
		ServerKey:  mac(salted, "Server Key"),
	}, client
}

// NewKeys is [Derive] with a random salt and PostgreSQL's number of iterations.
func NewKeys(password string) (Keys, ClientKey) {
	salt := make([]byte, SaltLen)
	rand.Read(salt) // never fails
	return Derive(password, salt, DefaultIterations)
}

// MockKeys returns keys for a user that does not exist: always the same ones for a secret and name, so that an
// observer who lacks the secret cannot tell them from a real user's. No proof fits them.
func MockKeys(secret, user string) Keys {
	salt := mac([]byte(secret), "salt of "+user)
	return Keys{
		Salt:       salt[:SaltLen],
		Iterations: DefaultIterations,
		StoredKey:  mac([]byte(secret), "stored key of "+user),
		ServerKey:  mac([]byte(secret), "server key of "+user),
		mock:       true,
	}
}

// mac returns HMAC(key, message) by RFC 2104. It is crypto/hmac without the allocations, which are a fifth of a log-in's.
func mac(key []byte, message string) Key {
	const block = sha256.BlockSize
	if len(key) > block {
		sum := sha256.Sum256(key)
		key = sum[:]
	}
	var space [1024]byte // on the stack, as usual messages are shorter
	var inner, outer [block]byte
	copy(inner[:], key)
	outer = inner
	for i := range block {
		inner[i] ^= 0x36
		outer[i] ^= 0x5c
	}
	sum := sha256.Sum256(append(append(space[:0], inner[:]...), message...))
	return sha256.Sum256(append(append(space[:0], outer[:]...), sum[:]...))
}

// decode reads exactly 32 bytes of base64 into k.
func (k *Key) decode(s string) bool {
	var encoded [44]byte
	if len(s) != len(encoded) || strings.ContainsAny(s, "\r\n") {
		return false
	}
	copy(encoded[:], s)
	var b [len(encoded) / 4 * 3]byte
	n, err := base64.StdEncoding.Strict().Decode(b[:], encoded[:])
	return err == nil && n == len(k) && copy(k[:], b[:]) == len(k)
}

// xor returns k XOR with, which makes a proof of a key and the key of a proof.
func (k Key) xor(with Key) Key {
	for i := range k {
		k[i] ^= with[i]
	}
	return k
}

// decodeBase64 is the standard decoding without the newlines that Go's lets pass.
func decodeBase64(s string) ([]byte, error) {
	if i := strings.IndexAny(s, "\r\n"); i >= 0 {
		return nil, base64.CorruptInputError(i)
	}
	return base64.StdEncoding.Strict().DecodeString(s)
}

// parseIterations reads an iteration count within bounds.
func parseIterations(s string) (int, error) {
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 || n > MaxIterations {
		return 0, fmt.Errorf("iteration count %q is not within 1 and %d", s, MaxIterations)
	}
	return n, nil
}
