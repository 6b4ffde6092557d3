package inspect

import (
	"fmt"
	"io"
	"strings"

	"github.com/heliosproxy/heliosproxy/controlplane/cmd/helioctl/table"
)

// print is a report for people.
func (r *Report) print(w io.Writer) error {
	var b strings.Builder
	section := func(head string, rows [][]string) error {
		fmt.Fprintf(&b, "%s: %s\n", r.Target, head)
		for i := range rows {
			rows[i][0] = "  " + rows[i][0]
		}
		return table.Print(&b, rows)
	}
	if r.TLS != nil {
		if err := section("TLS", r.TLS.rows()); err != nil {
			return err
		}
	}
	for i := range r.Certificates {
		head := "certificate"
		if n := len(r.Certificates); n > 1 {
			head = fmt.Sprintf("certificate %d of %d", i+1, n)
		}
		if err := section(head, r.Certificates[i].rows()); err != nil {
			return err
		}
	}
	for i := range r.Keys {
		if err := section("private key", r.Keys[i].rows()); err != nil {
			return err
		}
	}
	for i := range r.Lists {
		if err := section("revocation list", r.Lists[i].rows()); err != nil {
			return err
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// present leaves out what there is not.
func present(rows [][]string) [][]string {
	var all [][]string
	for _, r := range rows {
		if r[1] != "" {
			all = append(all, r)
		}
	}
	return all
}

func (t *TLS) rows() [][]string {
	host, asks := "the certificate is the host's", "no"
	if t.HostMismatch != "" {
		host = t.HostMismatch
	}
	if t.AsksForCertificate {
		asks = "asked for"
	}
	return present([][]string{
		{"version", t.Version},
		{"cipher", t.Cipher},
		{"key exchange", t.Curve},
		{"ALPN", t.ALPN},
		{"verify-full", host},
		{"client certificate", asks},
	})
}

func (c *Certificate) rows() [][]string {
	var names []string
	for _, kind := range []struct {
		word string
		all  []string
	}{{"DNS", c.DNS}, {"IP", c.IPs}, {"URI", c.URIs}, {"email", c.Emails}} {
		for _, n := range kind.all {
			names = append(names, kind.word+" "+table.Plain(n))
		}
	}
	kind := "of " + first(strings.Join(c.Usages, " and "), "any use")
	if c.Authority {
		kind = "of an authority"
	}
	rows := [][]string{
		{"subject", first(c.Subject, "(empty)")},
		{"other names", strings.Join(names, ", ")},
		{"issuer", c.Issuer},
		{"serial", c.Serial},
		{"valid", c.words()},
		{"key", c.Key + ", " + kind},
		{"signature", c.SignatureAlgorithm},
		{"SHA-256", c.Fingerprint},
		{"channel binding", first(c.EndPointHash, "none: tls-server-end-point is not defined for this signature")},
	}
	if !c.Authority {
		rows = append(rows, []string{"names a user", c.maps()})
	}
	if c.Verified != nil {
		word := "yes"
		if !*c.Verified {
			word = "no: " + c.NotVerified
		}
		rows = append(rows, []string{"verified", word})
	}
	if c.Matches != nil {
		word := "is its"
		if !*c.Matches {
			word = "is another's: --key and the certificate do not belong together"
		}
		rows = append(rows, []string{"--key", word})
	}
	return present(rows)
}

// maps is who a client is by the certificate.
func (c *Certificate) maps() string {
	switch {
	case c.Problem != "":
		return "nobody: " + c.Problem
	case c.CN == "":
		return fmt.Sprintf("DN %s (clientname=DN), and nobody by its common name", c.Subject)
	}
	return fmt.Sprintf("CN %q, or with clientname=DN %s", c.CN, c.Subject)
}

// words is a time for people.
func (v Validity) words() string {
	const form = "2006-01-02 15:04"
	s := v.From.Format(form) + " to "
	if v.Until == nil {
		return s + "for ever"
	}
	s += v.Until.Format(form) + " UTC, "
	switch {
	case v.State != "valid":
		return s + strings.ToUpper(v.State)
	case *v.DaysLeft == 1:
		return s + "1 day left"
	}
	return fmt.Sprintf("%s%d days left", s, *v.DaysLeft)
}

func (k *Key) rows() [][]string {
	encrypted := "no"
	if k.Encrypted {
		encrypted = "yes"
	}
	return present([][]string{{"key", k.Key}, {"encrypted", encrypted}, {"SHA-256", k.Fingerprint}, {"not read", k.Problem}})
}

func (l *List) rows() [][]string {
	return present([][]string{
		{"issuer", l.Issuer},
		{"number", l.Number},
		{"valid", l.words()},
		{"revoked", fmt.Sprintf("%d certificates", l.Revoked)},
		{"signature", l.SignatureAlgorithm},
	})
}

func first(a, b string) string {
	if a != "" {
		return a
	}
	return b
}
