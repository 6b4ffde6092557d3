// Package pool lends server connections to sessions and takes them back. It never looks into a statement: which pool to use was decided before.
//
// A pool is a node, a database and a user at the server. Each loop has the free connections that were
// last used on it; they are lent and taken back without a lock. Only when somebody waits is there a
// queue, one for all loops, first come, first served, with a lock that is held for a few instructions.
package pool

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/heliosproxy/heliosproxy/dataplane/backend"
	"github.com/heliosproxy/heliosproxy/dataplane/reactor"
)

// Key is what connections of one pool have in common.
type Key struct{ Node, Database, User string }

// Profile is how a pool lends. It is immutable.
type Profile struct {
	Max     int           // the most connections at any moment, from dial to close
	Idle    time.Duration // a free connection is closed after this time; 0 is never
	Acquire time.Duration // how long somebody waits for a connection
}

// opensAtOnce is how many connections of a pool are opened side by side.
const opensAtOnce = 4

// retry is how long a pool that has connections waits after a failure before it opens another one.
const retry = time.Second

// Pool is the connections of one key. Its methods are for the threads of loops.
type Pool struct {
	Key
	Name    string // the key in one string
	target  atomic.Pointer[backend.Target]
	profile atomic.Pointer[Profile]
	locals  []local // by loop
	Learnt  Learnt

	onFailure func(*Pool, error)
	aliases   map[Alias]struct{} // who leads here, under the registry's lock

	waiting atomic.Int32 // how long the queue is
	total   atomic.Int32 // connections, from dial to close
	wanted  atomic.Int32 // how many wait for a connection of their own
	closed  atomic.Bool
	held    atomic.Bool // no connections are opened

	mu      sync.Mutex
	lines   []line    // those who wait, by loop
	own     []*Waiter // those who wait for one of their own, in the order of asking
	making  bool      // a connection is being closed for the first of them
	opening int       // connections that are not yet logged in
	dialing int       // those of them that will be somebody's own; not in opening
	failed  time.Time
	lastErr error
}

// local is what one loop has of a pool.
type local struct {
	pool  *Pool
	loop  *reactor.Loop
	look  func()          // matches what is idle here with those who wait anywhere
	idle  []*backend.Conn // the last used is last
	all   map[*backend.Conn]struct{}
	timer reactor.Timer
}

func newPool(k Key, loops []*reactor.Loop) *Pool {
	p := &Pool{Key: k, Name: k.Node + "\x00" + k.Database + "\x00" + k.User, locals: make([]local, len(loops)), lines: make([]line, len(loops))}
	p.Learnt.init()
	for i := range p.locals {
		lo := &p.locals[i]
		lo.pool, lo.loop, lo.all = p, loops[i], map[*backend.Conn]struct{}{}
		lo.look = func() {
			p.match(lo.loop)
			p.clear(lo.loop)
		}
		lo.timer.Init(lo)
	}
	return p
}

// Profile returns how the pool lends now.
func (p *Pool) Profile() *Profile { return p.profile.Load() }

// Target returns the server of the pool.
func (p *Pool) Target() *backend.Target { return p.target.Load() }

// TryAcquire lends a free connection that is on t's loop, if nobody waits. It neither parks nor receives.
func (p *Pool) TryAcquire(t *reactor.Task) *backend.Conn {
	if p.waiting.Load() > 0 {
		return nil
	}
	lo := &p.locals[t.Loop().ID]
	n := len(lo.idle)
	if n == 0 || !lo.idle[n-1].Quiet() {
		return nil
	}
	c := lo.idle[n-1]
	lo.idle[n-1] = nil
	lo.idle = lo.idle[:n-1]
	c.Lease(t)
	return c
}

// Release takes a connection back, idle and clean. It is called on the connection's loop.
func (p *Pool) Release(c *backend.Conn) {
	if c.Free() {
		p.offer(c)
	}
}

// offer gives a free connection to the first in the queue, or keeps it.
func (p *Pool) offer(c *backend.Conn) {
	l := c.Loop()
	lo := &p.locals[l.ID]
	if p.closed.Load() || c.Target != p.target.Load() || p.over() || p.wanted.Load() != 0 && p.makesRoom() {
		c.Retire()
		return
	}
	if p.waiting.Load() == 0 {
		lo.idle = append(lo.idle, c)
		lo.startTimer(l)
		return
	}
	p.mu.Lock()
	w := p.pop(l)
	p.mu.Unlock()
	if w == nil {
		lo.idle = append(lo.idle, c)
		lo.startTimer(l)
		return
	}
	p.hand(c, w)
}

// over says whether there are more connections than the profile allows now.
func (p *Pool) over() bool { return int(p.total.Load()) > p.profile.Load().Max }

// hand gives c to w, which was taken off the queue.
func (p *Pool) hand(c *backend.Conn, w *Waiter) {
	if w.loop == c.Loop() {
		w.take(c)
		return
	}
	delete(p.locals[c.Loop().ID].all, c)
	c.Move(w.loop, func() {
		p.locals[w.loop.ID].all[c] = struct{}{}
		w.take(c)
	})
}

// Opened is called by a connection that is free: new, or clean again.
func (p *Pool) Opened(c *backend.Conn) {
	l := c.Loop() // c may be on another one when it was offered
	lo := &p.locals[l.ID]
	if _, known := lo.all[c]; !known {
		lo.all[c] = struct{}{}
		p.mu.Lock()
		p.opening--
		p.lastErr = nil
		p.mu.Unlock()
		p.Learnt.Compare(c.Params)
	}
	p.offer(c)
	p.open(l)
}

// Failed is called by a connection that could not be opened. With no connection left that could serve
// them, those who wait hear why; otherwise they go on waiting.
func (p *Pool) Failed(c *backend.Conn, err error) {
	p.mu.Lock()
	p.opening--
	p.failed, p.lastErr = time.Now(), err
	var all []*Waiter
	if p.total.Add(-1) == 0 {
		all = p.takeAll()
	}
	wants := len(p.own) > 0
	p.mu.Unlock()
	for _, w := range all {
		w.fail(err, c.Loop())
	}
	if wants {
		p.open(c.Loop())
	}
	if p.onFailure != nil {
		p.onFailure(p, err)
	}
}

// Lost is called by a free connection that is of no more use.
func (p *Pool) Lost(c *backend.Conn) {
	lo := &p.locals[c.Loop().ID]
	for i, x := range lo.idle {
		if x == c {
			lo.idle = append(lo.idle[:i], lo.idle[i+1:]...)
			break
		}
	}
}

// Closed is called by a connection that is gone.
func (p *Pool) Closed(c *backend.Conn) {
	delete(p.locals[c.Loop().ID].all, c)
	p.total.Add(-1)
	p.open(c.Loop())
}

// Changed is called by a free connection that the server has told of another value of a parameter.
func (p *Pool) Changed(*backend.Conn) { p.Learnt.Forget() }

// open opens a connection where somebody waits for whom none is under way.
func (p *Pool) open(here *reactor.Loop) {
	p.mu.Lock()
	prof := p.profile.Load()
	total := int(p.total.Load())
	if total >= prof.Max || p.closed.Load() || p.held.Load() {
		p.mu.Unlock()
		return
	}
	soon := p.lastErr != nil && total > p.opening && time.Since(p.failed) < retry
	first := p.oldest()
	if int(p.waiting.Load()) <= p.opening || p.opening >= opensAtOnce || soon {
		first = nil
	}
	if w := p.grant(first); w != nil {
		p.mu.Unlock()
		p.dial(w, here)
		p.open(here)
		return
	}
	if first == nil {
		p.mu.Unlock()
		return
	}
	p.total.Add(1)
	p.opening++
	l := first.loop
	p.mu.Unlock()
	if l == here {
		backend.Open(l, p.target.Load(), p)
	} else {
		l.Post(func() { backend.Open(l, p.target.Load(), p) })
	}
}

// Fire closes free connections that were not used for long.
func (lo *local) Fire(*reactor.Timer) {
	idle := int64(lo.pool.profile.Load().Idle)
	for len(lo.idle) > 0 && idle > 0 {
		c := lo.idle[0]
		if c.Since+idle > c.Loop().Now() {
			lo.startTimer(c.Loop())
			return
		}
		lo.idle = append(lo.idle[:0], lo.idle[1:]...)
		c.Retire()
	}
}

func (lo *local) startTimer(l *reactor.Loop) {
	if idle := int64(lo.pool.profile.Load().Idle); idle > 0 && !lo.timer.Running() && len(lo.idle) > 0 {
		lo.timer.Start(l, max(lo.idle[0].Since+idle, l.Now()+1))
	}
}

var _ backend.Owner = (*Pool)(nil)
