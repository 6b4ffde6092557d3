package proxyproto

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"net/netip"
	"strings"
	"testing"
)

// v2 makes a header of version 2.
func v2(command, family byte, body string) string {
	return signature + string([]byte{command, family}) + string(binary.BigEndian.AppendUint16(nil, uint16(len(body)))) + body
}

// tlv makes a value that stands behind the addresses.
func tlv(kind byte, value string) string {
	return string(binary.BigEndian.AppendUint16([]byte{kind}, uint16(len(value)))) + value
}

// sum sets the checksum of a header, which has zeros in its place.
func sum(header string) string {
	mark := tlv(typeCRC32C, "\x00\x00\x00\x00")
	i := strings.LastIndex(header, mark) + 3
	crc := crc32.Checksum([]byte(header), crc32.MakeTable(crc32.Castagnoli))
	return header[:i] + string(binary.BigEndian.AppendUint32(nil, crc)) + header[i+4:]
}

const (
	four = "\x0a\x00\x00\x01\x0a\x00\x00\x02\x30\x39\x15\x38" // 10.0.0.1:12345 to 10.0.0.2:5432
	six  = "\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01" + "\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02" + "\x30\x39\x15\x38"
)

type example struct {
	name, header, source, err string // source is empty where it is the sender; what the error contains
}

func examples() []example {
	withSum := sum(v2(cmdProxy, tcp4, four+tlv(typeCRC32C, "\x00\x00\x00\x00")+tlv(0x02, "db.example")))
	broken := []byte(withSum)
	broken[len(signature)+4] ^= 1
	return []example{
		// The examples of the specification, 2.1.
		{"TCP4, longest", "PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n", "255.255.255.255:65535", ""},
		{"TCP6, longest", "PROXY TCP6 ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n", "", "no address of TCP6"},
		{"TCP6, all digits", "PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n", "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535", ""},
		{"UNKNOWN", "PROXY UNKNOWN\r\n", "", ""},
		{"UNKNOWN, worst", "PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n", "", ""},
		{"TCP4", "PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n", "192.168.0.1:56324", ""},
		{"TCP6, mapped", "PROXY TCP6 ::ffff:10.0.0.1 ::1 1 2\r\n", "10.0.0.1:1", ""},
		{"another protocol", "PROXY UDP4 1.1.1.1 1.1.1.1 1 1\r\n", "", "does not say TCP4"},
		{"lower case", "proxy TCP4 1.1.1.1 1.1.1.1 1 1\r\n", "", "none"},
		{"two spaces", "PROXY TCP4  1.1.1.1 1.1.1.1 1 1\r\n", "", "does not say TCP4"},
		{"a field less", "PROXY TCP4 1.1.1.1 1.1.1.1 1\r\n", "", "does not say TCP4"},
		{"the other family", "PROXY TCP4 ::1 ::1 1 1\r\n", "", "no address of TCP4"},
		{"a zone", "PROXY TCP6 fe80::1%eth0 ::1 1 1\r\n", "", "no address of TCP6"},
		{"a leading zero", "PROXY TCP4 1.1.1.1 1.1.1.1 01 1\r\n", "", "no port"},
		{"a port too high", "PROXY TCP4 1.1.1.1 1.1.1.1 1 65536\r\n", "", "no port"},
		{"no end", "PROXY UNKNOWN " + strings.Repeat("x", 100), "", "no end"},
		{"LF alone", "PROXY UNKNOWN\n" + strings.Repeat("x", 100), "", "no end"},

		{"v2 LOCAL", v2(cmdLocal, unspec, ""), "", ""},
		{"v2 LOCAL with an address", v2(cmdLocal, tcp4, four), "", ""},
		{"v2 TCP4", v2(cmdProxy, tcp4, four), "10.0.0.1:12345", ""},
		{"v2 TCP6", v2(cmdProxy, tcp6, six), "[2001:db8::1]:12345", ""},
		{"v2 unix", v2(cmdProxy, unix, strings.Repeat("\x00", sizeUNIX)), "", ""},
		{"v2 unspecified", v2(cmdProxy, unspec, "anything"), "", ""},
		{"v2 with more", v2(cmdProxy, tcp4, four+tlv(0x04, "")+tlv(0x20, strings.Repeat("x", 4000))), "10.0.0.1:12345", ""},
		{"v2 with a checksum", withSum, "10.0.0.1:12345", ""},
		{"v2 with a wrong checksum", string(broken), "", "checksum is wrong"},
		{"v2 with two", sum(v2(cmdProxy, tcp4, four+tlv(typeCRC32C, "\x00\x00\x00\x00")+tlv(typeCRC32C, "abcd"))), "", "checksum"},
		{"v2 with a short checksum", v2(cmdProxy, tcp4, four+tlv(typeCRC32C, "abc")), "", "checksum"},
		{"v2, datagrams", v2(cmdProxy, 0x12, four), "", "no stream"},
		{"v2, another command", v2(0x22, tcp4, four), "", "no version and command"},
		{"version 3", v2(0x31, tcp4, four), "", "no version and command"},
		{"v2, no room", v2(cmdProxy, tcp6, four), "", "no room"},
		{"v2, too long", v2(cmdProxy, tcp4, strings.Repeat("x", maxHeader)), "", "more than"},
		{"v2, ends in a length", v2(cmdProxy, tcp4, four+"\x20\x00"), "", "within a type"},
		{"v2, ends in a value", v2(cmdProxy, tcp4, four+"\x20\x00\x05abcd"), "", "within a value"},

		{"a StartupMessage", "\x00\x00\x00\x08\x00\x03\x00\x00", "", "none"},
		{"TLS", "\x16\x03\x01", "", "none"},
	}
}

// TestParse reads each example at once, byte by byte, and with something behind it.
func TestParse(t *testing.T) {
	for _, tt := range examples() {
		t.Run(tt.name, func(t *testing.T) {
			check := func(how string, h Header, err error) {
				t.Helper()
				got := ""
				if h.Source.IsValid() {
					got = h.Source.String()
				}
				if (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) || got != tt.source {
					t.Errorf("%s: got %s, %v; want %s, %s", how, got, err, tt.source, tt.err)
				}
			}
			h, n, err := Parse([]byte(tt.header + "behind"))
			check("at once", h, err)
			if err == nil && n != len(tt.header) {
				t.Errorf("%d bytes of %d", n, len(tt.header))
			}
			var r Reader
			var done bool
			var rest []byte
			for i := 0; i < len(tt.header) && err == nil && !done; i++ {
				if h, rest, done, err = r.Step([]byte(tt.header[i : i+1])); done && i+1 < len(tt.header) {
					t.Fatalf("done after %d bytes", i+1)
				}
			}
			check("byte by byte", h, err)
			if err == nil && (!done || len(rest) != 0) {
				t.Errorf("done %v, %d bytes behind it", done, len(rest))
			}
			r = Reader{}
			if err != nil {
				return
			}
			half := len(tt.header) / 2
			_, _, _, _ = r.Step([]byte(tt.header[:half]))
			if _, rest, done, err = r.Step([]byte(tt.header[half:] + "behind")); err != nil || !done || string(rest) != "behind" {
				t.Errorf("in two pieces: %q, %v, %v", rest, done, err)
			}
		})
	}
}

func TestSenders(t *testing.T) {
	s, err := ParseSenders([]string{"10.0.0.0/8", "2001:db8::/32", "192.0.2.7", "::ffff:192.0.2.8", "unix"})
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]bool{
		"10.1.2.3": true, "::ffff:10.1.2.3": true, "11.0.0.1": false, "2001:db8::1": true, "2001:db9::1": false, "192.0.2.7": true,
		"192.0.2.8": true, "192.0.2.9": false,
	} {
		if s.Trusts(netip.MustParseAddr(text)) != want {
			t.Errorf("%s: want %v", text, want)
		}
	}
	if !s.Trusts(netip.Addr{}) || (Senders{}).Trusts(netip.Addr{}) || (Senders{}).Trusts(netip.MustParseAddr("127.0.0.1")) {
		t.Error("unix sockets, or nobody")
	}
	for _, text := range []string{"", "10.0.0.0/33", "host", "fe80::1%eth0", "UNIX"} {
		if _, err := ParseSenders([]string{text}); err == nil {
			t.Errorf("%q is taken", text)
		}
	}
}

// FuzzParse: a header is read in whatever pieces it comes, with the same outcome, and what was read stands for itself.
func FuzzParse(f *testing.F) {
	for _, e := range examples() {
		f.Add([]byte(e.header), 3)
	}
	f.Fuzz(func(t *testing.T, p []byte, cut int) {
		h, n, err := Parse(p)
		switch {
		case n < 0 || n > len(p) || n > maxHeader:
			t.Fatalf("%d bytes of %d", n, len(p))
		case err != nil && (n != 0 || h != Header{}):
			t.Fatalf("an error and %v, %d", h, n)
		case err == nil && n == 0 && len(p) >= maxHeader:
			t.Fatal("more than the most has to come")
		case n > 0:
			if again, m, err := Parse(p[:n]); again != h || m != n || err != nil {
				t.Fatalf("alone: %v, %d, %v", again, m, err)
			}
		}
		var r Reader
		at := min(max(cut, 0), len(p))
		_, _, done, first := r.Step(p[:at])
		if first != nil {
			if !errors.Is(err, first) && (err == nil || err.Error() != first.Error()) {
				t.Fatalf("the beginning is refused (%v), and the whole not (%v)", first, err)
			}
			return
		}
		if done != (n > 0 && n <= at) {
			t.Fatalf("done after %d bytes, and it has %d", at, n)
		}
		if !done {
			h2, _, done, second := r.Step(p[at:])
			if done != (n > 0) || h2 != h || (second == nil) != (err == nil) {
				t.Fatalf("in two pieces: %v, %v, %v; at once %v, %d, %v", h2, done, second, h, n, err)
			}
		}
	})
}
