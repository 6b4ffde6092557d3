package tlsconf

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// source is a spec and the files that it names.
type source struct {
	files  *Files
	spec   Spec
	system bool // CAFile is no file but the system's authorities

	mu     sync.Mutex // one reload at a time
	stamps []stamp    // of the last reload, whether or not it went well
}

// material is what was read at one time. It does not change.
type material struct {
	cert *tls.Certificate // nil without CertFile
	cas  *authorities     // nil without CAFile
	crls *revocations     // nil without CRLFile
}

// changed says that a file is not the one that was read last.
func (s *source) changed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.ContainsFunc(s.stamps, stamp.stale)
}

// reload reads all files and hands what they hold to use, unless one of them is at fault.
func (s *source) reload(use func(*material)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := &reading{}
	m, err := s.read(r)
	s.stamps = r.stamps
	if err == nil {
		use(m)
	}
	return err
}

func (s *source) read(r *reading) (*material, error) {
	m := &material{}
	if s.spec.Mode == Disable {
		return m, nil
	}
	if err := s.readCertificate(r, m); err != nil {
		return nil, err
	}
	var err error
	if s.spec.CAFile != "" {
		if m.cas, err = s.readAuthorities(r); err != nil {
			return nil, err
		}
	}
	if s.spec.CRLFile != "" {
		content, err := r.read("certificate revocation list", s.spec.CRLFile, nil)
		if err != nil {
			return nil, err
		}
		if m.crls, err = s.files.revocations.get(content, parseRevocations); err != nil {
			return nil, fmt.Errorf("certificate revocation list file %q: %w", s.spec.CRLFile, err)
		}
	}
	return m, nil
}

func (s *source) readCertificate(r *reading, m *material) error {
	if s.spec.CertFile == "" {
		return nil
	}
	certificate, err := r.read("certificate", s.spec.CertFile, nil)
	if err != nil {
		return err
	}
	key, err := r.read("private key", s.spec.KeyFile, private)
	if err != nil {
		return err
	}
	if err := eachBlock(certificate, "CERTIFICATE", func(der []byte) error { _, err := x509.ParseCertificate(der); return err }); err != nil {
		return fmt.Errorf("certificate file %q: %w", s.spec.CertFile, err)
	}
	if key, err = openKey(key, s.spec.KeyPassword); err != nil {
		return fmt.Errorf("private key file %q: %w", s.spec.KeyFile, err)
	}
	if m.cert, err = keyPair(certificate, key); err != nil {
		return fmt.Errorf("private key file %q with certificate file %q: %w", s.spec.KeyFile, s.spec.CertFile, err)
	}
	return nil
}

func (s *source) readAuthorities(r *reading) (*authorities, error) {
	if s.system {
		return s.files.systemAuthorities()
	}
	content, err := r.read("root certificate", s.spec.CAFile, nil)
	if err != nil {
		return nil, err
	}
	cas, err := s.files.authorities.get(content, parseAuthorities)
	if err != nil {
		return nil, fmt.Errorf("root certificate file %q: %w", s.spec.CAFile, err)
	}
	return cas, nil
}

// verify says why a peer's certificate is not good at this time: an *Error, or nil if it is.
func (m *material) verify(peer []*x509.Certificate, usage x509.ExtKeyUsage, now time.Time) error {
	chains, err := m.cas.chains(peer, usage, now)
	if err != nil {
		return m.cas.explain(err, peer, now)
	}
	if m.crls == nil {
		return nil
	}
	for _, chain := range chains {
		if err = m.crls.check(chain, now); err == nil {
			return nil
		}
	}
	return err
}

// warnings are about what was loaded all the same.
func (m *material) warnings(spec Spec, now time.Time) []string {
	var out []string
	dates := func(what, file string, c *x509.Certificate) {
		switch {
		case now.After(c.NotAfter):
			out = append(out, fmt.Sprintf("%s file %q: certificate of %q has expired on %s", what, file, shortName(c.RawSubject), c.NotAfter.UTC().Format(time.RFC3339)))
		case now.Before(c.NotBefore):
			out = append(out, fmt.Sprintf("%s file %q: certificate of %q is not valid before %s", what, file, shortName(c.RawSubject), c.NotBefore.UTC().Format(time.RFC3339)))
		}
	}
	if m.cert != nil {
		dates("certificate", spec.CertFile, m.cert.Leaf)
	}
	if m.cas != nil {
		for _, c := range m.cas.certs {
			dates("root certificate", spec.CAFile, c)
		}
	}
	if m.crls != nil {
		for _, lists := range m.crls.byIssuer {
			for _, l := range lists {
				if reason := l.outdated(now); reason != "" {
					out = append(out, fmt.Sprintf("certificate revocation list file %q: %s, issuer %q", spec.CRLFile, reason, shortName(l.list.RawIssuer)))
				}
			}
		}
	}
	slices.Sort(out)
	return out
}

// refuse makes one error of problems, nil of none.
func refuse(problems []Problem) error {
	if len(problems) == 0 {
		return nil
	}
	parts := make([]string, len(problems))
	for i, p := range problems {
		parts[i] = p.String()
	}
	return errors.New("TLS: " + strings.Join(parts, "; "))
}
