package tlsconf

import (
	"crypto/tls"
	"crypto/x509"
	"sync/atomic"
)

// A Client is TLS towards servers. Several goroutines may use it.
type Client struct {
	source source
	spec   ClientSpec
	now    atomic.Pointer[material]
}

// LoadClient reads the files that a spec names. An error names the file, or the fields at fault.
func (f *Files) LoadClient(spec ClientSpec) (*Client, error) {
	if err := refuse(spec.Check()); err != nil {
		return nil, err
	}
	c := &Client{source: source{files: f, spec: spec.Spec, system: spec.CAFile == System}, spec: spec}
	if err := c.Reload(); err != nil {
		return nil, err
	}
	return c, nil
}

// Mode is the spec's.
func (c *Client) Mode() Mode { return c.spec.Mode }

// Direct is the spec's: TLS begins without an SSLRequest.
func (c *Client) Direct() bool { return c.spec.Direct }

// Changed says that a file is not the one that was read last, whether or not that went well. It asks the file system about each file and reads none.
func (c *Client) Changed() bool { return c.source.changed() }

// Reload reads all files again. Handshakes from now on use what they hold, open connections keep what they have. After an error, which names the file,
// everything stays as it was.
func (c *Client) Reload() error { return c.source.reload(c.now.Store) }

// Warnings says what is wrong now with what was loaded all the same: certificates and revocation lists whose time is over, or has not come.
func (c *Client) Warnings() []string {
	return c.now.Load().warnings(c.source.spec, c.source.files.now())
}

// Config is for crypto/tls.Client, once or for any number of connections to a host, by the name or address that it is configured with: each uses what was loaded last.
// A server that is refused makes the handshake fail with an [*Error]. It is nil in mode [Disable]; otherwise it is the caller's.
func (c *Client) Config(host string) *tls.Config {
	if c.spec.Mode == Disable {
		return nil
	}
	config := c.spec.config()
	config.Time = c.source.files.now
	if c.spec.SNI {
		config.ServerName = host // of which crypto/tls sends a name, but no address
	}
	config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		if cert := c.now.Load().cert; cert != nil {
			return cert, nil
		}
		return &tls.Certificate{}, nil
	}
	// crypto/tls knows other rules for names, and no mode that looks at the chain alone.
	config.InsecureSkipVerify = true
	config.VerifyConnection = func(cs tls.ConnectionState) error { return c.verify(cs, host) }
	return config
}

func (c *Client) verify(cs tls.ConnectionState, host string) error {
	if c.spec.verifies() {
		if err := c.now.Load().verify(cs.PeerCertificates, x509.ExtKeyUsageServerAuth, c.source.files.now()); err != nil {
			return err
		}
	}
	if c.spec.Direct && cs.NegotiatedProtocol != ALPN {
		return &Error{Reason: "direct SSL connection was established without ALPN protocol negotiation extension"}
	}
	if c.spec.Mode == VerifyFull {
		if reason := checkHost(cs.PeerCertificates[0], host); reason != "" {
			return &Error{Reason: reason}
		}
	}
	return nil
}

// verifies says that the server's certificate is looked at.
func (s ClientSpec) verifies() bool {
	return s.Mode >= VerifyCA || s.Mode == Require && s.CAFile != ""
}
