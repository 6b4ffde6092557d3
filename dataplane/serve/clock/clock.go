// Package clock ends what takes too long: a statement, a transaction, a client that does nothing. It never looks at a message.
package clock

import (
	"time"

	"github.com/heliosproxy/heliosproxy/dataplane/reactor"
	"github.com/heliosproxy/heliosproxy/dataplane/snapshot"
	"github.com/heliosproxy/heliosproxy/pkg/pgerr"
)

// Client is whose session it is. All of it belongs to one loop.
type Client interface {
	Loop() *reactor.Loop
	// LoggedIn says whether the session has begun and is not over, Idle whether no transaction is open, Leased whether it has a server
	// connection.
	LoggedIn() bool
	Idle() bool
	Leased() bool
	// Kill ends the session.
	Kill(error)
	// Overdue cancels the statement, which has taken so long, and calls through when that has been through.
	Overdue(after time.Duration, through func())
}

// New makes the clock of a client.
func New(of Client, times snapshot.Times) *Clock {
	k := &Clock{of: of, times: times, since: of.Loop().Now()}
	k.timer.Init(k)
	k.wind()
	return k
}

// Bound says how long the session may take from now on.
func (k *Clock) Bound(times snapshot.Times) {
	k.times = times
	k.wind()
}

// Doing is what a session does, as far as it may take so long for it.
type Doing uint8

const (
	Resting Doing = iota // the client has its turn
	Busy                 // the proxy has: it waits for a connection, or asks the server something
	Running              // the server has
)

// longest is how long a cancel may take, and the statement may go on behind it at most.
const longest = 5 * time.Second

// grace is how long a statement may go on whose cancel is through, or else how long that may take.
func (k *Clock) grace() time.Duration {
	if k.cancels {
		return longest
	}
	return min(max(k.times.Query, time.Second), longest)
}

// Clock ends what takes too long. It is there only if something may. A statement that begins or ends costs it a few stores: its one timer
// is started for the first bound that may be reached, and looks what has become of it when that time has come.
type Clock struct {
	of    Client
	times snapshot.Times
	doing Doing
	since int64 // when it began to do that; of a statement: when it was sent, or what is before it in the stream was answered
	began int64 // when the transaction began
	// overdue is when the statement was cancelled, from when that is through; 0: it was not.
	overdue int64
	cancels bool // that is under way
	over    bool // the session is ended
	timer   reactor.Timer
	due     int64 // when it fires, if it runs
}

// Does notes what the session does from now on.
func (k *Clock) Does(d Doing) {
	if k != nil {
		k.begin(d)
	}
}

func (k *Clock) begin(d Doing) {
	now := k.of.Loop().Now()
	if d == Running && k.of.Idle() {
		k.began = now
	}
	k.doing, k.since, k.overdue = d, now, 0
	k.wind()
}

// Rests notes that the client has its turn, if it had not already.
func (k *Clock) Rests() {
	if k != nil && k.doing != Resting {
		k.Does(Resting)
	}
}

// Stop stops the clock for good.
func (k *Clock) Stop() {
	if k != nil {
		k.over = true
		k.timer.Stop(k.of.Loop())
	}
}

// next is when the next bound is reached, and what is done then; 0 where there is none.
func (k *Clock) next() (at int64, reached func(*Clock)) {
	first := func(since int64, bound time.Duration, f func(*Clock)) {
		if end := since + int64(bound); bound > 0 && (at == 0 || end < at) {
			at, reached = end, f
		}
	}
	idle := k.of.Idle()
	switch {
	case k.over:
	case k.doing == Resting && idle:
		first(k.since, k.times.ClientIdle, (*Clock).idle)
	case k.doing == Resting:
		first(k.since, k.times.IdleTransaction, (*Clock).idleTransaction)
		if k.of.Leased() {
			first(k.began, k.times.Transaction, (*Clock).transaction)
		}
	case k.doing == Running:
		if k.overdue == 0 {
			first(k.since, k.times.Query, (*Clock).query)
		} else {
			first(k.overdue, k.grace(), (*Clock).stuck)
		}
		first(k.began, k.times.Transaction, (*Clock).transaction)
	}
	return at, reached
}

// wind lets the timer run to the next bound, unless it fires before that anyway.
func (k *Clock) wind() {
	at, _ := k.next()
	if at != 0 && (!k.timer.Running() || at < k.due) {
		k.due = at
		k.timer.Start(k.of.Loop(), at)
	}
}

// Fire is called by the loop when a bound may be reached.
func (k *Clock) Fire(*reactor.Timer) {
	if !k.of.LoggedIn() { // not logged in yet, or no more
		k.since = k.of.Loop().Now()
	}
	if at, reached := k.next(); at != 0 && at <= k.of.Loop().Now() {
		reached(k)
	}
	k.wind()
}

func (k *Clock) idle()            { k.kill(pgerr.New(pgerr.ClientIdleTimeout)) }
func (k *Clock) idleTransaction() { k.kill(pgerr.New(pgerr.IdleTransactionTimeout)) }
func (k *Clock) transaction()     { k.kill(pgerr.New(pgerr.TransactionTimeout)) }
func (k *Clock) stuck()           { k.kill(pgerr.New(pgerr.QueryStuck, k.times.Query+k.grace())) }

// Through waits until a cancel is through.
func (k *Clock) Through(t *reactor.Task) error {
	for k != nil && k.cancels {
		if err := t.Park(); err != nil {
			return err
		}
	}
	return nil
}

func (k *Clock) kill(why *pgerr.Error) {
	k.over = true
	k.of.Kill(why)
}

// query cancels a statement. Until the cancel is through nothing more is sent to the server, so that it cannot hit what comes next.
func (k *Clock) query() {
	k.overdue, k.cancels = k.of.Loop().Now(), true
	k.of.Overdue(k.times.Query, func() {
		k.cancels = false
		if k.overdue != 0 {
			k.overdue = k.of.Loop().Now()
			k.wind()
		}
	})
}

// Over says whether the clock has ended the session.
func (k *Clock) Over() bool { return k != nil && k.over }

// Cancels says whether a cancel of the clock's is under way.
func (k *Clock) Cancels() bool { return k != nil && k.cancels }

// Runs says whether the server has a statement.
func (k *Clock) Runs() bool { return k.doing == Running }
