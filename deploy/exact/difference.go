package exact

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgscript"
)

// A Difference is one way in which the proxy's answers may differ from PostgreSQL's. There are no others.
type Difference struct {
	Name   string
	Modes  []Mode // nil: all
	What   string
	Reason string

	// alike says whether the two messages count as one.
	alike func(x *pair) bool
	// ends says whether nothing can be compared from here on.
	ends func(x *pair) bool
}

// pair is a message of PostgreSQL, what the proxy has answered, and where.
type pair struct {
	mode      Mode
	want, got pgscript.Message
	before    []pgscript.Message // what the proxy has answered in this turn so far
	rest      []pgscript.Message // what PostgreSQL answers from want on
	turn      Turn
	sent      Turn // and what was sent before it
	ddl       bool // objects were changed before
}

// last says that PostgreSQL answers nothing more that a client waits for.
func (x *pair) last() bool {
	return !slices.ContainsFunc(x.rest, func(m pgscript.Message) bool { return m.Type == 'Z' })
}

// Differences is the table.
func Differences() []Difference {
	return []Difference{
		{
			Name:   "object identifiers",
			What:   "The OIDs of objects that the sequence has created itself, in RowDescription and ParameterDescription.",
			Reason: "They come from a counter of the whole cluster: PostgreSQL does not give the same ones twice either.",
			alike:  func(x *pair) bool { return bytes.Equal(withoutOIDs(x.want), withoutOIDs(x.got)) },
		},
		{
			Name:   "places of errors",
			What:   "File, line and routine (F, L, R) of an error that the proxy makes itself: it has none, but for the routine where drivers go by it.",
			Reason: "They are places in PostgreSQL's source.",
			alike: func(x *pair) bool {
				return x.got.Type == 'E' && bytes.Equal(withoutPlace(x.want), withoutPlace(x.got)) && x.got.Field('F') == "" &&
					(x.got.Field('R') == "" || x.got.Field('R') == "RevalidateCachedQuery")
			},
		},
		{
			Name:   "messages during COPY",
			What:   "The type that the error names, which ends a COPY FROM STDIN at a message that does not belong there: it is that of what the proxy sends in its place.",
			Reason: "A statement goes to the server under another name, or after another message.",
			alike: func(x *pair) bool {
				inCopy := func(m pgscript.Message) bool {
					return m.Type == 'E' && m.Field('C') == "08P01" && strings.HasPrefix(m.Field('M'), "unexpected message type") && strings.HasSuffix(m.Field('M'), "during COPY from stdin")
				}
				return inCopy(x.want) && inCopy(x.got)
			},
		},
		{
			Name:   "process identifiers",
			What:   "The sender's process identifier in NotificationResponse, as pg_backend_pid(), is the server process's; the one in BackendKeyData is not.",
			Reason: "The key in BackendKeyData is the proxy's own, as CancelRequest comes to the proxy.",
			alike: func(x *pair) bool {
				return x.want.Type == 'A' && x.got.Type == 'A' && bytes.Equal(x.want.Body[4:], x.got.Body[4:])
			},
		},
		{
			Name: "messages that are none",
			What: "A message of an unknown type, or of a length that none can have, ends the connection with FATAL 08P01 in the proxy's words, also in COPY and where PostgreSQL says nothing." +
				" Where it cannot be told how long the message is PostgreSQL keeps the answers that were not asked for by then; they are given where the proxy has asked the server for something of its own.",
			Reason: "The server connection is not the client's alone, and would be lost with such a message.",
			ends: func(x *pair) bool {
				has := func(k Kind) bool {
					return slices.ContainsFunc(x.turn, func(raw []byte) bool { return kindOf(raw) == k })
				}
				if x.want.Type == end.Type && has(BadLength) {
					return true
				}
				return x.got.Type == 'E' && x.got.Field('V') == "FATAL" && strings.HasPrefix(x.got.Field('M'), "protocol violation: invalid") && x.last() &&
					(has(Unknown) || has(BadLength))
			},
		},
		{
			Name: "Terminate in COPY",
			What: "A client that says goodbye while it owes COPY data is told nothing; PostgreSQL complains twice, of what comes first instead of data, and closes the connection." +
				" Behind a COPY that has failed with Syncs among its data he is not told which of them count.",
			Reason: "Nobody reads it. The server connection is brought back, and the COPY is undone as with PostgreSQL.",
			ends: func(x *pair) bool {
				if x.got.Type == end.Type && x.want.Type == 'Z' && copyThenGoodbye(x.turn) {
					return true
				}
				goodbye := slices.ContainsFunc(x.turn, func(raw []byte) bool { return kindOf(raw) == Terminate })
				m := x.want.Field('M')
				return x.got.Type == end.Type && x.want.Type == 'E' &&
					(strings.HasPrefix(m, "unexpected message type 0x58 during COPY") || goodbye && strings.HasPrefix(m, "unexpected message type") && strings.HasSuffix(m, "during COPY from stdin"))
			},
		},
		{
			Name:   "answers that nobody has asked for",
			What:   "A client that says goodbye may not be given answers that it has not asked for by Sync, Flush, Query or FunctionCall, of which PostgreSQL still sends an error, and what was before it; or be given some that PostgreSQL keeps.",
			Reason: "The proxy lets go of the server connection at once, which sends nothing before it is asked. What was not synced is undone, as with PostgreSQL.",
			ends: func(x *pair) bool {
				return (x.got.Type == end.Type || x.want.Type == end.Type) && unasked(x.sent) && x.last()
			},
		},
		{
			Name:   "currval and lastval",
			Modes:  []Mode{Transaction, Statement},
			What:   "They may answer 55000, not yet defined in this session, although the session has called nextval in an earlier transaction. They never answer another session's value.",
			Reason: "The value is the server connection's. To keep it for everybody who inserts into a table with a sequence would be pool mode session.",
			ends: func(x *pair) bool {
				return x.got.Type == 'E' && x.got.Field('C') == "55000" && strings.HasSuffix(x.got.Field('M'), "not yet defined in this session")
			},
		},
		{
			Name:  "types that have changed",
			Modes: []Mode{Transaction, Statement},
			What: "After DDL, a prepared statement whose result type has changed may work at its next Bind or Describe, where PostgreSQL says 0A000, cached plan must not" +
				" change result type; and a Describe may tell the types that its parameters have now, not those that they had, where it was not told them before, or say 0A000 without telling them first.",
			Reason: "The server connection that the session has now may have parsed the statement only after the change.",
			ends: func(x *pair) bool {
				refused := x.want.Type == 'E' && x.want.Field('C') == "0A000" && x.want.Field('M') == "cached plan must not change result type"
				return x.ddl && (refused && x.got.Type != 'E' || x.want.Type == 't' && (x.got.Type == 't' || x.got.Field('M') == "cached plan must not change result type"))
			},
		},
		{
			Name:  "statements in a failed transaction",
			Modes: []Mode{Transaction, Statement},
			What: "A prepared statement that the server connection does not have can not be used in a failed transaction: the 25P02 is that of its Parse (F, L, R differ)," +
				" and it comes also at a Describe that PostgreSQL answers, for statements without rows, and in place of the 08P01 of a Bind with too few or too many values.",
			Reason: "In a failed transaction PostgreSQL parses nothing but what ends it.",
			alike: func(x *pair) bool {
				if x.got.Field('C') != "25P02" {
					return false
				}
				return x.want.Field('C') == "08P01" && x.got.Field('R') == "exec_parse_message" || bytes.Equal(withoutPlace(x.want), withoutPlace(x.got))
			},
			ends: func(x *pair) bool {
				return x.want.Type == 't' && x.got.Type == 'E' && x.got.Field('C') == "25P02"
			},
		},
		{
			Name:  "DEALLOCATE that is prepared",
			Modes: []Mode{Transaction, Statement},
			What: "Of a DEALLOCATE, or a DISCARD ALL, that was sent by Parse: it is decided at that Parse, and not at Execute, whether it is about a statement" +
				" of the protocol. A name that it sets free can be prepared again in the next unit, and not in its own, in which the statement can still be used.",
			Reason: "Such a statement has another name at the server, and the text is put into other words when it is parsed.",
			ends: func(x *pair) bool {
				if !slices.ContainsFunc(x.sent, prepares) {
					return false
				}
				gone := x.want.Type == 'E' && x.want.Field('C') == "26000"
				if x.want.Type == '1' && x.got.Field('C') == "42P05" || gone && (x.got.Type == '2' || x.got.Type == 't' || x.got.Field('C') == "42P03" || string(x.got.Body) == "DEALLOCATE\x00") {
					return true
				}
				return x.want.Type == 'C' && string(x.want.Body) == "DEALLOCATE\x00" && x.got.Type == 'E' && x.got.Field('C') == "26000"
			},
		},
		{
			Name:  "a Describe that fails",
			Modes: []Mode{Transaction, Statement},
			What: "The ParameterDescription ahead of the error, where a prepared statement cannot be analyzed any more, as search_path is another one: it is missing" +
				" where the session has another server connection than that on which it was prepared.",
			Reason: "The statement is parsed there for the first time, and fails as a whole.",
			ends: func(x *pair) bool {
				return x.want.Type == 't' && x.got.Type == 'E' && len(x.rest) > 1 && x.rest[1].Type == 'E' && x.rest[1].Field('C') == x.got.Field('C')
			},
		},
		{
			Name:  "VACUUM behind a Parse",
			Modes: []Mode{Transaction, Statement},
			What: "VACUUM and other statements that PostgreSQL refuses in a pipeline (25001), in a Query behind a Parse without a Sync between, where nothing was executed:" +
				" PostgreSQL takes them, the proxy may have them refused.",
			Reason: "Where it does not know under which settings the server has parsed a statement the proxy asks, in the same unit.",
			ends: func(x *pair) bool {
				return x.want.Type == 'C' && x.got.Type == 'E' && x.got.Field('C') == "25001" && strings.HasSuffix(x.got.Field('M'), "cannot be executed within a pipeline")
			},
		},
		{
			Name:   "transaction blocks in pool mode statement",
			Modes:  []Mode{Statement},
			What:   "A text with BEGIN or START TRANSACTION in it is refused with 0A000 before it is sent, and so is one that is larger than max_statement_bytes. What comes behind cannot be compared.",
			Reason: "Pool mode statement is asked for in order to have no transactions of several statements.",
			ends: func(x *pair) bool {
				return x.got.Type == 'E' && x.got.Field('C') == "0A000" && strings.HasSuffix(x.got.Field('M'), " are not allowed in pool mode statement")
			},
		},
	}
}

// verdict is what becomes of a pair.
type verdict uint8

const (
	differs verdict = iota
	same
	ends
)

// judge compares a pair by the table.
func (h *Harness) judge(x *pair) verdict {
	if x.want.Type == x.got.Type && bytes.Equal(x.want.Body, x.got.Body) {
		return same
	}
	for _, d := range Differences() {
		if !d.holds(x.mode) {
			continue
		}
		if d.alike != nil && d.alike(x) {
			h.Used[d.Name]++
			return same
		}
		if d.ends != nil && d.ends(x) {
			h.Used[d.Name]++
			return ends
		}
	}
	return differs
}

func (d *Difference) holds(m Mode) bool {
	for _, in := range d.Modes {
		if in == m {
			return true
		}
	}
	return d.Modes == nil
}

// prepares says whether a message is the Parse of a DEALLOCATE or a DISCARD ALL.
func prepares(raw []byte) bool {
	return kindOf(raw) == Parse && (bytes.Contains(raw, []byte("\x00DEALLOCATE ")) || bytes.Contains(raw, []byte("\x00DISCARD ALL")))
}

// copyThenGoodbye says whether a turn has COPY data, a Sync behind it, and then a Terminate.
func copyThenGoodbye(t Turn) bool {
	want := []Kind{CopyData, Sync, Terminate}
	for _, raw := range t {
		if kindOf(raw) == want[0] {
			if want = want[1:]; len(want) == 0 {
				return true
			}
		}
	}
	return false
}

// unasked says whether a turn has a Terminate with something in front that was not asked to be answered.
func unasked(t Turn) bool {
	open := false
	for _, raw := range t {
		switch k := kindOf(raw); k {
		case Sync, Flush, Query, FunctionCall:
			open = false
		case Terminate:
			return open
		default:
			open = true
		}
	}
	return false
}

// withoutOIDs returns the type and body of a message without the OIDs of objects that are not in the template.
func withoutOIDs(m pgscript.Message) []byte {
	b := append([]byte{m.Type}, m.Body...)
	r := reader{b: b[1:]}
	blank := func() {
		if at := r.take(4); len(at) == 4 && binary.BigEndian.Uint32(at) >= lastOID {
			copy(at, []byte{255, 255, 255, 255})
		}
	}
	switch m.Type {
	case 'T':
		for n := r.u16(); n > 0 && !r.bad; n-- {
			r.cstr()
			blank()
			r.take(2)
			blank()
			r.take(8)
		}
	case 't':
		for n := r.u16(); n > 0 && !r.bad; n-- {
			blank()
		}
	}
	return b
}

// withoutPlace returns an ErrorResponse without file, line and routine.
func withoutPlace(m pgscript.Message) []byte {
	out := []byte{m.Type}
	r := reader{b: m.Body}
	for f := r.cstr(); f != ""; f = r.cstr() {
		if f[0] != 'F' && f[0] != 'L' && f[0] != 'R' {
			out = append(append(out, f...), 0)
		}
	}
	return out
}

// full renders a message with everything that is compared.
func full(m pgscript.Message) string {
	switch m.Type {
	case end.Type:
		return "the end of the connection"
	case 'E', 'N':
		var fields []string
		r := reader{b: m.Body}
		for f := r.cstr(); f != ""; f = r.cstr() {
			fields = append(fields, f[:1]+"="+f[1:])
		}
		return string(m.Type) + " " + strings.Join(fields, " ")
	case 'T':
		return fmt.Sprintf("%s %x", m.Backend(), withoutOIDs(m)[1:])
	case 'D':
		r := reader{b: m.Body}
		return "D" + list(r.values())
	}
	return m.Backend()
}
