package tlsconf

import (
	"crypto/x509"
	"encoding/asn1"
	"fmt"
	"math/rand/v2"
	"net"
	"net/url"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/heliosproxy/heliosproxy/pkg/testkit/certs"
)

// value is an attribute with this string type and these bytes.
func value(oid string, tag int, bytes string) attribute {
	a := attribute{Value: asn1.RawValue{Tag: tag, Bytes: []byte(bytes)}}
	for part := range strings.SplitSeq(oid, ".") {
		var n int
		fmt.Sscan(part, &n)
		a.Type = append(a.Type, n)
	}
	return a
}

const (
	cn = "2.5.4.3"
	o  = "2.5.4.10"
	ou = "2.5.4.11"
)

// TestDN holds how a subject is printed against OpenSSL, which prints it for PostgreSQL.
func TestDN(t *testing.T) {
	utf8 := func(oid, text string) attribute { return value(oid, asn1.TagUTF8String, text) }
	tests := map[string]struct {
		subject subject
		want    string
	}{
		"empty":            {subject{}, ""},
		"one":              {subject{{utf8(cn, "alice")}}, "CN=alice"},
		"reversed":         {subject{{utf8(o, "example")}, {utf8(ou, "sales")}, {utf8(cn, "alice")}}, "CN=alice,OU=sales,O=example"},
		"of many values":   {subject{{utf8(o, "example")}, {utf8(cn, "alice"), utf8(ou, "sales")}}, "OU=sales+CN=alice,O=example"},
		"specials":         {subject{{utf8(cn, `a,b+c"d\e<f>g;h=i#j/k`)}}, `CN=a\,b\+c\"d\\e\<f\>g\;h=i#j/k`},
		"blanks":           {subject{{utf8(cn, "  a b  ")}}, `CN=\  a b \ `},
		"one blank":        {subject{{utf8(cn, " ")}}, `CN=\ `},
		"hash":             {subject{{utf8(cn, "#a#")}}, `CN=\#a#`},
		"hash alone":       {subject{{utf8(cn, "#")}}, `CN=#`},
		"control":          {subject{{utf8(cn, "a\n\x00\x7fb")}}, `CN=a\0A\00\7Fb`},
		"beyond ASCII":     {subject{{utf8(cn, "Zoë")}}, `CN=Zo\C3\AB`},
		"T61 is Latin-1":   {subject{{value(cn, asn1.TagT61String, "Zo\xeb")}}, `CN=Zo\C3\AB`},
		"BMP":              {subject{{value(cn, asn1.TagBMPString, "\x00Z\x00o\x00\xeb")}}, `CN=Zo\C3\AB`},
		"printable":        {subject{{value(cn, asn1.TagPrintableString, "alice")}}, "CN=alice"},
		"IA5":              {subject{{value("0.9.2342.19200300.100.1.25", asn1.TagIA5String, "example")}}, "DC=example"},
		"unknown":          {subject{{utf8("1.2.3.4", "x")}}, "1.2.3.4=#0C0178"},
		"unknown and more": {subject{{utf8("1.2.3.4", "x")}, {utf8(cn, "alice")}}, "CN=alice,1.2.3.4=#0C0178"},
	}
	var all subject
	for arc := 3; arc <= 54; arc++ {
		all = append(all, rdnSET{utf8(fmt.Sprint("2.5.4.", arc), "x")})
	}
	for _, oid := range []string{
		"2.5.4.65", "2.5.4.72", "2.5.4.97", "1.2.840.113549.1.9.1", "1.2.840.113549.1.9.2", "1.2.840.113549.1.9.8",
		"0.9.2342.19200300.100.1.1", "0.9.2342.19200300.100.1.3", "0.9.2342.19200300.100.1.9", "0.9.2342.19200300.100.1.25", "0.9.2342.19200300.100.1.44",
		"1.3.6.1.4.1.311.60.2.1.1", "1.3.6.1.4.1.311.60.2.1.2", "1.3.6.1.4.1.311.60.2.1.3",
	} {
		all = append(all, rdnSET{utf8(oid, "x")})
	}
	tests["every name"] = struct {
		subject subject
		want    string
	}{all, ""}
	random := rand.New(rand.NewPCG(1, 2))
	for i := range 10 {
		var s subject
		for range 20 {
			var text []rune
			for range random.IntN(6) {
				text = append(text, []rune(" #,+\"\\<>;=/ab\x01\t\u00e9\u20ac\U0001f600")[random.IntN(17)])
			}
			s = append(s, rdnSET{utf8(ou, string(text))})
		}
		tests[fmt.Sprint("random ", i)] = struct {
			subject subject
			want    string
		}{s, ""}
	}
	ca := certs.NewAuthority(t)
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			leaf := subjectOf(t, ca, tt.subject)
			read, err := parseSubject(leaf.RawSubject)
			must(t, err)
			got := read.rfc2253()
			if tt.want != "" && got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
			file := newDir(t).write("crt", encode(leaf))
			out, err := exec.Command("openssl", "x509", "-in", file, "-noout", "-subject", "-nameopt", "RFC2253").CombinedOutput()
			if want := strings.TrimSuffix(strings.TrimPrefix(string(out), "subject="), "\n"); err != nil || want != got {
				t.Errorf("got     %s\nopenssl %s, %v", got, want, err)
			}
		})
	}
}

// TestCommonName reads it as PostgreSQL does: the first one's bytes, whatever the type, and no NUL among them.
func TestCommonName(t *testing.T) {
	ca := certs.NewAuthority(t)
	const null = "SSL certificate's common name contains embedded null"
	for name, tt := range map[string]struct {
		subject subject
		want    string
		err     string
	}{
		"none":    {subject{{value(o, asn1.TagUTF8String, "example")}}, "", ""},
		"first":   {subject{{value(cn, asn1.TagUTF8String, "a")}, {value(cn, asn1.TagUTF8String, "b")}}, "a", ""},
		"Latin-1": {subject{{value(cn, asn1.TagT61String, "Zo\xeb")}}, "Zo\xeb", ""},
		"NUL":     {subject{{value(cn, asn1.TagUTF8String, "alice\x00evil")}}, "", null},
		"BMP":     {subject{{value(cn, asn1.TagBMPString, "\x00a")}}, "", null},
	} {
		t.Run(name, func(t *testing.T) {
			n, err := NamesOf(subjectOf(t, ca, tt.subject))
			if n.CN != tt.want || tt.err == "" && err != nil || tt.err != "" && (err == nil || err.Error() != tt.err) {
				t.Errorf("got %q, %v; want %q, %s", n.CN, err, tt.want, tt.err)
			}
		})
	}
}

func subjectOf(t *testing.T, ca *certs.Authority, s subject) *x509.Certificate {
	t.Helper()
	raw, err := asn1.Marshal(s)
	must(t, err)
	return ca.Issue("", func(c *x509.Certificate) { c.RawSubject = raw }).Leaf(t)
}

func TestNames(t *testing.T) {
	leaf := certs.NewAuthority(t).Issue("alice", func(c *x509.Certificate) {
		c.DNSNames, c.EmailAddresses = []string{"a.test"}, []string{"alice@a.test"}
		c.IPAddresses = []net.IP{net.IPv4(10, 0, 0, 1)}
		c.URIs = []*url.URL{{Scheme: "spiffe", Host: "a.test", Path: "/alice"}}
	}).Leaf(t)
	n, err := NamesOf(leaf)
	must(t, err)
	got := slices.Concat([]string{n.CN, n.DN}, n.DNS, n.IPs, n.Emails, n.URIs)
	if want := []string{"alice", "CN=alice", "a.test", "10.0.0.1", "alice@a.test", "spiffe://a.test/alice"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
