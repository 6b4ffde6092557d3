// Package lookup asks servers small questions on connections of its own: what a database's catalogue says, for which no client waits, and who may log in. It never uses a connection of a pool.
package lookup

import (
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/heliosproxy/heliosproxy/dataplane/backend"
	"github.com/heliosproxy/heliosproxy/dataplane/reactor"
	"github.com/heliosproxy/heliosproxy/dataplane/state/catalog"
)

// The times of a reader.
const (
	debounce = 50 * time.Millisecond // from a change to the reading, which may find other changes done by then
	period   = 30 * time.Second      // from one look at the catalogue to the next, unless told otherwise
	limit    = time.Minute           // for a look, whatever it finds
	share    = 4                     // a reader rests so many times as long as it has read
	patience = time.Second           // after a failure, at first; then twice as long each time, up to period
)

// Options are what a reader is made with.
type Options struct {
	Log *zap.Logger
	// Safe are functions that are declared safe: NAME or SCHEMA.NAME.
	Safe []string
	// Period is how long a change that was made elsewhere may stay unknown; 0 is 30 s.
	Period time.Duration
	// Active says whether anybody uses the database. A reader forgets what nobody asks for. It is called on the reader's
	// loop; nil is always.
	Active func() bool
}

// Reader reads the catalogue of one database: when something is asked of it first, after each change that the proxy sees, and
// every 30 s if a look at the catalogue says that it has changed. That look costs the server 10 ms, and with 10,000 tables a
// tenth of a second; a reading costs five times as much. What is temporary does not count. So a change that was made elsewhere,
// or by code, or by COMMIT PREPARED, is known after 30 s.
//
// It has one connection, besides those of the pools and of no pool's number, for as long as it reads. It logs in as whoever the
// target says.
type Reader struct {
	reactor.Task
	// Handle is where readings are published.
	Handle *catalog.Handle

	o      Options
	loop   *reactor.Loop
	target atomic.Pointer[backend.Target]
	asked  atomic.Bool // a reading is wanted; the loop has been told
	wake   func()
	counts counts

	// What follows is of the loop.
	closed    bool
	line      line
	due       int64 // when to look next, in the loop's time; 0: when it is asked
	rested    int64 // not before
	failures  int   // in a row
	signature string
}

// NewReader makes a reader that works on l. It begins when Handle is asked something.
func NewReader(l *reactor.Loop, t *backend.Target, o Options) *Reader {
	if o.Period == 0 {
		o.Period = period
	}
	if o.Log == nil {
		o.Log = zap.NewNop()
	}
	r := &Reader{o: o, loop: l}
	r.target.Store(t)
	r.Init(l, r)
	r.line.task = &r.Task
	r.wake = r.Wake
	r.Handle = catalog.NewHandle(r.want)
	return r
}

// Use says that t is how the database is reached now. Any thread may call it.
func (r *Reader) Use(t *backend.Target) { r.target.Store(t) }

// Close ends the reading. What was read is withdrawn. Any thread may call it.
func (r *Reader) Close() {
	r.loop.Post(func() {
		r.closed = true
		r.Handle.Withdraw()
		r.Kill(errClosed)
	})
}

// Connections returns how many connections there are, from dial to close. Any goroutine may call it that is none of a loop.
func (r *Reader) Connections() (n int) {
	r.loop.PostWait(func() { n = r.line.open })
	return n
}

// want asks for a reading. Any thread may call it.
func (r *Reader) want() {
	if r.asked.CompareAndSwap(false, true) {
		r.loop.Post(r.wake)
	}
}

// Serve looks at the catalogue when it is time, and otherwise sees to it that it is called then.
func (r *Reader) Serve(t *reactor.Task) {
	for {
		t.SetDeadline(0)
		if r.closed {
			r.End()
			return
		}
		now := t.Loop().Now()
		if r.asked.Swap(false) {
			soon := now
			if _, known := r.Handle.Known(); known || r.signature != "" {
				soon += int64(debounce)
			}
			if soon = max(soon, r.rested); r.due == 0 || r.due > soon {
				r.due = soon
			}
		}
		if r.due == 0 {
			return
		}
		if now < r.due {
			t.SetDeadline(r.due)
			return
		}
		r.due = 0
		if r.o.Active != nil && !r.o.Active() {
			r.forget()
			continue
		}
		r.look(t)
	}
}

// forget withdraws what was read.
func (r *Reader) forget() {
	r.signature = ""
	r.Handle.Withdraw()
}

// look looks at the catalogue once, and says when to do so again.
func (r *Reader) look(t *reactor.Task) {
	began := t.Loop().Now()
	err := r.read(t)
	now := t.Loop().Now()
	r.rested = now + share*(now-began)
	if err == nil {
		r.failures = 0
		r.due = now + int64(r.o.Period)
		return
	}
	r.fail(err)
}

// fail notes that the catalogue could not be read: nothing is known of it, then.
func (r *Reader) fail(err error) {
	if r.closed {
		return
	}
	r.signature = ""
	r.Handle.Fail()
	wait := min(patience<<min(r.failures, 10), period)
	r.failures++
	r.counts.failures.Add(1)
	r.rested = r.loop.Now() + int64(wait)
	r.due = r.rested
	t := r.target.Load()
	r.o.Log.Warn("cannot read the catalogue: every statement counts as suspect",
		zap.String("node", t.Node), zap.String("database", t.Database), zap.String("user", t.User), zap.Duration("next_try_in", wait), zap.Error(err))
}

// Panicked counts as a look that has failed.
func (r *Reader) Panicked(t *reactor.Task, value any, stack []byte) {
	r.line.lose()
	r.o.Log.Error("panic while the catalogue was read", zap.Any("panic", value), zap.ByteString("stack", stack))
	r.fail(errPanicked)
	t.SetDeadline(r.due)
}

var _ reactor.Body = (*Reader)(nil)
