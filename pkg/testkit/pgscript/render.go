package pgscript

import (
	"encoding/binary"
	"fmt"
	"strings"
)

// A Message is one message as read. Body is the message's own.
type Message struct {
	Type byte // 0 for the messages that open a connection
	Body []byte
}

// Backend renders a message of a server as one line: its type byte and what a test compares.
func (m Message) Backend() string {
	r := reader{b: m.Body}
	switch m.Type {
	case 'R':
		return m.line(fmt.Sprint(r.u32()))
	case 'S':
		return m.line(r.cstr() + "=" + r.cstr())
	case 'K':
		return m.line("")
	case 'v':
		return m.line(fmt.Sprintf("3.%d %s", r.u32()&0xffff, strings.Join(r.cstrs(int(r.u32())), " ")))
	case 'Z':
		return m.line(string(m.Body))
	case 'T':
		cols := make([]string, r.u16())
		for i := range cols {
			name := r.cstr()
			r.skip(6)
			cols[i] = fmt.Sprintf("%s:%d", name, r.u32())
			r.skip(8)
		}
		return m.line(strings.Join(cols, " "))
	case 't':
		return m.line(r.oids())
	case 'D':
		return m.line(strings.Join(r.values(), " | "))
	case 'C':
		return m.line(r.cstr())
	case 'E', 'N':
		return m.line(m.Field('C') + " " + m.Field('M'))
	case 'A':
		r.skip(4)
		return m.line(r.cstr() + " " + r.cstr())
	case 'd':
		return m.line(fmt.Sprintf("%q", m.Body))
	case 'G', 'H', 'W':
		r.skip(1)
		return m.line(fmt.Sprint(r.u16()))
	}
	return m.line(hex(m.Body))
}

// Frontend renders a message of a client.
func (m Message) Frontend() string {
	r := reader{b: m.Body}
	switch m.Type {
	case 0:
		return m.opening(&r)
	case 'Q', 'f':
		return m.line(r.cstr())
	case 'P':
		return m.line(fmt.Sprintf("%s %q %s", r.cstr(), r.cstr(), r.oids()))
	case 'B':
		portal, statement := r.cstr(), r.cstr()
		r.skip(2 * r.u16())
		return m.line(fmt.Sprintf("%s %s %s", portal, statement, strings.Join(r.values(), " | ")))
	case 'F':
		oid := r.u32()
		r.skip(2 * r.u16())
		return m.line(fmt.Sprintf("%d %s", oid, strings.Join(r.values(), " | ")))
	case 'D', 'C':
		return m.line(string(r.take(1)) + " " + r.cstr())
	case 'E':
		return m.line(fmt.Sprintf("%s %d", r.cstr(), r.u32()))
	case 'p':
		return m.line(r.cstr())
	case 'd':
		return m.line(fmt.Sprintf("%q", m.Body))
	}
	return m.line(hex(m.Body))
}

func (m Message) opening(r *reader) string {
	switch code := r.u32(); code {
	case sslCode:
		return "SSLRequest"
	case gssCode:
		return "GSSENCRequest"
	case cancelCode:
		return fmt.Sprintf("CancelRequest %d %x", r.u32(), r.b)
	default:
		var params []string
		for name := r.cstr(); name != ""; name = r.cstr() {
			params = append(params, name+"="+r.cstr())
		}
		return fmt.Sprintf("Startup %d.%d %s", code>>16, code&0xffff, strings.Join(params, " "))
	}
}

// Field returns a field of an ErrorResponse or NoticeResponse, "" when it has none of that letter.
func (m Message) Field(letter byte) string {
	r := reader{b: m.Body}
	for f := r.cstr(); f != ""; f = r.cstr() {
		if f[0] == letter {
			return f[1:]
		}
	}
	return ""
}

func (m Message) line(text string) string {
	return strings.TrimRight(string(m.Type)+" "+text, " ")
}

func hex(b []byte) string {
	if len(b) == 0 {
		return ""
	}
	return fmt.Sprintf("%x", b)
}

// A reader takes a body apart; what is missing reads as zero, so that a broken message renders as something and never
// panics.
type reader struct{ b []byte }

func (r *reader) take(n int) []byte {
	n = max(0, min(n, len(r.b)))
	out := r.b[:n]
	r.b = r.b[n:]
	return out
}

func (r *reader) skip(n int) { r.take(n) }

func (r *reader) u32() uint32 {
	var b [4]byte
	copy(b[:], r.take(4))
	return binary.BigEndian.Uint32(b[:])
}

func (r *reader) u16() int {
	var b [2]byte
	copy(b[:], r.take(2))
	return int(binary.BigEndian.Uint16(b[:]))
}

func (r *reader) cstr() string {
	s, rest, _ := strings.Cut(string(r.b), "\x00")
	r.b = []byte(rest)
	return s
}

func (r *reader) cstrs(n int) []string {
	var out []string
	for ; n > 0 && len(r.b) > 0; n-- {
		out = append(out, r.cstr())
	}
	return out
}

func (r *reader) oids() string {
	var out []string
	for n := r.u16(); n > 0 && len(r.b) > 0; n-- {
		out = append(out, fmt.Sprint(r.u32()))
	}
	return strings.Join(out, " ")
}

func (r *reader) values() []string {
	var out []string
	for n := r.u16(); n > 0 && len(r.b) > 0; n-- {
		if size := r.u32(); size == ^uint32(0) {
			out = append(out, "NULL")
		} else {
			out = append(out, string(r.take(int(size))))
		}
	}
	return out
}
