package scram

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// Server checks one client: [Server.Select] if there is TLS, [Server.First], then [Server.Final]. They cost microseconds.
// Not safe for concurrent use.
type Server struct {
	keys Keys
	rand io.Reader

	offered  bool   // channel binding was
	endPoint []byte // nil unless the client has chosen channel binding

	header      string // gs2 header of the client's first message
	clientFirst string // the rest of it
	serverFirst string
	nonce       string // the client's and ours; empty until First has succeeded
}

// NewServer returns a Server that accepts who holds the password of k; rand gives its nonce. Channel binding is not offered
// unless [Server.Select] says so.
func NewServer(k Keys, rand io.Reader) *Server { return &Server{keys: k, rand: rand} }

// First reads the client's first message and returns the challenge. The bytes of clientFirst are not kept.
func (s *Server) First(clientFirst []byte) ([]byte, error) {
	message, err := fromClient(clientFirst)
	if err != nil {
		return nil, err
	}
	clientNonce, err := s.readFirst(message)
	if err != nil {
		return nil, fmt.Errorf("client's first message: %w", err)
	}
	serverNonce, err := newNonce(s.rand)
	if err != nil {
		return nil, err
	}
	return s.challenge(clientNonce + serverNonce), nil
}

// readFirst reads gs2-header client-first-message-bare and returns the client's nonce. The name is read over: the one
// that counts stood in the StartupMessage.
func (s *Server) readFirst(message string) (nonce string, err error) {
	rest, err := s.readFlag(message)
	switch {
	case err != nil:
		return "", err
	case strings.HasPrefix(rest, "a"):
		return "", fmt.Errorf("%w: authorization identity", ErrUnsupported)
	case !strings.HasPrefix(rest, ","):
		return "", fmt.Errorf("%w: no comma behind the channel-binding flag", ErrMalformed)
	}
	s.clientFirst = rest[1:]
	s.header = strings.TrimSuffix(message, s.clientFirst)

	a := attributes{s.clientFirst}
	if _, err = a.want('n'); err != nil {
		return "", err
	}
	if nonce, err = a.want('r'); err != nil {
		return "", err
	}
	if !isNonce(nonce) {
		return "", fmt.Errorf("%w: nonce is empty or not printable", ErrMalformed)
	}
	for a.rest != "" { // optional extensions
		if _, _, err = a.next(); err != nil {
			return "", err
		}
	}
	return nonce, nil
}

func (s *Server) challenge(nonce string) []byte {
	s.nonce = nonce
	s.serverFirst = "r=" + nonce +
		",s=" + base64.StdEncoding.EncodeToString(s.keys.Salt) +
		",i=" + strconv.Itoa(s.keys.Iterations)
	return []byte(s.serverFirst)
}

// Final checks the client's proof and returns the last message together with the ClientKey, with which the proxy can log
// in wherever the same verifier is stored. The error is [ErrFailed] alike for a wrong password and an unknown user.
func (s *Server) Final(clientFinal []byte) (serverFinal []byte, key ClientKey, err error) {
	message, err := fromClient(clientFinal)
	if err != nil {
		return nil, ClientKey{}, err
	}
	proof, withoutProof, err := s.readFinal(message)
	if err != nil {
		return nil, ClientKey{}, fmt.Errorf("client's final message: %w", err)
	}
	auth := authMessage(s.clientFirst, s.serverFirst, withoutProof)
	key = ClientKey(proof.xor(mac(s.keys.StoredKey[:], auth)))
	stored := sha256.Sum256(key[:])
	if fits := hmac.Equal(stored[:], s.keys.StoredKey[:]); !fits || s.keys.mock {
		return nil, ClientKey{}, ErrFailed
	}
	signature := mac(s.keys.ServerKey[:], auth)
	return base64.StdEncoding.AppendEncode([]byte("v="), signature[:]), key, nil
}

// readFinal reads channel-binding "," nonce ["," extensions] "," proof and returns the proof and what stands before it.
func (s *Server) readFinal(message string) (proof Key, withoutProof string, err error) {
	if s.nonce == "" {
		return Key{}, "", fmt.Errorf("%w: no first message before it", ErrMalformed)
	}
	a := attributes{message}
	binding, err := a.want('c')
	if err != nil {
		return Key{}, "", err
	}
	if err = s.checkBinding(binding); err != nil {
		return Key{}, "", err
	}
	nonce, err := a.want('r')
	if err != nil {
		return Key{}, "", err
	}
	if !hmac.Equal([]byte(nonce), []byte(s.nonce)) {
		return Key{}, "", fmt.Errorf("%w: nonce does not match", ErrMalformed)
	}
	for {
		before := len(message) - len(a.rest) - 1 // without the comma
		name, value, err := a.next()
		if err != nil {
			return Key{}, "", err
		}
		if name != 'p' {
			continue
		}
		if !proof.decode(value) {
			return Key{}, "", fmt.Errorf("%w: proof is not 32 bytes in base64", ErrMalformed)
		}
		return proof, message[:before], a.end()
	}
}

// fromClient copies a client's message out of the caller's buffer, if PostgreSQL would look at it at all.
func fromClient(message []byte) (string, error) {
	switch {
	case len(message) == 0:
		return "", fmt.Errorf("%w: it is empty", ErrMalformed)
	case len(message) > MaxMessage:
		return "", fmt.Errorf("%w: %d bytes, more than %d", ErrMalformed, len(message), MaxMessage)
	case bytes.IndexByte(message, 0) >= 0:
		return "", fmt.Errorf("%w: it holds a zero byte", ErrMalformed)
	}
	return string(message), nil
}
