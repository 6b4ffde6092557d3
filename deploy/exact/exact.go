// Package exact compares the proxy with PostgreSQL, message by message: it plays sequences of frontend messages to both and holds the answers against each other. It never knows what an answer ought to be: the oracle is PostgreSQL itself, and what may differ stands in one table, a reason a row.
//
// A [Sequence] is written in a notation that is read and printed (notation.go), so that what a generator
// has found (generate.go) can be read, repeated and kept as a script in testdata. [Machine] follows
// PostgreSQL's side of the protocol: it says when an answer is due, so that nothing ever waits by the
// clock, and in which state each message was dealt with, which is what [Coverage] counts.
package exact

import (
	"encoding/binary"

	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgscript"
)

// A Sequence is what one client sends, from a session as it is after log-in.
type Sequence struct {
	Name  string
	Turns []Turn
	// Servers says on how many server connections it is played; 0 is every number that there is.
	Servers int
}

// A Turn is what the client sends before it waits for the answers: whole messages with their headers.
type Turn [][]byte

// Len returns the number of messages.
func (s Sequence) Len() (n int) {
	for _, t := range s.Turns {
		n += len(t)
	}
	return n
}

// A Kind is what a frontend message is, as far as the protocol tells them apart.
type Kind uint8

// The kinds.
const (
	Query Kind = iota
	Parse
	Bind
	DescribeStatement
	DescribePortal
	Execute
	CloseStatement
	ClosePortal
	Sync
	Flush
	FunctionCall
	CopyData
	CopyDone
	CopyFail
	Terminate
	Unknown   // a type that no frontend message has
	Malformed // a body that is not of its type
	BadLength // a length that no message can have
	kinds
)

var kindNames = [kinds]string{
	"Query", "Parse", "Bind", "Describe S", "Describe P", "Execute", "Close S", "Close P", "Sync", "Flush", "FunctionCall",
	"CopyData", "CopyDone", "CopyFail", "Terminate", "unknown", "malformed", "bad length",
}

// String returns the name of the protocol's manual.
func (k Kind) String() string { return kindNames[k] }

// kindOf says what a message is.
func kindOf(raw []byte) Kind {
	if len(raw) < 5 || int64(binary.BigEndian.Uint32(raw[1:])) != int64(len(raw)-1) {
		return BadLength
	}
	k, r := Unknown, reader{b: raw[5:]}
	switch raw[0] {
	case 'Q':
		k = Query
		r.cstr()
	case 'P':
		k = Parse
		r.cstr()
		r.cstr()
		r.take(4 * r.u16())
	case 'B':
		k = Bind
		r.cstr()
		r.cstr()
		r.take(2 * r.u16())
		r.values()
		r.take(2 * r.u16())
	case 'D', 'C':
		k = named(raw[0], r.take(1))
		r.cstr()
	case 'E':
		k = Execute
		r.cstr()
		r.take(4)
	case 'S':
		k = Sync
	case 'H':
		k = Flush
	case 'F':
		k = FunctionCall
		r.take(4)
		r.take(2 * r.u16())
		r.values()
		r.take(2)
	case 'd':
		return CopyData
	case 'c':
		return CopyDone
	case 'f':
		k = CopyFail
		r.cstr()
	case 'X':
		return Terminate
	default:
		return Unknown
	}
	if r.bad || len(r.b) > 0 {
		return Malformed
	}
	return k
}

func named(t byte, what []byte) Kind {
	switch {
	case len(what) == 0:
		return Malformed
	case t == 'D' && what[0] == 'S':
		return DescribeStatement
	case t == 'D' && what[0] == 'P':
		return DescribePortal
	case t == 'C' && what[0] == 'S':
		return CloseStatement
	case t == 'C' && what[0] == 'P':
		return ClosePortal
	}
	return Malformed
}

// A reader takes a body apart and notes whether it ended early.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) take(n int) []byte {
	if n > len(r.b) {
		r.bad = true
		n = len(r.b)
	}
	out := r.b[:n]
	r.b = r.b[n:]
	return out
}

func (r *reader) u16() int {
	if b := r.take(2); len(b) == 2 {
		return int(binary.BigEndian.Uint16(b))
	}
	return 0
}

func (r *reader) u32() uint32 {
	if b := r.take(4); len(b) == 4 {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

func (r *reader) cstr() string {
	for i, c := range r.b {
		if c == 0 {
			s := string(r.b[:i])
			r.b = r.b[i+1:]
			return s
		}
	}
	r.bad = true
	r.b = nil
	return ""
}

// values reads a count and as many values; nil is NULL.
func (r *reader) values() (vs [][]byte) {
	for n := r.u16(); n > 0 && !r.bad; n-- {
		if size := r.u32(); size == ^uint32(0) {
			vs = append(vs, nil)
		} else if int64(size) > int64(len(r.b)) {
			r.bad = true
		} else {
			vs = append(vs, append([]byte{}, r.take(int(size))...))
		}
	}
	return vs
}

func (r *reader) formats() (fs []int) {
	for n := r.u16(); n > 0 && !r.bad; n-- {
		fs = append(fs, r.u16())
	}
	return fs
}

// end is what stands in a transcript where the server has closed the connection.
var end = pgscript.Message{}
