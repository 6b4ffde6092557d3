package exact

import (
	"bytes"
	"strings"

	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgscript"
)

// A mode is what PostgreSQL does with the next message.
type mode uint8

const (
	ready      mode = iota // no unit is open
	unit                   // extended messages since the last Sync
	skipping               // one of them has failed
	copySimple             // COPY FROM STDIN of a Query
	copyUnit               // of an Execute
)

// A Machine follows what PostgreSQL does with the messages of one client, by its answers. It is told what
// is sent and what comes back.
type Machine struct {
	// Count is called for each message with a state in which it was dealt with.
	Count func(State, Kind)

	mode      mode
	status    byte // of the last ReadyForQuery
	suspended bool // a portal was suspended in this transaction
	over      bool // the server has closed the connection
	dying     bool // it will, without another message needed
	queue     []sent
	begun     bool // the front of the queue is counted
	turn      int
	lines     []byte // copy data that is not a whole line yet
	// The turns in which the messages were sent that brought rows, COPY data, the wait for COPY data, an error.
	rows, copyOut, copyIn, failed int
}

// sent is a message that is not dealt with yet.
type sent struct {
	kind Kind
	turn int
	owes bool // an error was the answer, and ReadyForQuery is still to come
	bad  bool // copy data with a line that is refused
	data []byte
	typ  byte
}

// NewMachine makes the machine of a client that has just logged in.
func NewMachine(count func(State, Kind)) *Machine {
	return &Machine{Count: count, status: 'I', rows: -1, copyOut: -1, copyIn: -1, failed: -1}
}

// Over says that the server has closed the connection.
func (m *Machine) Over() bool { return m.over }

// Rests says that the session is idle, and nothing is open or under way.
func (m *Machine) Rests() bool {
	m.settle()
	return m.mode == ready && m.status == 'I' && len(m.queue) == 0 && !m.dying && !m.over
}

// Send notes a turn.
func (m *Machine) Send(t Turn) {
	m.turn++
	for _, raw := range t {
		s := sent{kind: kindOf(raw), turn: m.turn, typ: raw[0]}
		if s.kind == CopyData {
			s.data = raw[5:]
		}
		m.queue = append(m.queue, s)
	}
}

// Due says whether an answer is certain to come without another message. Where that cannot be known it says
// no: what comes is taken for an answer in the next turn.
func (m *Machine) Due() bool {
	m.settle()
	if m.over || len(m.queue) == 0 {
		return m.dying && !m.over
	}
	if m.dying {
		return true
	}
	f := m.queue[0]
	if f.owes || final(f) || f.kind == Malformed {
		return true
	}
	switch m.mode {
	case copySimple:
		return true
	case copyUnit:
		if f.typ != 'c' {
			return true
		}
	default:
		if m.answersAtOnce(f) {
			return true
		}
	}
	for _, s := range m.queue[1:] {
		if s.typ == 'H' || m.answersAtOnce(s) || final(s) {
			return true
		}
	}
	return false
}

// answersAtOnce says whether the server does not keep the answer back until it is asked for it.
func (m *Machine) answersAtOnce(s sent) bool { return s.typ == 'Q' || s.typ == 'S' || s.typ == 'F' }

// final says whether the server closes the connection at the message.
func final(s sent) bool { return s.kind == Unknown || s.kind == BadLength || s.kind == Terminate }

// settle takes those messages off the queue that have no answer, and counts the one that is dealt with next.
func (m *Machine) settle() {
	for len(m.queue) > 0 && !m.dying {
		f := m.queue[0]
		if !m.begun {
			m.begun = true
			m.count(f)
			if m.mode == copySimple || m.mode == copyUnit {
				m.queue[0].bad = m.refuses(f.data)
				f = m.queue[0]
			}
		}
		if m.answered(f) {
			return
		}
		m.pop()
	}
}

// refuses says whether COPY is certain to refuse the data at this point: a line does not begin with a number, or has too
// many columns. It may refuse others: that answer is unforeseen.
func (m *Machine) refuses(data []byte) bool {
	m.lines = append(m.lines, data...)
	for {
		line, rest, ok := bytes.Cut(m.lines, []byte("\n"))
		if !ok {
			return false
		}
		m.lines = rest
		if len(line) == 0 || !digit(line[0]) && line[0] != '\\' && !bytes.HasPrefix(line, []byte("PGCOPY")) || bytes.Count(line, []byte("\t")) > 1 {
			return true
		}
	}
}

// answered says whether the server answers the message in the present mode.
func (m *Machine) answered(f sent) bool {
	if f.owes || final(f) {
		return true
	}
	switch m.mode {
	case skipping:
		return f.typ == 'S'
	case copySimple, copyUnit:
		return f.typ != 'H' && f.typ != 'S' && (f.typ != 'd' || f.bad)
	}
	return f.typ != 'd' && f.typ != 'c' && f.typ != 'f' && (f.typ != 'H' || f.kind == Malformed)
}

func (m *Machine) pop() {
	m.queue, m.begun = m.queue[1:], false
}

// Answer notes a message of the server.
func (m *Machine) Answer(a pgscript.Message) {
	m.settle()
	if a.Type == end.Type {
		m.over = true
		return
	}
	if len(m.queue) == 0 {
		m.queue, m.begun = []sent{{turn: m.turn}}, true // it is about something that could not be foreseen
	}
	f := &m.queue[0]
	switch a.Type {
	case 'E':
		m.error(f, a)
	case 'Z':
		m.mode, m.status = ready, a.Body[0]
		m.suspended = m.suspended && m.status != 'I'
		m.pop()
	case '1', '2', '3', 'n':
		m.mode = unit
		m.pop()
	case 'T':
		if f.typ == 'D' {
			m.mode = unit
			m.pop()
		}
	case 'D':
		m.rows = f.turn
	case 'H':
		m.copyOut = f.turn
	case 'G':
		m.copyIn, m.lines = f.turn, nil
		if f.typ == 'E' || m.mode == copyUnit {
			m.mode = copyUnit
		} else {
			m.mode = copySimple
		}
		m.pop()
	case 's':
		m.suspended = true
		m.mode = unit
		m.pop()
	case 'C', 'I':
		if f.typ == 'E' || m.mode == copyUnit {
			m.mode = unit
			m.pop()
		}
	}
}

// error notes an ErrorResponse to the message f.
func (m *Machine) error(f *sent, a pgscript.Message) {
	m.failed = f.turn
	severity := a.Field('V')
	if severity == "FATAL" || severity == "PANIC" {
		m.dying = true
		return
	}
	inCopy := m.mode == copySimple || m.mode == copyUnit
	lost := inCopy && strings.HasPrefix(a.Field('M'), "unexpected message type")
	if inCopy && !lost && f.typ != 0 && m.answered(*f) && f.typ != 'c' && f.typ != 'f' && f.typ != 'd' {
		m.queue, m.begun = append([]sent{{turn: m.turn}}, m.queue...), true // it is about what came before
		f = &m.queue[0]
	}
	switch {
	case lost, final(*f) && !inCopy:
		m.dying = true // the synchronisation is lost
	case m.mode == copyUnit:
		m.mode = skipping
		m.pop()
	case m.mode == copySimple, f.typ == 'Q', f.typ == 'F', f.typ == 'S', f.typ == 0 && m.mode == ready:
		m.mode, f.owes = ready, true
	default:
		m.mode = skipping
		m.pop()
	}
}
