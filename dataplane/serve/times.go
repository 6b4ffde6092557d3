package serve

import (
	"time"

	"github.com/heliosproxy/heliosproxy/dataplane/reactor"
	"github.com/heliosproxy/heliosproxy/dataplane/relay"
	"github.com/heliosproxy/heliosproxy/dataplane/snapshot"
	"github.com/heliosproxy/heliosproxy/dataplane/state/serverstate"
	"github.com/heliosproxy/heliosproxy/pkg/pgerr"
	"github.com/heliosproxy/heliosproxy/pkg/pgwire"
)

// doing is what a session does, as far as it may take so long for it.
type doing uint8

const (
	resting doing = iota // the client has its turn
	busy                 // the proxy has: it waits for a connection, or asks the server something
	running              // the server has
)

// grace is how long a statement may go on that was cancelled.
func grace(query time.Duration) time.Duration { return min(max(query, time.Second), 5*time.Second) }

// clock ends what takes too long. It is there only if something may. A statement that begins or ends costs it a few stores: its one timer
// is started for the first bound that may be reached, and looks what has become of it when that time has come.
type clock struct {
	c     *Conn
	times snapshot.Times
	doing doing
	since int64 // when it began to do that; of a statement: when it was sent, or what is before it in the stream was answered
	began int64 // when the transaction began
	// overdue is when the statement was cancelled; 0: it was not.
	overdue int64
	cancels bool // that is under way
	over    bool // the session is ended
	timer   reactor.Timer
	due     int64 // when it fires, if it runs
}

// bound takes what the configuration says of how long the session may take for what it does.
func (c *Conn) bound(now snapshot.Times) {
	switch {
	case c.clock != nil:
		c.clock.times = now
		c.clock.wind()
	case now != snapshot.Times{}:
		c.clock = &clock{c: c, times: now, since: c.Loop().Now()}
		c.clock.timer.Init(c.clock)
		c.clock.wind()
	}
}

// does notes what the session does from now on.
func (k *clock) does(d doing) {
	if k != nil {
		k.begin(d)
	}
}

func (k *clock) begin(d doing) {
	now := k.c.Loop().Now()
	if d == running && k.c.session.Status == pgwire.Idle {
		k.began = now
	}
	k.doing, k.since, k.overdue = d, now, 0
	k.wind()
}

// rests notes that the client has its turn, if it had not already.
func (k *clock) rests() {
	if k != nil && k.doing != resting {
		k.does(resting)
	}
}

// stop stops the clock for good.
func (k *clock) stop() {
	if k != nil {
		k.over = true
		k.timer.Stop(k.c.Loop())
	}
}

// next is when the next bound is reached, and what is done then; 0 where there is none.
func (k *clock) next() (at int64, reached func(*clock)) {
	first := func(since int64, bound time.Duration, f func(*clock)) {
		if end := since + int64(bound); bound > 0 && (at == 0 || end < at) {
			at, reached = end, f
		}
	}
	idle := k.c.session.Status == pgwire.Idle
	switch {
	case k.over:
	case k.doing == resting && idle:
		first(k.since, k.times.ClientIdle, (*clock).idle)
	case k.doing == resting:
		first(k.since, k.times.IdleTransaction, (*clock).idleTransaction)
		if k.c.lease != nil {
			first(k.began, k.times.Transaction, (*clock).transaction)
		}
	case k.doing == running:
		if k.overdue == 0 {
			first(k.since, k.times.Query, (*clock).query)
		} else {
			first(k.overdue, grace(k.times.Query), (*clock).stuck)
		}
		first(k.began, k.times.Transaction, (*clock).transaction)
	}
	return at, reached
}

// wind lets the timer run to the next bound, unless it fires before that anyway.
func (k *clock) wind() {
	at, _ := k.next()
	if at != 0 && (!k.timer.Running() || at < k.due) {
		k.due = at
		k.timer.Start(k.c.Loop(), at)
	}
}

// Fire is called by the loop when a bound may be reached.
func (k *clock) Fire(*reactor.Timer) {
	if k.c.phase != serving { // not logged in yet, or no more
		k.since = k.c.Loop().Now()
	}
	if at, reached := k.next(); at != 0 && at <= k.c.Loop().Now() {
		reached(k)
	}
	k.wind()
}

func (k *clock) idle()            { k.kill(pgerr.New(pgerr.ClientIdleTimeout)) }
func (k *clock) idleTransaction() { k.kill(pgerr.New(pgerr.IdleTransactionTimeout)) }
func (k *clock) transaction()     { k.kill(pgerr.New(pgerr.TransactionTimeout)) }
func (k *clock) stuck()           { k.kill(pgerr.New(pgerr.QueryStuck, k.times.Query+grace(k.times.Query))) }

// through waits until a cancel is through.
func (k *clock) through(t *reactor.Task) error {
	for k != nil && k.cancels {
		if err := t.Park(); err != nil {
			return err
		}
	}
	return nil
}

func (k *clock) kill(why *pgerr.Error) {
	k.over = true
	k.c.Kill(why)
}

// query cancels a statement. The client is told why, if it is not within a message. Until the cancel is through nothing more is sent
// to the server, so that it cannot hit what comes next.
func (k *clock) query() {
	c := k.c
	k.overdue, k.cancels = c.Loop().Now(), true
	if left := c.session.Left(); left.Tail == 0 && len(left.Head) == 0 {
		_ = c.warn(pgerr.New(pgerr.QueryTimeout, k.times.Query))
	}
	c.lease.Cancel(func() {
		k.cancels = false
		c.Wake()
	})
}

// mute says whether the client cannot be told why the clock has ended its session: it is within a message of the server.
func (k *clock) mute() bool { return k != nil && k.over && k.c.session.Left().Tail > 0 }

// machine is the session as the relay sees it.
func (c *Conn) machine() relay.Machine {
	if c.clock == nil {
		return c.session
	}
	return timed{c}
}

// timed is a session whose statements are timed one by one, also where a client sends one before the other is answered.
type timed struct{ *Conn }

func (m timed) FromClient(p []byte, srv *serverstate.Server) (toServer, toClient []byte, err error) {
	if m.clock.doing != running && len(p) > 0 {
		m.clock.does(running)
	}
	return m.session.FromClient(p, srv)
}

func (m timed) FromServer(p []byte, srv *serverstate.Server) ([]byte, error) {
	before := m.session.Left().Owed
	out, err := m.session.FromServer(p, srv)
	if before > 0 && m.session.Left().Owed < before {
		m.clock.does(running)
	}
	return out, err
}

func (m timed) Quiet() bool  { return m.session.Quiet() }
func (m timed) Lags() bool   { return m.session.Lags() }
func (m timed) Free() bool   { return m.session.Free() }
func (m timed) Room() bool   { return !m.clock.cancels && m.session.Room() }
func (m timed) Resume() bool { return m.session.Resume() }

// tellPlace tells a client which place it has in the queue. Before it is logged in drivers expect no notice.
func (c *Conn) tellPlace(place, waiting int) {
	if c.phase == serving {
		_ = c.warn(pgerr.New(pgerr.StillWaiting, c.pool.Profile().Notice, place, waiting, place-1))
	}
}
