package pgscript

import (
	"crypto/sha256"
	"crypto/tls"
	"fmt"
	"time"
)

// Encrypt asks for TLS and begins it. It returns what a log-in by SCRAM may be bound to, where the server's certificate is signed with
// SHA-256.
func (c *Conn) Encrypt(config *tls.Config) (endPoint []byte, err error) {
	if err := c.Send(SSLRequest()); err != nil {
		return nil, err
	}
	b, err := c.ReceiveByte()
	if err != nil {
		return nil, err
	}
	if b != 'S' {
		return nil, fmt.Errorf("the request for TLS is answered with %q", b)
	}
	if err := c.SetDeadline(time.Now().Add(Timeout)); err != nil {
		return nil, err
	}
	secure := tls.Client(c.Conn, config)
	if err := secure.Handshake(); err != nil {
		return nil, err
	}
	c.Conn = secure
	hash := sha256.Sum256(secure.ConnectionState().PeerCertificates[0].Raw)
	return hash[:], c.SetDeadline(time.Time{})
}
