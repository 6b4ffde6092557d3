package tlsconf

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"sync/atomic"
)

// A Server is TLS towards clients. Several goroutines may use it.
type Server struct {
	source source
	now    atomic.Pointer[serving]
	config *tls.Config // points to now; nil in mode Disable
}

// serving is what new connections get.
type serving struct {
	*material
	config *tls.Config
	// tickets has the keys of session tickets, which crypto/tls makes and changes every day.
	tickets *tls.Config
}

// LoadServer reads the files that a spec names. An error names the file, or the fields at fault.
func (f *Files) LoadServer(spec ServerSpec) (*Server, error) {
	if err := refuse(spec.Check()); err != nil {
		return nil, err
	}
	s := &Server{source: source{files: f, spec: spec.Spec}}
	if spec.Mode.Offered() {
		s.config = &tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return s.now.Load().config, nil }}
	}
	if err := s.Reload(); err != nil {
		return nil, err
	}
	return s, nil
}

// Mode is the spec's.
func (s *Server) Mode() Mode { return s.source.spec.Mode }

// Changed says that a file is not the one that was read last, whether or not that went well. It asks the file system about each file and reads none.
func (s *Server) Changed() bool { return s.source.changed() }

// Reload reads all files again. New connections get what they hold, open ones keep what they have. After an error, which names the file, everything stays as it was.
func (s *Server) Reload() error {
	return s.source.reload(func(m *material) { s.now.Store(s.serve(m, s.now.Load())) })
}

// Warnings says what is wrong now with what was loaded all the same: certificates and revocation lists whose time is over, or has not come.
func (s *Server) Warnings() []string {
	return s.now.Load().warnings(s.source.spec, s.source.files.now())
}

// Config is for crypto/tls.Server, once or for any number of connections: each gets what was loaded last. It is nil in mode [Disable], and not to be changed.
func (s *Server) Config() *tls.Config { return s.config }

// Current is [Server.Config] as it is now, with the certificate that it presents: for one connection that may bind channels (see [EndPoint]). Both are not to be
// changed, and nil in mode [Disable].
func (s *Server) Current() (*tls.Config, *x509.Certificate) {
	now := s.now.Load()
	if now.config == nil {
		return nil, nil
	}
	return now.config, now.cert.Leaf
}

// serve makes what new connections get. Tickets of before are good as long as the proxy's certificate is the same, which channels are bound to, and so are the authorities.
func (s *Server) serve(m *material, before *serving) *serving {
	if s.config == nil {
		return &serving{material: m}
	}
	tickets := &tls.Config{Time: s.source.files.now}
	if before != nil && before.cas == m.cas && before.cert.Leaf.Equal(m.cert.Leaf) {
		tickets = before.tickets
	}
	config := s.source.spec.config()
	config.Time = s.source.files.now
	config.Certificates = []tls.Certificate{*m.cert}
	config.WrapSession, config.UnwrapSession = tickets.EncryptTicket, tickets.DecryptTicket
	if m.cas != nil {
		config.ClientAuth = tls.RequestClientCert // and Verify looks at it
		config.ClientCAs = m.cas.all              // a client may choose a certificate that fits
	}
	return &serving{m, config, tickets}
}

// Verify says why the client of a connection is refused for its certificate; nil if it is not. With a CAFile, one that is there must be good, and from [VerifyCA] on
// there must be one. The handshake leaves that to whoever lets the client in, who can tell it the reason in words: it is to be called for every connection, with
// the state after the handshake, and looks with what was loaded last, at resumed sessions too. It verifies signatures, so it takes up to some milliseconds.
func (s *Server) Verify(cs tls.ConnectionState) *Error {
	now := s.now.Load()
	switch {
	case now.cas == nil:
		return nil
	case len(cs.PeerCertificates) > 0:
		var e *Error
		if err := now.verify(cs.PeerCertificates, x509.ExtKeyUsageClientAuth, s.source.files.now()); err != nil && !errors.As(err, &e) {
			return &Error{Reason: err.Error()}
		}
		return e
	case s.source.spec.Mode >= VerifyCA:
		return &Error{Reason: "peer did not return a certificate"}
	}
	return nil
}

// CheckDirect says why a connection that began with TLS, without an SSLRequest before it, is refused: as with PostgreSQL, the client must have named [ALPN].
// It wants the state after the handshake.
func CheckDirect(cs tls.ConnectionState) error {
	if cs.NegotiatedProtocol != ALPN {
		return &Error{Reason: "received direct SSL connection request without ALPN protocol negotiation extension"}
	}
	return nil
}
