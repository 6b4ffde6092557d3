// Package reactor runs event loops: descriptors, endpoints, timers, coroutines and the buffers that bytes arrive in. It knows nothing of PostgreSQL.
//
// A Loop is one goroutine, with the epoll engine on an operating system thread of its own, that owns its endpoints, tasks and buffers. Nothing in it is
// locked, because nobody else touches it: other threads reach a loop through Post alone.
//
// What a loop runs is a Task. At rest a task is data; when something happens to one of its endpoints
// the loop lends it a coroutine, in which Body.Serve runs as straight-line code until it returns (and
// the task is at rest again) or parks. Parking is the only way to wait, and only the loop resumes.
//
// The interface is that of completions with a buffer: an endpoint is asked for the bytes that arrived
// for it and gives a chunk which stays valid until the next park, and what is handed to Send is either
// taken at once or kept. Engines differ in how a loop learns that there is something to receive, or room to send
// (Engine); receiving and sending is the loop's. An engine of the io_uring kind would hand out chunks that have arrived before.
package reactor

import (
	"bytes"
	"errors"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// ErrStopped is what Park returns in a loop that was stopped.
var ErrStopped = errors.New("the loop was stopped")

// ErrDeadline is what Park returns when the task's deadline has passed.
var ErrDeadline = errors.New("the deadline has passed")

const (
	chunkSize = 64 << 10 // bytes received at once
	rawWait   = 4        // milliseconds that a loop waits with its P held before it sleeps properly
)

// Options are what loops are made with.
type Options struct {
	// Poison overwrites the receive buffer at each park, so that bytes used after their end are seen. For tests.
	Poison bool
	// Engine is how the loops learn what happens at their descriptors.
	Engine Engine
	// NoRawWait makes every wait a proper system call, as on a machine with fewer processors than loops. Goroutines wait in no other way.
	NoRawWait bool
	// Blocking is how many goroutines may work for all loops at once; 0 is 16.
	Blocking int
	// Computing is how many goroutines may compute TLS handshakes and the like at once; 0 is half the processors, at least 1.
	Computing int
}

// Group is a set of loops that work side by side.
type Group struct {
	loops     []*Loop
	blocked   chan struct{} // a place for each goroutine that works for a loop
	computing places        // for goroutines that compute
	wg        sync.WaitGroup
}

// NewGroup makes n loops. They run from Start on.
func NewGroup(n int, o Options) (*Group, error) {
	if o.Blocking == 0 {
		o.Blocking = 16
	}
	if o.Computing == 0 {
		o.Computing = max(1, runtime.NumCPU()/2)
	}
	g := &Group{blocked: make(chan struct{}, o.Blocking), computing: places{free: make(chan struct{}, o.Computing)}}
	g.computing.guards = g.serves
	for i := range n {
		l, err := newLoop(i, g, o)
		if err != nil {
			return nil, err
		}
		g.loops = append(g.loops, l)
	}
	return g, nil
}

// Start lets the loops run side by side. It sees to it that the scheduler has a
// processor besides those that waiting loops keep and goroutines compute on: a loop that wakes up finds its own.
func (g *Group) Start() {
	if n := len(g.loops) + cap(g.computing.free) + 1; runtime.GOMAXPROCS(0) < n {
		runtime.GOMAXPROCS(n)
	}
	for _, l := range g.loops {
		g.wg.Go(l.run)
	}
}

// Loops returns the loops of the group.
func (g *Group) Loops() []*Loop { return g.loops }

// LeastLoaded returns the loop with the fewest tasks that count as load.
func (g *Group) LeastLoaded() *Loop {
	best := g.loops[0]
	for _, l := range g.loops[1:] {
		if l.load.Load() < best.load.Load() {
			best = l
		}
	}
	return best
}

// Stop ends all loops and waits for them. Tasks that are parked are unwound with ErrStopped.
func (g *Group) Stop() {
	for _, l := range g.loops {
		l.Post(func() { l.stopping = true })
	}
	g.wg.Wait()
}

// Loop is one event loop. Its methods are for the loop's own thread, but for Post and those that say so.
type Loop struct {
	ID    int
	group *Group

	engine    engine
	locks     bool         // it keeps a thread for itself
	endpoints []*Endpoint  // by descriptor
	accepting []*Listener  // by descriptor
	buf       []byte       // what was received last
	plain     []byte       // what of it was received last by TLS; nil until something was
	sealed    []byte       // what was sent last by TLS
	Serves    bool         // set by whoever has done in this turn what is not to be held up: see places
	served    atomic.Int64 // when that was so last, or a little before
	told      int64        // what served is
	Scratch   []byte       // for whoever composes bytes between two parks; its content dies at the next park or composition

	now    int64 // nanoseconds on the monotonic clock, as of this turn
	timers timers

	runs, again []*Task      // to be resumed in this turn; in the next one
	leaving     []func()     // to be called behind this turn: tasks that go to other loops
	free        []*coroutine // last in, first out: the warmest stack
	all         []*coroutine
	spare       [][]byte // buffers for output that the kernel did not take

	stopping bool
	stepped  bool   // by a test: waits for nothing
	poison   []byte // what bytes are overwritten with at each park, in tests

	inbox struct {
		sync.Mutex
		posts []func()
	}
	ended  chan struct{} // closed when the loop has ended
	posted atomic.Bool   // the inbox is not empty
	asleep atomic.Bool   // the loop waits or is about to: a post must wake it
	load   atomic.Int32  // see AddLoad

	Turns uint64 // turns of the loop so far
	Calls uint64 // system calls that it has made: waits, receives, sends, registrations
	// Dialer, if set, makes the endpoints that Dial would. For tests.
	Dialer func(Address) *Endpoint
	Local  any // what the owner keeps per loop
}

func newLoop(id int, g *Group, o Options) (*Loop, error) {
	l := &Loop{ID: id, group: g, buf: make([]byte, chunkSize), ended: make(chan struct{})}
	if o.Poison {
		l.poison = bytes.Repeat([]byte{0xDB}, chunkSize)
	}
	l.now = monotonic()
	var err error
	if o.Engine.resolve() == Goroutines {
		l.engine = newGoroutines()
	} else {
		l.locks = true
		l.engine, err = newEpoll(l, !o.NoRawWait)
	}
	return l, err
}

// Now returns the time of this turn, in nanoseconds of a monotonic clock.
func (l *Loop) Now() int64 { return l.now }

// AddLoad counts n more sessions on the loop. Any thread may call it.
func (l *Loop) AddLoad(n int) { l.load.Add(int32(n)) }

// Load returns how many sessions are on the loop. Any thread may call it.
func (l *Loop) Load() int { return int(l.load.Load()) }

// Group returns the group that the loop belongs to.
func (l *Loop) Group() *Group { return l.group }

// Post makes the loop call f in one of its next turns. Any thread may call it.
func (l *Loop) Post(f func()) {
	l.inbox.Lock()
	l.inbox.posts = append(l.inbox.posts, f)
	l.posted.Store(true)
	l.inbox.Unlock()
	if l.asleep.Load() {
		l.engine.wakeUp()
	}
}

// PostWait is Post that waits until f was called, or the loop has ended without that. It must not be called on a loop's thread.
func (l *Loop) PostWait(f func()) {
	done := make(chan struct{})
	l.Post(func() { defer close(done); f() })
	select {
	case <-done:
	case <-l.ended:
	}
}

// run is the loop: wait, note what happened, resume whom it concerns.
func (l *Loop) run() {
	if l.locks {
		runtime.LockOSThread() // before the first coroutine is made: coroutines belong to the thread of their birth
		defer runtime.UnlockOSThread()
	}
	for !l.stopping {
		l.turn()
	}
	l.unwind()
	l.engine.close()
	close(l.ended)
}

// Step does one round of a loop that does not run: for tests, which then are its thread. It does not wait.
func (l *Loop) Step() {
	l.stepped = true
	l.turn()
}

// turn does one round.
func (l *Loop) turn() {
	l.Turns++
	timeout := -1 // milliseconds; for ever
	switch {
	case len(l.again) > 0 || len(l.runs) > 0 || l.stepped:
		timeout = 0
	case len(l.timers) > 0:
		// Counted from the time of this turn, so a timer is late by what the turn takes.
		timeout = max(0, int((l.timers[0].at-l.now+int64(time.Millisecond)-1)/int64(time.Millisecond)))
	}
	if timeout != 0 {
		l.asleep.Store(true)
		if l.posted.Load() {
			timeout = 0
		}
		l.engine.wait(timeout)
		l.asleep.Store(false)
	} else {
		l.engine.wait(0)
	}
	l.now = monotonic()
	l.engine.deliver()
	if l.posted.Load() {
		for _, f := range l.takePosts() {
			f()
		}
	}
	l.fireTimers()
	if len(l.again) > 0 {
		l.runs = append(l.runs, l.again...)
		l.again = l.again[:0]
	}
	l.resumeAll()
	if l.Serves {
		l.Serves = false
		if l.now-l.told >= int64(serving)/10 { // each turn would be too dear
			l.told = l.now
			l.served.Store(l.now)
		}
	}
}

// serves says whether a loop has done of late what is not to be held up.
func (g *Group) serves() bool {
	now := monotonic()
	for _, l := range g.loops {
		if at := l.served.Load(); at > 0 && now-at < int64(serving) {
			return true
		}
	}
	return false
}

func (l *Loop) takePosts() []func() {
	l.inbox.Lock()
	defer l.inbox.Unlock()
	p := l.inbox.posts
	l.inbox.posts = nil
	l.posted.Store(false)
	return p
}

// unwind ends the tasks of a stopped loop.
func (l *Loop) unwind() {
	for _, c := range slices.Clone(l.all) { // it shrinks meanwhile
		c.stop()
	}
	for _, e := range l.endpoints {
		if e != nil {
			e.Close()
		}
	}
	for _, a := range l.accepting {
		if a != nil {
			a.Close()
		}
	}
}

// monotonic returns nanoseconds of a clock that only goes forward.
func monotonic() int64 { return int64(time.Since(epoch)) + 1 }
