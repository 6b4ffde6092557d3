package tlsconf

import (
	"crypto/x509"
	"fmt"
	"net/netip"
	"strings"
)

// HostMismatch says why verify-full would refuse a server's certificate for a host, by the name or address that it is connected to; it is empty if it would not.
func HostMismatch(cert *x509.Certificate, host string) string { return checkHost(cert, host) }

// checkHost says why a server's certificate is not the host's, in libpq's words; it is empty if it is. The rules are those of libpq 15 and later
// (pgtls_verify_peer_name_matches_certificate_guts): alternative names first, then the common name, but only if there is no alternative name of the host's kind.
func checkHost(cert *x509.Certificate, host string) string {
	if host == "" {
		return "host name must be specified for a verified SSL connection"
	}
	address, err := netip.ParseAddr(host)
	isAddress := err == nil && address.Zone() == ""
	var examined []string
	matches := func(name string) bool {
		examined = append(examined, name)
		return matchName(name, host)
	}
	for _, name := range cert.DNSNames { // libpq compares them with an address, too
		if matches(name) {
			return ""
		}
	}
	for _, ip := range cert.IPAddresses {
		a, _ := netip.AddrFromSlice(ip)
		examined = append(examined, a.String())
		if isAddress && a == address {
			return ""
		}
	}
	ofKind := len(cert.DNSNames)
	if isAddress {
		ofKind = len(cert.IPAddresses)
	}
	if ofKind == 0 {
		rdns, err := parseSubject(cert.RawSubject)
		if cn := commonName(rdns); err == nil && cn != "" && matches(cn) {
			return ""
		}
	}
	switch others := len(examined) - 1; {
	case others < 0:
		return "could not get server's host name from server certificate"
	case others == 0:
		return fmt.Sprintf("server certificate for %q does not match host name %q", examined[0], host)
	case others == 1:
		return fmt.Sprintf("server certificate for %q (and 1 other name) does not match host name %q", examined[0], host)
	default:
		return fmt.Sprintf("server certificate for %q (and %d other names) does not match host name %q", examined[0], others, host)
	}
}

// matchName compares a certificate's name with the host: the same but for the case, or with * for the left-most label.
func matchName(name, host string) bool {
	if equalFold(name, host) {
		return true
	}
	domain, wild := strings.CutPrefix(name, "*")
	label := len(host) - len(domain) // length of what * stands for
	return wild && len(domain) >= 2 && domain[0] == '.' && label >= 1 && equalFold(domain, host[label:]) &&
		!strings.Contains(host[:label], ".")
}

// equalFold knows the case of ASCII letters only, as names in certificates have no others.
func equalFold(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	lower := func(c byte) byte {
		if c >= 'A' && c <= 'Z' {
			return c + 'a' - 'A'
		}
		return c
	}
	for i := range len(a) {
		if lower(a[i]) != lower(b[i]) {
			return false
		}
	}
	return true
}
