package scram

import (
	"encoding/base64"
	"fmt"
	"io"
	"strings"
)

// attributes reads a message that is a list name=value,name=value from its front.
type attributes struct{ rest string }

// next returns the next attribute, whatever its name.
func (a *attributes) next() (name byte, value string, err error) {
	if a.rest == "" {
		return 0, "", fmt.Errorf("%w: attribute expected, but found end of string", ErrMalformed)
	}
	if name = a.rest[0]; !isLetter(name) {
		return 0, "", fmt.Errorf("%w: attribute expected, but found %q", ErrMalformed, name)
	}
	if len(a.rest) < 2 || a.rest[1] != '=' {
		return 0, "", fmt.Errorf("%w: attribute %q without %q", ErrMalformed, name, '=')
	}
	value, a.rest, _ = strings.Cut(a.rest[2:], ",")
	return name, value, nil
}

// want returns the value of the next attribute, which must have this name.
func (a *attributes) want(name byte) (string, error) {
	if a.rest != "" && a.rest[0] == 'm' {
		return "", fmt.Errorf("%w: mandatory extension %q", ErrUnsupported, 'm')
	}
	got, value, err := a.next()
	if err != nil {
		return "", err
	}
	if got != name {
		return "", fmt.Errorf("%w: expected attribute %q, but found %q", ErrMalformed, name, got)
	}
	return value, nil
}

// end reports what stands behind the last attribute of a message.
func (a *attributes) end() error {
	if a.rest != "" {
		return fmt.Errorf("%w: %d bytes behind its end", ErrMalformed, len(a.rest))
	}
	return nil
}

func isLetter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }

// isNonce reports whether s consists of what RFC 5802 calls printable.
func isNonce(s string) bool {
	for i := range len(s) {
		if s[i] < 0x21 || s[i] > 0x7e || s[i] == ',' {
			return false
		}
	}
	return s != ""
}

// newNonce makes a nonce as PostgreSQL's: 18 random bytes in base64.
func newNonce(rand io.Reader) (string, error) {
	var raw [nonceLen]byte
	if _, err := io.ReadFull(rand, raw[:]); err != nil {
		return "", fmt.Errorf("make a SCRAM nonce: %w", err)
	}
	return base64.StdEncoding.EncodeToString(raw[:]), nil
}

// channelBinding returns the attribute c of a client's last message: the header of its first one and the end point, which
// is nil without channel binding.
func channelBinding(header string, endPoint []byte) string {
	return base64.StdEncoding.EncodeToString(append([]byte(header), endPoint...))
}

// authMessage is what both sides sign: the three messages before the proof.
func authMessage(clientFirstBare, serverFirst, clientFinalWithoutProof string) string {
	return clientFirstBare + "," + serverFirst + "," + clientFinalWithoutProof
}
