package tlsconf

import (
	"crypto/tls"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

func TestMode(t *testing.T) {
	for m := Disable; m <= VerifyFull; m++ {
		if got, err := ParseMode(m.String()); got != m || err != nil {
			t.Errorf("%s reads as %s, %v", m, got, err)
		}
	}
	for _, s := range []string{"", "Require", "verify", "Mode(6)"} {
		if _, err := ParseMode(s); err == nil {
			t.Errorf("%q is a mode", s)
		}
	}
}

// good is a spec for both roles.
func good(change func(*Spec)) Spec {
	s := Spec{Mode: VerifyFull, CertFile: "a.crt", KeyFile: "a.key", CAFile: "ca.crt"}
	change(&s)
	return s
}

// TestCheckBoth are problems that both sides have.
func TestCheckBoth(t *testing.T) {
	for _, tt := range []struct {
		change func(*Spec)
		want   string
	}{
		{func(*Spec) {}, ""},
		{func(s *Spec) { s.Mode = Disable; s.CAFile, s.CertFile, s.MinVersion = "", "", "x" }, ""},
		{func(s *Spec) { s.Mode = 6 }, "Mode: unknown sslmode 6"},
		{func(s *Spec) { s.CAFile = "" }, `CAFile: sslmode "verify-full" needs authorities to verify with`},
		{func(s *Spec) { s.Mode, s.CAFile = VerifyCA, "" }, `CAFile: sslmode "verify-ca" needs authorities to verify with`},
		{func(s *Spec) { s.Mode, s.CAFile = Require, "" }, ""},
		{func(s *Spec) { s.Mode, s.CAFile, s.CRLFile = Require, "", "crl" }, "CRLFile: without authorities nothing is verified, so a revocation list is of no use"},
		{func(s *Spec) { s.CRLFile = "crl" }, ""},

		{func(s *Spec) { s.MinVersion, s.MaxVersion = "TLSv1", "tlsV1.1" }, ""},
		{func(s *Spec) { s.MinVersion = "TLSv1.3" }, ""},
		{func(s *Spec) { s.MaxVersion = "TLSv1.2" }, ""},
		{func(s *Spec) { s.MinVersion, s.MaxVersion = "TLSv1.4", "1.2" }, `MaxVersion: unknown version "1.2"; MinVersion: unknown version "TLSv1.4"`},
		{func(s *Spec) { s.MinVersion = "SSLv3" }, `MinVersion: unknown version "SSLv3"`},
		{func(s *Spec) { s.MinVersion, s.MaxVersion = "TLSv1.3", "TLSv1.2" }, "MaxVersion: no version is between a minimum of TLSv1.3 and a maximum of TLSv1.2"},
		{func(s *Spec) { s.MaxVersion = "TLSv1.1" }, "MaxVersion: no version is between a minimum of TLSv1.2 and a maximum of TLSv1.1"},

		{func(s *Spec) {
			s.Ciphers = []string{"ECDHE-RSA-AES128-GCM-SHA256", "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384"}
		}, ""},
		{func(s *Spec) { s.Ciphers = []string{"HIGH", "!aNULL"} }, `Ciphers: unknown cipher "!aNULL"; Ciphers: unknown cipher "HIGH"`},
		{func(s *Spec) { s.Ciphers = []string{"DHE-RSA-AES128-GCM-SHA256"} }, `Ciphers: unknown cipher "DHE-RSA-AES128-GCM-SHA256"`},
		{func(s *Spec) { s.Ciphers = []string{"ECDHE-RSA-DES-CBC3-SHA"} }, `Ciphers: cipher "ECDHE-RSA-DES-CBC3-SHA" is broken`},
		{func(s *Spec) { s.Ciphers = []string{"TLS_RSA_WITH_RC4_128_SHA"} }, `Ciphers: cipher "TLS_RSA_WITH_RC4_128_SHA" is broken`},
		{func(s *Spec) { s.Ciphers = []string{"TLS_AES_128_GCM_SHA256"} }, `Ciphers: cipher "TLS_AES_128_GCM_SHA256" is of TLSv1.3, whose ciphers cannot be chosen`},
		{
			func(s *Spec) { s.MinVersion, s.Ciphers = "TLSv1.3", []string{"AES128-SHA"} },
			"Ciphers: only TLSv1.3 is allowed, whose ciphers cannot be chosen",
		},
		{
			func(s *Spec) {
				s.MinVersion, s.MaxVersion, s.Ciphers = "TLSv1", "TLSv1.1", []string{"ECDHE-RSA-AES128-GCM-SHA256"}
			},
			"Ciphers: none of them is of an allowed version of TLS",
		},
		{func(s *Spec) { s.MinVersion, s.MaxVersion, s.Ciphers = "TLSv1", "TLSv1.1", []string{"AES128-SHA"} }, ""},

		{func(s *Spec) {
			s.Curves = []string{"X25519", "prime256v1", "P-256", "secp384r1", "secp521r1", "x25519mlkem768"}
		}, ""},
		{func(s *Spec) { s.Curves = []string{"X25519", "brainpoolP256r1"} }, `Curves: unknown curve "brainpoolP256r1"`},
		{func(s *Spec) { s.MaxVersion, s.Curves = "TLSv1.2", []string{"X25519MLKEM768"} }, "Curves: all of them need TLSv1.3, which is not allowed"},
		{func(s *Spec) { s.MaxVersion, s.Curves = "TLSv1.2", []string{"X25519MLKEM768", "X25519"} }, ""},
	} {
		spec := good(tt.change)
		if got := text(ServerSpec{spec}.Check()); got != tt.want && spec.CertFile != "" {
			t.Errorf("server %+v: got %s, want %s", spec, got, tt.want)
		}
		if got := text(ClientSpec{Spec: spec}.Check()); got != tt.want {
			t.Errorf("client %+v: got %s, want %s", spec, got, tt.want)
		}
		_, err := (&Files{}).LoadServer(ServerSpec{spec})
		if tt.want != "" && (err == nil || err.Error() != "TLS: "+tt.want) {
			t.Errorf("load says %v, want %s", err, tt.want)
		}
	}
}

func TestCheckServer(t *testing.T) {
	for want, spec := range map[string]Spec{
		"CertFile: a server needs a certificate and its key; KeyFile: a server needs a certificate and its key": {Mode: Allow},
		"KeyFile: a server needs a certificate and its key":                                                     {Mode: Require, CertFile: "a.crt"},
	} {
		if got := text(ServerSpec{spec}.Check()); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestCheckClient(t *testing.T) {
	for _, tt := range []struct {
		spec ClientSpec
		want string
	}{
		{ClientSpec{}, ""},
		{ClientSpec{Spec: Spec{Mode: Prefer}, SNI: true}, ""},
		{ClientSpec{Spec: Spec{Mode: Require, CertFile: "a.crt"}}, "KeyFile: a certificate needs its key"},
		{ClientSpec{Spec: Spec{Mode: Require, KeyFile: "a.key"}}, "CertFile: a key needs its certificate"},
		{ClientSpec{Spec: Spec{Mode: VerifyFull, CAFile: System}}, ""},
		{ClientSpec{Spec: Spec{Mode: VerifyCA, CAFile: System}}, `Mode: weak sslmode "verify-ca" may not be used with the system's authorities: use "verify-full"`},
		{ClientSpec{Spec: Spec{Mode: Require}, Direct: true}, ""},
		{ClientSpec{Spec: Spec{Mode: Prefer}, Direct: true}, `Mode: weak sslmode "prefer" may not be used with direct TLS: use "require", "verify-ca" or "verify-full"`},
	} {
		if got := text(tt.spec.Check()); got != tt.want {
			t.Errorf("%+v: got %s, want %s", tt.spec, got, tt.want)
		}
	}
}

func text(problems []Problem) string {
	var parts []string
	for _, p := range problems {
		parts = append(parts, p.String())
	}
	return strings.Join(parts, "; ")
}

// TestCipherNames holds the names of suites against OpenSSL's.
func TestCipherNames(t *testing.T) {
	out, err := exec.Command("openssl", "ciphers", "-stdname", "ALL:COMPLEMENTOFALL:@SECLEVEL=0").Output()
	must(t, err)
	known := map[string]string{}
	for line := range strings.Lines(string(out)) {
		fields := strings.Fields(line) // TLS_RSA_WITH_AES_128_CBC_SHA - AES128-SHA TLSv1.2 ...
		known[fields[0]] = fields[2]
	}
	seen := 0
	for _, c := range slices.Concat(tls.CipherSuites(), tls.InsecureCipherSuites()) {
		want, ok := known[c.Name]
		if !ok || c.SupportedVersions[0] == tls.VersionTLS13 {
			continue // OpenSSL 3 has lost the broken ones
		}
		seen++
		if got := opensslName(c.Name); got != want {
			t.Errorf("%s: got %s, OpenSSL says %s", c.Name, got, want)
		}
		for _, name := range []string{c.Name, want, strings.ToLower(want)} {
			if found, err := suiteOf(name); err != nil || found.ID != c.ID {
				t.Errorf("%s: not found: %v", name, err)
			}
		}
	}
	if seen < 15 {
		t.Errorf("only %d suites compared", seen)
	}
}

func TestPasswordHidesItself(t *testing.T) {
	s := ServerSpec{Spec{KeyPassword: "sesame"}}
	if text := fmt.Sprintf("%v %+v %#v %s", s, s, s, s); strings.Contains(text, "sesame") {
		t.Error(text)
	}
}
