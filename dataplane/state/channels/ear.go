package channels

import (
	"github.com/heliosproxy/heliosproxy/dataplane/state/effects"
	"github.com/heliosproxy/heliosproxy/dataplane/state/statement"
	"github.com/heliosproxy/heliosproxy/pkg/pgwire"
	"github.com/heliosproxy/heliosproxy/pkg/sqltext"
)

// Ear is what every session has for LISTEN. It costs a session that does not listen nothing.
type Ear struct {
	// Shares says that LISTEN is left to the connection that listens for all, where it can be followed. Owner leads there.
	Shares bool
	Owner  Owner
	// Hears is what the session listens to there; nil for one that does not.
	Hears *Listening
	// Waits says that something cannot be sent before the listener has answered.
	Waits bool
	// Here says that the session's server connection listens to all of it too.
	Here bool

	asked     bool // once
	catches   bool // it waits for notifications
	savepoint bool // the transaction has made savepoints when nobody followed them
}

// Leaves says whether a LISTEN may be left to the connection that listens for all, as far as that does not depend on its text.
func (e *Ear) Leaves(f sqltext.Flags) bool {
	return e.Shares && f&sqltext.FlagListen != 0 && !e.savepoint
}

// Concerned says whether a statement that was prepared may have to do with LISTEN.
func (e *Ear) Concerned() bool { return e.asked || e.Hears != nil }

// Await asks for the channels that a text listens to, and, where nothing is under way, for the notifications that were sent before a
// text that ends that. Asked means that the session waits.
func (e *Ear) Await(fx *statement.Effects, alone bool) State {
	if fx == nil {
		return Confirmed
	}
	if !fx.Listens() {
		if e.Hears == nil || !alone || !fx.Unlistens() {
			return Confirmed
		}
		st := e.Hears.Catch()
		e.Waits, e.catches = st == Asked, st == Asked
		return st
	}
	e.asked = true
	if e.Hears == nil {
		e.Hears = Begin(e.Owner)
	}
	st := e.Hears.Await(fx)
	e.Waits = st == Asked
	return st
}

// Resume says, once, that a session which waits can go on.
func (e *Ear) Resume() bool {
	was := e.Waits
	e.Waits = was && e.Hears != nil && e.Hears.Asking()
	if !was || e.Waits {
		return false
	}
	if e.catches {
		e.Owner.Tell()
	}
	e.catches = false
	return true
}

// Follow adds what the text does to savepoints to its effects, if the session listens. Otherwise it is noted that there are some.
func (e *Ear) Follow(fx *statement.Effects, f sqltext.Flags, text []byte, stdStrings bool) *statement.Effects {
	if f&sqltext.FlagTransactionControl == 0 || !e.Shares {
		return fx
	}
	if e.Hears == nil {
		e.savepoint = e.savepoint || effects.MakesSavepoint(text, stdStrings)
		return fx
	}
	return effects.Savepoints(fx, text, stdStrings)
}

// Complete notes a CommandComplete, as [Listening.Complete] does.
func (e *Ear) Complete(body []byte, fx *statement.Effects, ordinal int) {
	if e.Hears != nil {
		e.Hears.Complete(body, fx, ordinal)
	}
}

// Do notes what a statement has done.
func (e *Ear) Do(a statement.Action, name string) {
	if e.Hears != nil {
		e.Hears.Do(a, name)
	}
}

// Fail notes that something was refused.
func (e *Ear) Fail() {
	if e.Hears != nil {
		e.Hears.Fail()
	}
}

// Ready notes a ReadyForQuery with the status of the transaction. rests says that nothing is under way, here that the server
// connection listens to something.
func (e *Ear) Ready(status byte, rests, here bool) {
	if e.Hears != nil || e.savepoint || e.Here {
		e.ready(status, rests, here)
	}
}

func (e *Ear) ready(status byte, rests, here bool) {
	rests = rests && !e.Waits
	e.savepoint = e.savepoint && (status != pgwire.Idle || !rests)
	e.Here = e.Here && here
	if e.Hears != nil && !e.Hears.Ready(status, rests) {
		e.Hears = nil
	}
}

// Once leaves of notifications, which the session's server connection has sent as whole messages, those that the listener does not
// bring too. It changes p.
func (e *Ear) Once(p []byte) []byte {
	if e.Hears == nil {
		return p
	}
	kept := p[:0]
	for len(p) > 0 {
		n := pgwire.HeaderSize + pgwire.Body(p)
		if !e.Hears.Twice(p[pgwire.HeaderSize:n]) {
			kept = append(kept, p[:n]...)
		}
		p = p[n:]
	}
	return kept
}

// Leave ends it.
func (e *Ear) Leave() {
	if e.Hears != nil {
		e.Hears.Leave()
		e.Hears = nil
	}
}

// Restore lets a session take part again that has listened to channels by another process's connection, in its encoding. It
// is told that what was sent meanwhile may be lost.
func (e *Ear) Restore(names []string, encoding string) {
	e.asked, e.Hears = true, Begin(e.Owner)
	e.Hears.encoding = encoding
	for _, name := range names {
		e.Hears.Listen(name)
	}
	e.Hears.Commit()
	e.Hears.keep()
}

// Waiting says whether notifications wait to be delivered.
func (e *Ear) Waiting() bool { return e.Hears != nil && e.Hears.Waiting() }
