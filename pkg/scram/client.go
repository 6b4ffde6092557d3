package scram

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"strings"
)

// Client logs in to one server: [Client.Select] if there is TLS, [Client.First], [Client.Salt], [Client.Final],
// [Client.Verify]. Between Salt and Final the caller finds the keys for that salt: in a cache, by [Derive], or, where there
// is no password but a ClientKey learnt from a proof, after [Keys.Match]. Not safe for concurrent use.
type Client struct {
	header      string // gs2 header
	endPoint    []byte // nil without channel binding
	nonce       string
	firstBare   string
	serverFirst string
	serverNonce string // the whole nonce of the server's message
	signature   Key    // what the server must answer; known once Final was called
	final       bool
}

// NewClient returns a Client whose nonce comes from rand. It does not bind channels unless [Client.Select] says so.
func NewClient(rand io.Reader) (*Client, error) {
	nonce, err := newNonce(rand)
	if err != nil {
		return nil, err
	}
	// As libpq does, no name: the server takes the StartupMessage's.
	return &Client{header: headerNone, nonce: nonce, firstBare: "n=,r=" + nonce}, nil
}

// First returns the client's first message.
func (c *Client) First() []byte { return []byte(c.header + c.firstBare) }

// Salt reads the server's first message and returns the salt and the number of iterations, within 1 and [MaxIterations],
// that the keys for [Client.Final] must have. The bytes of serverFirst are not kept.
func (c *Client) Salt(serverFirst []byte) (salt []byte, iterations int, err error) {
	a := attributes{string(serverFirst)}
	c.serverFirst = a.rest
	if salt, iterations, err = c.readChallenge(&a); err != nil {
		return nil, 0, fmt.Errorf("server's first message: %w", err)
	}
	return salt, iterations, nil
}

func (c *Client) readChallenge(a *attributes) (salt []byte, iterations int, err error) {
	nonce, err := a.want('r')
	if err != nil {
		return nil, 0, err
	}
	if !isNonce(nonce) || !strings.HasPrefix(nonce, c.nonce) || len(nonce) == len(c.nonce) {
		return nil, 0, fmt.Errorf("%w: nonce does not go on from the client's", ErrMalformed)
	}
	text, err := a.want('s')
	if err != nil {
		return nil, 0, err
	}
	if salt, err = decodeBase64(text); err != nil || len(salt) == 0 {
		return nil, 0, fmt.Errorf("%w: salt is not base64", ErrMalformed)
	}
	if text, err = a.want('i'); err != nil {
		return nil, 0, err
	}
	if iterations, err = parseIterations(text); err != nil {
		return nil, 0, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	if err = a.end(); err != nil {
		return nil, 0, err
	}
	c.serverNonce = nonce
	return salt, iterations, nil
}

// Final returns the client's last message. The keys belong to the password, salt and iterations; serverKey may also be
// what the server is known to store, when clientKey was learnt from a client's proof. Only after [Client.Salt].
func (c *Client) Final(clientKey ClientKey, serverKey Key) []byte {
	withoutProof := "c=" + channelBinding(c.header, c.endPoint) + ",r=" + c.serverNonce
	auth := authMessage(c.firstBare, c.serverFirst, withoutProof)
	stored := sha256.Sum256(clientKey[:])
	proof := Key(clientKey).xor(mac(stored[:], auth))
	c.signature, c.final = mac(serverKey[:], auth), true
	return []byte(withoutProof + ",p=" + base64.StdEncoding.EncodeToString(proof[:]))
}

// Verify reads the server's last message. [ErrFailed] says that the server knows the verifier no better than a stranger,
// or that it gave an error instead.
func (c *Client) Verify(serverFinal []byte) error {
	if !c.final {
		return fmt.Errorf("server's final message: %w: no client's final message before it", ErrMalformed)
	}
	a := attributes{string(serverFinal)}
	if strings.HasPrefix(a.rest, "e=") {
		_, reason, _ := a.next()
		return fmt.Errorf("%w: server says %q", ErrFailed, reason)
	}
	value, err := a.want('v')
	if err != nil {
		return fmt.Errorf("server's final message: %w", err)
	}
	var signature Key
	if !signature.decode(value) {
		return fmt.Errorf("server's final message: %w: signature is not 32 bytes in base64", ErrMalformed)
	}
	if err = a.end(); err != nil {
		return fmt.Errorf("server's final message: %w", err)
	}
	if !hmac.Equal(signature[:], c.signature[:]) {
		return fmt.Errorf("%w: server's signature is wrong", ErrFailed)
	}
	return nil
}
