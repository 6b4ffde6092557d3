package tlsconf

import (
	"crypto/tls"
	"fmt"
	"slices"
	"strings"
)

// A Problem is one reason why a spec cannot be.
type Problem struct {
	Field  string // of the spec, such as "Ciphers"
	Reason string // a clause without capital and full stop
}

// String is `Ciphers: unknown cipher "x"`.
func (p Problem) String() string { return p.Field + ": " + p.Reason }

// Check says what is wrong with the spec. It looks at no file.
func (s ServerSpec) Check() []Problem {
	if s.Mode == Disable {
		return nil
	}
	problems := s.Spec.check()
	for field, name := range map[string]string{"CertFile": s.CertFile, "KeyFile": s.KeyFile} {
		if name == "" {
			problems = append(problems, Problem{field, "a server needs a certificate and its key"})
		}
	}
	slices.SortFunc(problems, byField)
	return problems
}

// Check says what is wrong with the spec. It looks at no file.
func (s ClientSpec) Check() []Problem {
	if s.Mode == Disable {
		return nil
	}
	problems := s.Spec.check()
	add := func(field, format string, args ...any) {
		problems = append(problems, Problem{field, fmt.Sprintf(format, args...)})
	}
	if s.CertFile != "" && s.KeyFile == "" {
		add("KeyFile", "a certificate needs its key")
	}
	if s.CertFile == "" && s.KeyFile != "" {
		add("CertFile", "a key needs its certificate")
	}
	if s.CAFile == System && s.Mode != VerifyFull {
		add("Mode", "weak sslmode %q may not be used with the system's authorities: use %q", s.Mode, VerifyFull)
	}
	if s.Direct && !s.Mode.Required() {
		add("Mode", "weak sslmode %q may not be used with direct TLS: use %q, %q or %q", s.Mode, Require, VerifyCA, VerifyFull)
	}
	slices.SortFunc(problems, byField)
	return problems
}

func byField(a, b Problem) int {
	return strings.Compare(a.String(), b.String())
}

// check is what both sides check.
func (s Spec) check() []Problem {
	var problems []Problem
	add := func(field, format string, args ...any) {
		problems = append(problems, Problem{field, fmt.Sprintf(format, args...)})
	}
	if s.Mode > VerifyFull {
		add("Mode", "unknown sslmode %d", s.Mode)
	}
	if s.Mode >= VerifyCA && s.CAFile == "" {
		add("CAFile", "sslmode %q needs authorities to verify with", s.Mode)
	}
	if s.CRLFile != "" && s.CAFile == "" {
		add("CRLFile", "without authorities nothing is verified, so a revocation list is of no use")
	}
	lowest, highest, ok := s.versions(add)
	suites, known := each(s.Ciphers, "Ciphers", suiteOf, add)
	if ok && known && len(suites) > 0 && !slices.ContainsFunc(suites, func(c *tls.CipherSuite) bool {
		return slices.ContainsFunc(c.SupportedVersions, func(v uint16) bool { return v >= lowest && v <= highest })
	}) {
		if lowest == tls.VersionTLS13 {
			add("Ciphers", "only TLSv1.3 is allowed, whose ciphers cannot be chosen")
		} else {
			add("Ciphers", "none of them is of an allowed version of TLS")
		}
	}
	curves, known := each(s.Curves, "Curves", curveOf, add)
	if ok && known && len(curves) > 0 && highest < tls.VersionTLS13 && !slices.ContainsFunc(curves, isClassic) {
		add("Curves", "all of them need TLSv1.3, which is not allowed")
	}
	return problems
}

// each looks up all names; known says that all were found.
func each[T any](names []string, field string, lookup func(string) (T, error), add func(field, format string, args ...any)) (found []T, known bool) {
	known = true
	for _, name := range names {
		v, err := lookup(name)
		if err != nil {
			add(field, "%v", err)
			known = false
			continue
		}
		found = append(found, v)
	}
	return found, known
}

// versions returns the lowest and the highest version of TLS, both allowed, if there is such a range.
func (s Spec) versions(add func(field, format string, args ...any)) (lowest, highest uint16, ok bool) {
	lowest, ok1 := versionOf(s.MinVersion, tls.VersionTLS12)
	if !ok1 {
		add("MinVersion", "unknown version %q", s.MinVersion)
	}
	highest, ok2 := versionOf(s.MaxVersion, tls.VersionTLS13)
	if !ok2 {
		add("MaxVersion", "unknown version %q", s.MaxVersion)
	}
	if ok1 && ok2 && lowest > highest {
		add("MaxVersion", "no version is between a minimum of %s and a maximum of %s", versionName(lowest), versionName(highest))
		return lowest, highest, false
	}
	return lowest, highest, ok1 && ok2
}

// versionOf knows PostgreSQL's names of versions, in any case as PostgreSQL does.
func versionOf(name string, empty uint16) (version uint16, ok bool) {
	if name == "" {
		return empty, true
	}
	for v := uint16(tls.VersionTLS10); v <= tls.VersionTLS13; v++ {
		if strings.EqualFold(name, versionName(v)) {
			return v, true
		}
	}
	return 0, false
}

func versionName(v uint16) string {
	if v == tls.VersionTLS10 {
		return "TLSv1"
	}
	return fmt.Sprintf("TLSv1.%d", v-tls.VersionTLS10)
}

// suiteOf finds a cipher suite by either name.
func suiteOf(name string) (*tls.CipherSuite, error) {
	for _, c := range slices.Concat(tls.CipherSuites(), tls.InsecureCipherSuites()) {
		newest := c.SupportedVersions[0] == tls.VersionTLS13
		switch {
		case !strings.EqualFold(name, c.Name) && (newest || !strings.EqualFold(name, opensslName(c.Name))):
		case newest:
			return nil, fmt.Errorf("cipher %q is of TLSv1.3, whose ciphers cannot be chosen", name)
		case strings.Contains(c.Name, "RC4"), strings.Contains(c.Name, "3DES"): // OpenSSL 3 does not offer them either
			return nil, fmt.Errorf("cipher %q is broken", name)
		default:
			return c, nil
		}
	}
	return nil, fmt.Errorf("unknown cipher %q", name)
}

// opensslName is what OpenSSL calls a cipher suite of before TLS 1.3: TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA is ECDHE-RSA-AES128-SHA.
func opensslName(iana string) string {
	return strings.NewReplacer("TLS_RSA_WITH_", "", "TLS_", "", "_WITH_", "-", "AES_", "AES", "_CBC", "",
		"3DES_EDE_CBC", "DES-CBC3", "RC4_128", "RC4", "CHACHA20_POLY1305_SHA256", "CHACHA20-POLY1305", "_", "-").Replace(iana)
}

// curveOf finds a key exchange by the names of OpenSSL, NIST and SECG.
func curveOf(name string) (tls.CurveID, error) {
	switch strings.ToLower(name) {
	case "x25519":
		return tls.X25519, nil
	case "prime256v1", "secp256r1", "p-256":
		return tls.CurveP256, nil
	case "secp384r1", "p-384":
		return tls.CurveP384, nil
	case "secp521r1", "p-521":
		return tls.CurveP521, nil
	case "x25519mlkem768":
		return tls.X25519MLKEM768, nil
	case "secp256r1mlkem768":
		return tls.SecP256r1MLKEM768, nil
	case "secp384r1mlkem1024":
		return tls.SecP384r1MLKEM1024, nil
	}
	return 0, fmt.Errorf("unknown curve %q", name)
}

// isClassic says that versions before TLS 1.3 know the key exchange.
func isClassic(c tls.CurveID) bool {
	switch c {
	case tls.X25519, tls.CurveP256, tls.CurveP384, tls.CurveP521:
		return true
	}
	return false
}

// config returns what both roles set alike, of a spec without problems.
func (s Spec) config() *tls.Config {
	ignore := func(string, string, ...any) {}
	c := &tls.Config{
		NextProtos: []string{ALPN},
		// Results are big and come at once: small first records only cost.
		DynamicRecordSizingDisabled: true,
		Renegotiation:               tls.RenegotiateNever,
	}
	c.MinVersion, c.MaxVersion, _ = s.versions(ignore)
	suites, _ := each(s.Ciphers, "", suiteOf, ignore)
	for _, suite := range suites {
		c.CipherSuites = append(c.CipherSuites, suite.ID)
	}
	c.CurvePreferences, _ = each(s.Curves, "", curveOf, ignore)
	return c
}
