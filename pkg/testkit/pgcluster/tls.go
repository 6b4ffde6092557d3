package pgcluster

import (
	"os"
	"path/filepath"
	"testing"
)

// SpeakTLS makes the server speak TLS from now on, with a certificate and its key, and ask clients for certificates that ca
// has signed; PEM, and nil asks for none. The server is started anew.
func (s *Server) SpeakTLS(t testing.TB, cert, key, ca []byte) {
	t.Helper()
	for name, content := range map[string][]byte{"server.crt": cert, "server.key": key, "root.crt": ca} {
		path := filepath.Join(s.dir, name)
		s.must(t, "write", os.WriteFile(path, content, 0o600))
		s.must(t, "write", s.in.own(path))
	}
	set := []string{"alter system set ssl_cert_file = 'server.crt'", "alter system set ssl_key_file = 'server.key'", "alter system set ssl = on"}
	if ca != nil {
		set = append(set, "alter system set ssl_ca_file = 'root.crt'")
	}
	s.Exec(t, set...)
	s.Stop(t)
	s.Start(t)
}
