package listen

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"go.uber.org/zap"

	"github.com/heliosproxy/heliosproxy/dataplane/backend"
	"github.com/heliosproxy/heliosproxy/dataplane/reactor"
	"github.com/heliosproxy/heliosproxy/pkg/pgwire"
	"github.com/heliosproxy/heliosproxy/pkg/sqltext"
)

var (
	errClosed   = errors.New("the listener was closed")
	errMoved    = errors.New("the server's name does not have this address any more")
	errPanicked = errors.New("internal error")
	errSlow     = errors.New("the server has not listened in time")
	errAway     = errors.New("the server is not reached")
	errSilent   = errors.New("the server does not answer")
)

// prepare keeps the server from closing a connection that only listens. Servers before 14 do not know the setting.
const prepare = "SELECT pg_catalog.set_config(name,'0',false) FROM pg_catalog.pg_settings WHERE name OPERATOR(pg_catalog.=) 'idle_session_timeout'"

// most is how many channels the server is told about at once, and how many notifications are passed on at once.
const most = 1024

// parcel is a notification for one session.
type parcel struct {
	to      *Member
	channel string
	message []byte
}

// session connects and listens until nobody listens any more, or the connection fails.
func (l *Listener) session(t *reactor.Task) error {
	c, err := l.open(t)
	if err != nil {
		return err
	}
	l.conn = c
	t.SetDeadline(t.Loop().Now() + int64(l.o.Patience))
	refused, err := c.Exchange(t, prepare, nil)
	t.SetDeadline(0)
	if err == nil && refused != nil {
		err = refused
	}
	if err != nil {
		return err
	}
	l.counts.connected.Store(true)
	l.counts.connections.Add(1)
	l.encoding = c.Param("client_encoding")
	l.heard, l.resting = t.Loop().Now(), 0
	g := c.Target
	l.o.Log.Info("the shared listener is connected", zap.String("node", g.Node), zap.String("database", g.Database), zap.String("user", g.User), zap.Uint32("pid", c.PID))
	for {
		if l.closed {
			return nil
		}
		if c.Moved() {
			return errMoved
		}
		if err := l.receive(t); err != nil {
			return err
		}
		if err := l.say(t.Loop().Now()); err != nil {
			return err
		}
		if l.done(t.Loop().Now()) {
			l.hangUp()
			return nil
		}
		t.SetDeadline(l.due())
		if err := t.Park(); err != nil && !errors.Is(err, reactor.ErrDeadline) {
			return err
		}
		t.SetDeadline(0)
	}
}

// due is when something is to be done though nobody says anything.
func (l *Listener) due() int64 {
	at := l.heard + int64(l.o.Ping)
	if l.asked {
		at = l.sent + int64(l.o.Patience)
	}
	if l.resting != 0 {
		at = min(at, l.resting+int64(l.o.Linger))
	}
	return at
}

// done says whether nobody has listened for long enough.
func (l *Listener) done(now int64) bool {
	if len(l.channels) > 0 {
		l.resting = 0
		return false
	}
	if l.resting == 0 {
		l.resting = now
	}
	return now-l.resting >= int64(l.o.Linger)
}

// say sends the server what it has to hear: what to listen to, or, if there was silence for long, nothing but a question.
func (l *Listener) say(now int64) error {
	switch {
	case l.asked && now-l.sent >= int64(l.o.Patience):
		return errSilent
	case l.asked:
		return nil
	case len(l.todo)+len(l.catching) > 0:
		return l.ask(now, l.nextBatch())
	case now-l.heard >= int64(l.o.Ping):
		return l.ask(now, nil)
	}
	return nil
}

// nextBatch takes channels from the list and puts into words what the server has to do about them. That a channel is listened to
// already does not matter: the answer says that every notification from before has come.
func (l *Listener) nextBatch() (sql []byte) {
	l.caught, l.catching = l.catching, nil
	n := min(most, len(l.todo))
	l.batch = append(l.batch[:0], l.todo[:n]...)
	l.todo = append(l.todo[:0], l.todo[n:]...)
	for _, ch := range l.batch {
		ch.listed = false
		ch.flying, ch.waiting = ch.waiting, nil
		verb := "UNLISTEN "
		if ch.said = ch.wanted(); ch.said {
			verb = "LISTEN "
		}
		sql = append(sqltext.QuoteIdent(append(sql, verb...), ch.name), ';')
	}
	return sql
}

func (l *Listener) ask(now int64, sql []byte) error {
	l.asked, l.sent, l.refused = true, now, nil
	return l.conn.EP.Send(pgwire.AppendQuery(nil, string(sql)))
}

// receive deals with all that the server has said.
func (l *Listener) receive(t *reactor.Task) error {
	for {
		typ, body, ok, err := l.conn.TryNext()
		if err != nil {
			return err
		}
		if !ok {
			l.flush()
			return nil
		}
		l.heard = t.Loop().Now()
		switch typ {
		case pgwire.NotificationResponse:
			l.pack(body)
		case pgwire.ErrorResponse:
			refused, err := pgwire.ReadError(body)
			if err != nil {
				return err
			}
			if refused.Severity != "ERROR" {
				return refused
			}
			l.refused = refused
		case pgwire.ReadyForQuery:
			if err := l.answered(); err != nil {
				return err
			}
		}
		if err := t.Yield(); err != nil && !errors.Is(err, reactor.ErrDeadline) {
			return err
		}
	}
}

// answered deals with the answer to what was asked last.
func (l *Listener) answered() error {
	l.asked = false
	l.flush() // what comes before the answer is not for those who wait for it
	for _, w := range l.caught {
		if !w.over {
			w.answer("", l.encoding, nil)
		}
	}
	l.caught = nil
	batch := l.batch
	l.batch = l.batch[:0]
	for _, ch := range batch {
		if l.refused != nil && len(ch.members) > 0 {
			return fmt.Errorf("channel %s: %w", ch.name, l.refused)
		}
		flying := ch.flying
		ch.flying = nil
		if l.refused == nil {
			ch.at = ch.said
		}
		for _, w := range flying {
			if w.over {
				continue
			}
			w.answer(ch.name, l.encoding, l.refused)
			if l.refused != nil {
				delete(w.m.in, ch)
				continue
			}
			if _, ok := ch.members[w.m]; !ok {
				ch.members[w.m] = struct{}{}
				l.counts.subscriptions.Add(1)
			}
		}
		switch {
		case ch.wanted():
		case ch.at:
			l.list(ch)
		default:
			l.drop(ch)
		}
	}
	if len(l.todo) == 0 && l.refused == nil {
		l.failures = 0
		if l.gap || len(l.late) > 0 {
			l.tellGap()
		}
	}
	return nil
}

// tellGap tells those who may have missed something: all, if the connection was lost.
func (l *Listener) tellGap() {
	told := map[*Member]struct{}{}
	for _, m := range l.late {
		told[m] = struct{}{}
	}
	for _, ch := range l.channels {
		for m := range ch.members {
			if l.gap {
				told[m] = struct{}{}
			}
		}
	}
	l.gap, l.late = false, nil
	for m := range told {
		m.loop.Post(func() {
			if !m.gone {
				m.told.Lost()
			}
		})
	}
	l.o.Log.Warn("the shared listener listens again: notifications may be lost", zap.Int("sessions", len(told)))
}

// pack notes a notification for all who listen to its channel.
func (l *Listener) pack(body []byte) {
	l.counts.notifications.Add(1)
	_, name, _, ok := pgwire.ReadNotification(body)
	ch := l.channels[string(name)]
	if !ok || ch == nil || len(ch.members) == 0 {
		return
	}
	message := pgwire.Append(nil, pgwire.NotificationResponse, body)
	for m := range ch.members {
		l.out[m.loop.ID] = append(l.out[m.loop.ID], parcel{m, ch.name, message})
	}
	if l.packed += len(ch.members); l.packed >= most {
		l.flush()
	}
}

// flush passes on what is packed.
func (l *Listener) flush() {
	if l.packed == 0 {
		return
	}
	l.packed = 0
	for i, ps := range l.out {
		if len(ps) == 0 {
			continue
		}
		l.out[i] = nil
		ps[0].to.loop.Post(func() {
			for _, p := range ps {
				if !p.to.gone {
					p.to.told.Notified(p.channel, p.message)
				}
			}
		})
	}
}

// open opens a connection and waits for it. Its lease is t's.
func (l *Listener) open(t *reactor.Task) (*backend.Conn, error) {
	l.conn, l.err, l.opening = nil, nil, true
	target := *l.target.Load()
	target.ApplicationName = ApplicationName
	backend.Open(t.Loop(), &target, l)
	defer func() { l.opening = false }()
	for l.conn == nil && l.err == nil {
		if err := t.Park(); err != nil {
			if l.conn != nil { // it came at the last moment
				l.conn.Retire()
				l.conn = nil
			}
			return nil, err
		}
	}
	return l.conn, l.err
}

// Opened implements [backend.Owner].
func (l *Listener) Opened(c *backend.Conn) {
	if !l.opening { // nobody waits any more
		c.Retire()
		return
	}
	c.Lease(&l.Task)
	l.conn = c
	l.Wake()
}

// Failed implements [backend.Owner].
func (l *Listener) Failed(_ *backend.Conn, err error) {
	l.err = err
	l.Wake()
}

// Lost implements [backend.Owner].
func (l *Listener) Lost(*backend.Conn) {}

// Closed implements [backend.Owner].
func (l *Listener) Closed(*backend.Conn) {}

// Changed implements [backend.Owner].
func (l *Listener) Changed(*backend.Conn) {}

var _ backend.Owner = (*Listener)(nil)

// jitter is a time up to d.
func jitter(d time.Duration) time.Duration { return rand.N(d + 1) }
