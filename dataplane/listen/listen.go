// Package listen is the connection that listens for all sessions of a database: which channels are listened to for whom, and who is told of a notification. It never uses a connection of a pool, and never waits for a session.
package listen

import (
	"errors"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/heliosproxy/heliosproxy/dataplane/backend"
	"github.com/heliosproxy/heliosproxy/dataplane/reactor"
)

// ApplicationName is what pg_stat_activity shows of the connections that listen.
const ApplicationName = "heliosproxy listener"

// Options are what a listener is made with. Zero values are those of the comments.
type Options struct {
	Log      *zap.Logger
	Ping     time.Duration // of silence, until the server is asked whether it is there; 10 s
	Patience time.Duration // for an answer of the server, and of the listener; 5 s
	Linger   time.Duration // for how long the connection stays when nobody listens any more; 10 s
}

func (o *Options) defaults() {
	for _, d := range [...]struct {
		at  *time.Duration
		def time.Duration
	}{{&o.Ping, 10 * time.Second}, {&o.Patience, 5 * time.Second}, {&o.Linger, 10 * time.Second}} {
		if *d.at == 0 {
			*d.at = d.def
		}
	}
	if o.Log == nil {
		o.Log = zap.NewNop()
	}
}

// The times between two tries to connect: they grow from the first to the last, and each is made longer by up to its half.
const (
	firstRetry = 100 * time.Millisecond
	lastRetry  = 10 * time.Second
)

// Listener listens on one connection for all sessions of a database, as whoever the target says: to listen, a user needs
// nothing but to be let in. The connection is there while anybody listens, and a little longer.
//
// A server that is gone without a word is noticed after Ping and Patience together.
type Listener struct {
	reactor.Task

	o      Options
	loop   *reactor.Loop
	target atomic.Pointer[backend.Target]
	counts counts

	// What follows is of the loop.
	closed   bool
	channels map[string]*channel
	todo     []*channel // of which the server has something to hear
	waits    waits
	out      [][]parcel // by the number of the loop that they are for
	packed   int        // parcels in out

	conn     *backend.Conn
	err      error // of opening it
	opening  bool
	encoding string     // that its bytes are in
	batch    []*channel // that the server is being told about
	catching []*wait    // who is answered with the next batch
	caught   []*wait    // who is answered with the one under way
	asked    bool       // an answer is to come
	sent     int64      // when what is to be answered was sent
	heard    int64      // when the server has said something last
	resting  int64      // since when nobody listens
	refused  error      // what the server has said to the batch
	gap      bool       // the connection was lost while somebody listened
	late     []*Member  // who came from another listener
	failures int        // in a row
	retry    int64      // not before
}

// channel is one that somebody listens to, or has listened to.
type channel struct {
	name    string
	members map[*Member]struct{}
	waiting []*wait // to be told when the server listens
	flying  []*wait // those of them whom the batch under way is for
	listed  bool    // in todo
	said    bool    // the batch says that the server shall listen
	at      bool    // it does
}

// wanted says whether the server has to listen.
func (ch *channel) wanted() bool { return len(ch.members)+len(ch.waiting)+len(ch.flying) > 0 }

// New makes a listener that works on l. It connects when somebody listens first.
func New(l *reactor.Loop, t *backend.Target, o Options) *Listener {
	o.defaults()
	ls := &Listener{o: o, loop: l, channels: map[string]*channel{}}
	ls.target.Store(t)
	ls.Init(l, ls)
	ls.waits.init(ls)
	ls.out = make([][]parcel, len(l.Group().Loops()))
	return ls
}

// Use says that t is how the database is reached from the next connection on. Any thread may call it.
func (l *Listener) Use(t *backend.Target) { l.target.Store(t) }

// Moved makes the listener connect again if its server's name does not have the address any more that it is connected to. Any thread may
// call it.
func (l *Listener) Moved() { l.loop.Post(l.Wake) }

// Close ends the listening. Who waits is answered that it failed. Any thread may call it.
func (l *Listener) Close() {
	l.loop.Post(func() {
		l.closed = true
		l.Wake()
	})
}

// Serve keeps the connection for as long as somebody listens.
func (l *Listener) Serve(t *reactor.Task) {
	for {
		t.SetDeadline(0)
		switch {
		case l.closed:
			l.hangUp()
			l.failWaits(errClosed)
			l.End()
			return
		case len(l.channels) == 0:
			return
		case t.Loop().Now() < l.retry:
			t.SetDeadline(l.retry)
			return
		}
		err := l.session(t)
		if errors.Is(err, reactor.ErrStopped) {
			return
		}
		if err != nil {
			l.lose(t, err)
		}
	}
}

// hangUp says goodbye to the server.
func (l *Listener) hangUp() {
	if c := l.conn; c != nil {
		l.conn = nil
		c.Retire()
	}
	l.counts.connected.Store(false)
}

// lose notes that there is no connection: what was listened to has to be listened to again, and whoever listens to it is told
// that he may have missed something.
func (l *Listener) lose(t *reactor.Task, err error) {
	if c := l.conn; c != nil {
		l.conn = nil
		c.Lose()
	}
	l.flush()
	if l.counts.connected.Swap(false) {
		l.counts.losses.Add(1)
	}
	l.asked, l.batch, l.catching, l.caught = false, nil, nil, nil
	l.todo = l.todo[:0]
	for _, ch := range l.channels {
		ch.waiting, ch.flying = append(ch.flying, ch.waiting...), nil
		ch.at, ch.listed = false, false
		l.gap = l.gap || len(ch.members) > 0
		if ch.wanted() {
			l.list(ch)
		} else {
			l.drop(ch)
		}
	}
	l.failWaits(err)
	wait := min(firstRetry<<min(l.failures, 10), lastRetry)
	wait += jitter(wait / 2)
	l.failures++
	l.retry = t.Loop().Now() + int64(wait)
	g := l.target.Load()
	l.o.Log.Warn("the shared listener has no connection: notifications may be lost until it has one",
		zap.String("node", g.Node), zap.String("database", g.Database), zap.String("user", g.User), zap.Duration("next_try_in", wait), zap.Error(err))
}

// Panicked counts as a lost connection.
func (l *Listener) Panicked(t *reactor.Task, value any, stack []byte) {
	l.o.Log.Error("panic while listening", zap.Any("panic", value), zap.ByteString("stack", stack))
	l.lose(t, errPanicked)
	t.SetDeadline(l.retry)
}

var _ reactor.Body = (*Listener)(nil)
