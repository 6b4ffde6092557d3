package exact

import (
	"fmt"
	"strings"
	"sync"
)

// A State is what a session is in when a message of its client is dealt with.
type State uint8

// The states. Those that begin with "behind" are in addition: the client did not know yet, as it had sent the
// message together with the one that made it so.
const (
	Idle State = iota
	InTransaction
	FailedTransaction
	UnitIdle
	UnitInTransaction
	UnitFailed
	SkippingIdle
	SkippingInTransaction
	SkippingFailed
	SuspendedUnit
	SuspendedInTransaction
	CopySimpleIdle
	CopySimpleInTransaction
	CopyUnitIdle
	CopyUnitInTransaction
	BehindRows
	BehindCopyOut
	BehindCopyIn
	BehindError
	states
)

var stateNames = [states]string{
	"idle", "in transaction", "failed transaction",
	"unit open, idle", "unit open, in transaction", "unit open, failed transaction",
	"skipping to Sync, idle", "skipping to Sync, in transaction", "skipping to Sync, failed transaction",
	"portal suspended, unit open", "portal suspended, in transaction",
	"COPY in, simple, idle", "COPY in, simple, in transaction", "COPY in, unit, idle", "COPY in, unit, in transaction",
	"behind rows", "behind COPY out", "behind COPY in", "behind an error",
}

// String names the state.
func (s State) String() string { return stateNames[s] }

// count counts the message that is dealt with now, in every state that holds.
func (m *Machine) count(f sent) {
	if m.Count == nil {
		return
	}
	offset := State(strings.IndexByte("ITE", m.status))
	switch m.mode {
	case ready, unit:
		switch {
		case m.suspended && m.mode == unit && m.status == 'I':
			m.Count(SuspendedUnit, f.kind)
		case m.suspended && m.status == 'T':
			m.Count(SuspendedInTransaction, f.kind)
		}
		if m.mode == ready {
			m.Count(Idle+offset, f.kind)
		} else {
			m.Count(UnitIdle+offset, f.kind)
		}
	case skipping:
		m.Count(SkippingIdle+offset, f.kind)
	case copySimple:
		m.Count(CopySimpleIdle+offset, f.kind)
	case copyUnit:
		m.Count(CopyUnitIdle+offset, f.kind)
	}
	for _, behind := range [...]struct {
		turn  int
		state State
	}{{m.rows, BehindRows}, {m.copyOut, BehindCopyOut}, {m.copyIn, BehindCopyIn}, {m.failed, BehindError}} {
		if behind.turn == f.turn {
			m.Count(behind.state, f.kind)
		}
	}
}

// Coverage counts which messages were dealt with in which states. Any goroutine may count.
type Coverage struct {
	mu    sync.Mutex
	cells [states][kinds]int
}

// Add counts one message.
func (c *Coverage) Add(s State, k Kind) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cells[s][k]++
}

// Missing returns the cells that are empty.
func (c *Coverage) Missing() (cells []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for s := range states {
		for k := range kinds {
			if c.cells[s][k] == 0 {
				cells = append(cells, fmt.Sprintf("%v in state %q", k, s))
			}
		}
	}
	return cells
}

// String is the matrix.
func (c *Coverage) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var b strings.Builder
	fmt.Fprintf(&b, "%-38s", "")
	for k := range kinds {
		fmt.Fprintf(&b, " %12s", k)
	}
	for s := range states {
		fmt.Fprintf(&b, "\n%-38s", s)
		for k := range kinds {
			fmt.Fprintf(&b, " %12d", c.cells[s][k])
		}
	}
	return b.String()
}
