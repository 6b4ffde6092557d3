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
	Max          int // the most connections at any moment, from dial to close
	Min          int // how many are kept open
	Reserve      int // further ones, for who has waited for ReserveAfter
	ReserveAfter time.Duration
	Opening      int           // how many are opened at once; 0 is 4
	Idle         time.Duration // a free connection is closed after this time; 0 is never
	Lifetime     time.Duration // a connection that is older is closed when it is free; 0 is never
	Retry        time.Duration // how long none is opened after a log-in has failed
	Acquire      time.Duration // how long somebody waits for a connection
	Notice       time.Duration // when somebody who waits is told so; 0 is never
	InTurn       bool          // of a loop's free connections the one that was not used for longest is lent, not the one that was used last
	Limits       Limits        // what it shares with other pools
}

// Pool is the connections of one key. Its methods are for the threads of loops.
type Pool struct {
	Key
	Name    string // the key in one string
	target  atomic.Pointer[backend.Target]
	profile atomic.Pointer[Profile]
	locals  []local // by loop
	Learnt  Learnt

	books     *books
	account   account // the books'
	alarm     alarm
	onFailure func(*Pool, error)
	aliases   map[Alias]use // who leads here, under the registry's lock

	waiting atomic.Int32 // how long the queue is
	total   atomic.Int32 // connections, from dial to close
	going   atomic.Int32 // those of them that are free and being closed
	owed    atomic.Int32 // how many of them other pools get the places of
	wanted  atomic.Int32 // how many wait for a connection of their own
	lent    atomic.Int32 // how many of the connections another process has
	refused atomic.Bool  // a place, as a limit is reached that it shares with other pools
	closed  atomic.Bool
	held    atomic.Bool // no connections are opened

	mu      sync.Mutex
	lines   []line    // those who wait, by loop
	own     []*Waiter // those who wait for one of their own, in the order of asking
	making  bool      // a connection is being closed for the first of them
	opening int       // connections that are not yet logged in
	dialing int       // those of them that will be somebody's own; not in opening
	recall  int64     // when a place was asked back last; 0: or it has come
	failed  int64     // when the last could not be opened, as loops count time
	lastErr error     // why
}

// local is what one loop has of a pool.
type local struct {
	pool  *Pool
	loop  *reactor.Loop
	look  func()                 // matches what is idle here with those who wait anywhere
	idle  []*backend.Conn        // the last used is last
	all   map[*backend.Conn]bool // true: was free and is being closed
	timer reactor.Timer
	due   int64 // when it fires, if it runs
}

func newPool(k Key, loops []*reactor.Loop, b *books) *Pool {
	p := &Pool{books: b, Key: k, Name: k.Node + "\x00" + k.Database + "\x00" + k.User, locals: make([]local, len(loops)), lines: make([]line, len(loops))}
	p.Learnt.init()
	for i := range p.locals {
		lo := &p.locals[i]
		lo.pool, lo.loop, lo.all = p, loops[i], map[*backend.Conn]bool{}
		lo.look = func() {
			p.match(lo.loop)
			p.clear(lo.loop)
			p.yield(lo.loop)
		}
		lo.timer.Init(lo)
	}
	p.alarm.init(loops[0], p.open)
	b.enter(p)
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
	last := len(lo.idle) - 1
	next := last
	if p.profile.Load().InTurn {
		next = min(0, last)
	}
	if next < 0 || !lo.idle[next].Quiet() {
		return nil
	}
	c := lo.idle[next]
	copy(lo.idle[next:], lo.idle[next+1:])
	lo.idle[last] = nil
	lo.idle = lo.idle[:last]
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
	prof := p.profile.Load()
	if p.closed.Load() || c.Target != p.target.Load() || c.Moved() || p.over(prof) || prof.old(c, l.Now()) ||
		p.owed.Load() > 0 && p.books.pay(p) || p.wanted.Load() != 0 && p.makesRoom() {
		lo.shed(c)
		return
	}
	if p.waiting.Load() == 0 {
		lo.keep(c)
		return
	}
	p.mu.Lock()
	w := p.pop(l)
	p.mu.Unlock()
	if w == nil {
		lo.keep(c)
		return
	}
	p.hand(c, w)
}

// over says whether there are more connections than the profile allows now. Those of the reserve stay while somebody waits.
func (p *Pool) over(prof *Profile) bool {
	total := int(p.total.Load())
	if total <= prof.Max {
		return false
	}
	total -= int(p.going.Load())
	return total > prof.Max && (total > prof.Max+prof.Reserve || p.waiting.Load() == 0)
}

// hand gives c to w, which was taken off the queue.
func (p *Pool) hand(c *backend.Conn, w *Waiter) {
	if w.loop == c.Loop() {
		w.take(c)
		return
	}
	delete(p.locals[c.Loop().ID].all, c)
	c.Move(w.loop, func() {
		p.locals[w.loop.ID].all[c] = false
		w.take(c)
	})
}

// Opened is called by a connection that is free: new, or clean again.
func (p *Pool) Opened(c *backend.Conn) {
	c.Learn()
	l := c.Loop() // c may be on another one when it was offered
	lo := &p.locals[l.ID]
	if _, known := lo.all[c]; !known {
		lo.all[c] = false
		p.mu.Lock()
		p.opening--
		p.lastErr = nil
		p.mu.Unlock()
		p.Learnt.Compare(c.Params)
	}
	p.offer(c)
	p.open(l)
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

// Changed is called by a free connection that the server has told of another value of a parameter.
func (p *Pool) Changed(*backend.Conn) { p.Learnt.Forget() }

var _ backend.Owner = (*Pool)(nil)
