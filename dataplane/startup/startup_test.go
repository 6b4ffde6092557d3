package startup

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/heliosproxy/heliosproxy/pkg/pgerr"
	"github.com/heliosproxy/heliosproxy/pkg/pgwire"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgscript"
)

func packet(code uint32, rest ...byte) []byte {
	p := binary.BigEndian.AppendUint32(nil, uint32(8+len(rest)))
	return append(binary.BigEndian.AppendUint32(p, code), rest...)
}

// TestStep feeds packets whole and byte by byte.
func TestStep(t *testing.T) {
	v30, v32 := pgscript.Version30, pgscript.Version32
	for _, c := range []struct {
		name  string
		in    []byte
		reply string
		out   string
	}{
		{"3.0", pgscript.Startup(v30, "user", "ann"), "", "ann@ann"},
		{"3.0 with all", pgscript.Startup(v30, "user", "ann", "database", "shop", "TimeZone", "UTC", "options", `-c a=b --c-d=e\ f -cg=h`), "", "ann@shop TimeZone=UTC a=b c_d=e f g=h"},
		{"long names", pgscript.Startup(v30, "user", strings.Repeat("u", 64), "database", strings.Repeat("d", 70)), "", strings.Repeat("u", 63) + "@" + strings.Repeat("d", 63)},
		{"3.2", pgscript.Startup(v32, "user", "ann"), "", "ann@ann long"},
		{"3.9", pgscript.Startup(3<<16|9, "user", "ann", "_pq_.what", "1"), "v\x00\x00\x00\x16\x00\x03\x00\x02\x00\x00\x00\x01_pq_.what\x00", "ann@ann long"},
		{"an extension", pgscript.Startup(v30, "user", "ann", "_pq_.x", ""), "v\x00\x00\x00\x13\x00\x03\x00\x00\x00\x00\x00\x01_pq_.x\x00", "ann@ann"},
		{"2.0", pgscript.Startup(2<<16, "user", "ann"), "", "0A000 2.0"},
		{"SSL", pgscript.SSLRequest(), "N", ""},
		{"GSSENC", pgscript.GSSENCRequest(), "N", ""},
		{"no user", pgscript.Startup(v30, "database", "x"), "", "28000 user"},
		{"logical replication", pgscript.Startup(v30, "user", "ann", "replication", "database", "options", "-d 5", "x", "y"), "", "ann@ann replication replication=database options=-d 5 x=y"},
		{"physical replication", pgscript.Startup(v30, "user", "ann", "replication", "Tr"), "", "ann@ann replication replication=Tr"},
		{"no replication", pgscript.Startup(v30, "user", "ann", "replication", "off", "x", "y"), "", "ann@ann x=y"},
		{"who knows", pgscript.Startup(v30, "user", "ann", "replication", "maybe"), "", "22023 maybe"},
		{"a switch", pgscript.Startup(v30, "user", "ann", "options", "-d 5"), "", "08P01 -d"},
		{"an empty switch", pgscript.Startup(v30, "user", "ann", "options", "-c x"), "", "08P01 requires a value"},
		{"cancel", pgscript.CancelRequest(7, []byte("1234")), "", "cancel 7 1234"},
		{"a forwarded cancel", pgwire.AppendForward(nil, 7, []byte("1234")), "", "cancel 7 1234 forwarded"},
		{"a long cancel", pgscript.CancelRequest(7, []byte(strings.Repeat("x", 32))), "", "cancel 7 " + strings.Repeat("x", 32)},
		{"a short cancel", packet(80877102, 0, 0, 0, 1), "", "08P01 cancel"},
		{"too short", []byte{0, 0, 0, 7}, "", "08P01 length"},
		{"too long", []byte{0x7f, 0, 0, 0}, "", "08P01 length"},
		{"no end", packet(v30, 'u', 's', 'e', 'r', 0, 'a'), "", "08P01 terminator"},
		{"no value", packet(v30, 'u', 's', 'e', 'r', 0), "", "08P01 value"},
		{"an empty name", packet(v30, 0, 0, 0), "", "08P01 layout"},
	} {
		for _, size := range []int{len(c.in), 1, 3} {
			var m Machine
			var o Outcome
			var reply []byte
			for chunk := range slices.Chunk(c.in, size) {
				o = m.Step(chunk)
				reply = append(reply, o.Reply...)
				if o.Err != nil {
					break
				}
			}
			if o.Start != nil {
				reply = append(reply, o.Start.Negotiate(v32)...)
			}
			if got := describe(o); string(reply) != c.reply || !matches(got, c.out) {
				t.Errorf("%s in pieces of %d: reply %q, %q; want %q, %q", c.name, size, reply, got, c.reply, c.out)
			}
		}
	}
}

// TestNegotiate lets a client speak the version that it asks for, but no newer one than there is.
func TestNegotiate(t *testing.T) {
	v30, v32 := pgscript.Version30, pgscript.Version32
	for _, c := range []struct {
		asked, newest, told uint32
		long                bool
	}{
		{v30, v30, 0, false},
		{v30, v32, 0, false},
		{v32, v32, 0, true},
		{v32, v30, v30, false},
		{v32 + 7, v32, v32, true},
		{v32 + 7, v30, v30, false},
	} {
		var m Machine
		s := m.Step(pgscript.Startup(c.asked, "user", "ann")).Start
		var want []byte
		if c.told != 0 {
			want = pgscript.NegotiateProtocolVersion(c.told)
		}
		if got := s.Negotiate(c.newest); !bytes.Equal(got, want) || s.LongKey != c.long {
			t.Errorf("asked for %x, there is %x: told %q, long keys %v; want %q, %v", c.asked, c.newest, got, s.LongKey, want, c.long)
		}
	}
}

func matches(got, want string) bool {
	code, words, refusal := strings.Cut(want, " ")
	if !refusal || len(code) != 5 || strings.Contains(code, "@") {
		return got == want
	}
	return strings.HasPrefix(got, code+" ") && strings.Contains(got, words)
}

func describe(o Outcome) string {
	switch {
	case o.Err != nil:
		return o.Err.SQLState + " " + o.Err.Message
	case o.Cancel != nil:
		s := fmt.Sprintf("cancel %d %s", o.Cancel.PID, o.Cancel.Secret)
		if o.Cancel.Forwarded {
			s += " forwarded"
		}
		return s
	case o.Start != nil:
		s := o.Start.User + "@" + o.Start.Database
		if o.Start.LongKey {
			s += " long"
		}
		if o.Start.Replication {
			s += " replication"
		}
		for _, p := range o.Start.Parameters {
			s += " " + p.Name + "=" + p.Value
		}
		for _, p := range o.Start.Settings {
			s += " " + p.Name + "=" + p.Value
		}
		return s
	}
	return ""
}

// TestInjected has bytes behind a request for encryption in one packet (CVE-2021-23222), and a request
// that comes again.
func TestInjected(t *testing.T) {
	var m Machine
	if o := m.Step(append(pgscript.SSLRequest(), pgscript.Startup(pgscript.Version30, "user", "ann")...)); o.Err == nil || o.Err.SQLState != "08P01" || len(o.Reply) > 0 {
		t.Errorf("injected: %+v", o)
	}
	m = Machine{}
	m.Step(pgscript.SSLRequest())
	if o := m.Step(pgscript.GSSENCRequest()); o.Err != nil || string(o.Reply) != "N" {
		t.Errorf("GSSENC after SSL: %+v", o)
	}
	if o := m.Step(pgscript.SSLRequest()); o.Err == nil {
		t.Error("SSL twice is answered")
	}
	m = Machine{}
	m.Step(append(pgscript.Startup(pgscript.Version30, "user", "ann"), "more"...))
	if rest := m.Rest(); string(rest) != "more" {
		t.Errorf("behind the StartupMessage: %q", rest)
	}
}

// TestMessage reads password messages.
func TestMessage(t *testing.T) {
	var m Machine
	p := pgscript.Password("secret")
	for i := range p {
		body, ok, err := m.Message(p[i:i+1], 'p')
		if err != nil || ok != (i == len(p)-1) || ok && string(body) != "secret\x00" {
			t.Fatalf("byte %d: %q, %v, %v", i, body, ok, err)
		}
	}
	for _, bad := range [][]byte{pgscript.Query("SELECT 1"), {'p', 0, 1, 0, 4}, {'p', 0, 0, 0, 3}} {
		m = Machine{}
		if _, ok, err := m.Message(bad, 'p'); ok || err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}

// FuzzStep feeds packets in two ways: the outcome is the same.
func FuzzStep(f *testing.F) {
	f.Add(pgscript.Startup(pgscript.Version32, "user", "ann", "options", `-c a=b\ c`), 3)
	f.Add(pgscript.CancelRequest(1, []byte("1234")), 5)
	f.Fuzz(func(t *testing.T, in []byte, size int) {
		if size < 1 || len(in) > 1<<15 {
			return
		}
		if err := agree((*Machine).Step, in, size); err != nil {
			t.Error(err)
		}
	})
}

// FuzzMessage reads messages of the log-in in two ways: they are the same.
func FuzzMessage(f *testing.F) {
	f.Add(append(pgscript.Password("secret"), pgscript.SASLResponse("c=biws")...), 3)
	f.Add([]byte{'p', 0xff, 0xff, 0xff, 0xff}, 2)
	f.Fuzz(func(t *testing.T, in []byte, size int) {
		if size < 1 || len(in) > 1<<15 {
			return
		}
		if err := alike((*Machine).Message, in, size); err != nil {
			t.Error(err)
		}
	})
}

// message is how [Machine.Message] reads one.
type message func(*Machine, []byte, byte) ([]byte, bool, *pgerr.Error)

// alike says whether messages that come in pieces are those that come whole.
func alike(next message, in []byte, size int) error {
	whole := messages(next, [][]byte{in})
	if got := messages(next, slices.Collect(slices.Chunk(in, size))); !slices.Equal(got, whole) {
		return fmt.Errorf("whole %q, in pieces %q", whole, got)
	}
	n := 0
	for _, m := range whole {
		n += 5 + len(m)
	}
	if n > len(in)+5+len("08P01 ")+60 {
		return fmt.Errorf("%d bytes of messages in %d", n, len(in))
	}
	return nil
}

// messages reads all that there are, and what ends them.
func messages(next message, pieces [][]byte) (all []string) {
	var m Machine
	for _, p := range pieces {
		for {
			body, ok, err := next(&m, p, 'p')
			if err != nil {
				return append(all, err.SQLState+" "+err.Message)
			}
			if !ok {
				break
			}
			all, p = append(all, string(body)), nil
		}
	}
	return all
}

// agree says whether a packet that comes in pieces means what it means whole.
func agree(step func(*Machine, []byte) Outcome, in []byte, size int) error {
	var m1, m2 Machine
	whole := describe(step(&m1, in))
	for p := range slices.Chunk(in, size) {
		o := step(&m2, p)
		if len(o.Reply) > 0 {
			return nil // what comes behind an answer is another packet, and what came with the request is refused
		}
		if describe(o) != "" {
			if got := describe(o); got != whole {
				return fmt.Errorf("whole %q, in pieces %q", whole, got)
			}
			return nil
		}
	}
	return nil
}

// TestFuzzerSees plants a fault that the fuzzer's check has to see.
func TestFuzzerSees(t *testing.T) {
	forgets := func(m *Machine, p []byte) Outcome {
		if len(m.buf) > 20 {
			m.buf[12] = 'X'
		}
		return m.Step(p)
	}
	in := pgscript.Startup(pgscript.Version30, "user", "annabella", "database", "shop")
	if agree(forgets, in, 3) == nil {
		t.Error("a machine that spoils what it keeps is not seen")
	}
	if err := agree((*Machine).Step, in, 3); err != nil {
		t.Error(err)
	}
	drops := func(m *Machine, p []byte, t byte) ([]byte, bool, *pgerr.Error) {
		if len(m.buf) > 7 {
			m.buf[6] = 'X'
		}
		return m.Message(p, t)
	}
	in = append(pgscript.Password("secret"), pgscript.SASLResponse("c=biws")...)
	if alike(drops, in, 3) == nil {
		t.Error("a machine that spoils what it keeps of a message is not seen")
	}
	if err := alike((*Machine).Message, in, 3); err != nil {
		t.Error(err)
	}
}

// TestSecure begins TLS where the listener speaks it, and once.
func TestSecure(t *testing.T) {
	hello := []byte{handshake, 3, 1, 0, 5, 'h', 'e', 'l', 'l', 'o'}
	type step struct {
		in, reply, out string // out as describe has it, or "TLS" or "TLS direct" and what was received
	}
	ssl, gss := string(pgscript.SSLRequest()), string(pgscript.GSSENCRequest())
	ann := string(pgscript.Startup(pgscript.Version30, "user", "ann"))
	for _, c := range []struct {
		name   string
		offers bool
		steps  []step
	}{
		{"asked for", true, []step{{ssl, "S", ""}, {string(hello), "", "TLS " + string(hello)}, {ann, "", "ann@ann"}}},
		{"asked for in two pieces", true, []step{{ssl[:5], "", ""}, {ssl[5:], "S", ""}}},
		{"in pieces", true, []step{{ssl, "S", ""}, {string(hello[:1]), "", ""}, {string(hello[1:7]), "", ""}, {string(hello[7:]) + "more", "", "TLS " + string(hello) + "more"}}},
		{"no TLS behind the answer", true, []step{{ssl, "S", ""}, {ann, "", "TLS " + ann}}},
		{"a record that is too long", true, []step{{ssl, "S", ""}, {"\x16\x03\x01\xff\xff", "", "TLS \x16\x03\x01\xff\xff"}}},
		{"behind GSSENC", true, []step{{gss, "N", ""}, {ssl, "S", ""}, {string(hello), "", "TLS " + string(hello)}}},
		{"within TLS again", true, []step{{ssl, "S", ""}, {string(hello), "", "TLS " + string(hello)}, {ssl, "", "08P01 twice"}}},
		{"GSSENC within TLS", true, []step{{ssl, "S", ""}, {string(hello), "", "TLS " + string(hello)}, {gss, "", "08P01 twice"}}},
		{"TLS within TLS", true, []step{{ssl, "S", ""}, {string(hello), "", "TLS " + string(hello)}, {string(hello), "", "08P01 length"}}},
		{"bytes behind the request (CVE-2021-23222)", true, []step{{ssl + ann, "", "08P01 unencrypted"}}},
		{"direct", true, []step{{string(hello), "", "TLS direct " + string(hello)}, {ann, "", "ann@ann"}}},
		{"direct, the first byte alone", true, []step{{"\x16", "", ""}, {string(hello[1:]), "", "TLS direct " + string(hello)}}},
		{"direct, then asked for", true, []step{{string(hello), "", "TLS direct " + string(hello)}, {ssl, "", "08P01 twice"}}},
		{"direct behind a request that was refused", true, []step{{gss, "N", ""}, {string(hello), "", "08P01 length"}}},
		{"not spoken", false, []step{{ssl, "N", ""}, {ann, "", "ann@ann"}}},
		{"direct, not spoken", false, []step{{string(hello), "", "08P01 length"}}},
	} {
		m := Machine{Offers: c.offers}
		for i, s := range c.steps {
			o := m.Step([]byte(s.in))
			got := describe(o)
			switch {
			case o.Secure != nil && o.Secure.Direct:
				got = "TLS direct " + string(o.Secure.Received)
			case o.Secure != nil:
				got = "TLS " + string(o.Secure.Received)
			}
			if string(o.Reply) != s.reply || !matches(got, s.out) {
				t.Errorf("%s, step %d: reply %q, %q; want %q, %q", c.name, i, o.Reply, got, s.reply, s.out)
			}
		}
	}
}
