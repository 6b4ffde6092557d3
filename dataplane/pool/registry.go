package pool

import (
	"slices"
	"sync"

	"github.com/heliosproxy/heliosproxy/dataplane/backend"
	"github.com/heliosproxy/heliosproxy/dataplane/reactor"
)

// Registry has all pools. A pool outlives the configuration that made it: it is found by its key and
// told what is new. Any thread may use it.
type Registry struct {
	// Failed, if set, hears of connections that could not be opened. It is set before the first pool is made.
	Failed func(p *Pool, err error)

	loops []*reactor.Loop
	books *books
	mu    sync.Mutex
	pools map[Key]*Pool
	turn  uint64 // counts how often Forget was called
}

// NewRegistry makes a registry for the given loops.
func NewRegistry(loops []*reactor.Loop) *Registry {
	return &Registry{loops: loops, books: newBooks(loops[0]), pools: map[Key]*Pool{}}
}

// Alias is what clients call a pool: the database that they name, the server name that it was chosen by, if any, and the user that they are.
type Alias struct{ Database, Server, User string }

// Find returns the pool of a target, nil where there is none yet.
func (r *Registry) Find(t *backend.Target) *Pool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.pools[Key{t.Node, t.Database, t.User}]
}

// Get returns the pool of the target, made or told of what is new in target and profile. Connections
// that were opened to another address or with another secret are closed as they become free.
func (r *Registry) Get(as Alias, t *backend.Target, prof *Profile) *Pool {
	k := Key{t.Node, t.Database, t.User}
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.pools[k]
	if p == nil {
		p = newPool(k, r.loops, r.books)
		p.onFailure = r.Failed
		p.aliases = map[Alias]use{}
		r.pools[k] = p
	}
	p.aliases[as] = use{turn: r.turn}
	p.tell(t, prof)
	return p
}

// Ready makes a pool, as Get does, that opens the connections which it keeps open before anybody asks for one.
func (r *Registry) Ready(as Alias, t *backend.Target, prof *Profile) {
	p := r.Get(as, t, prof)
	l := p.alarm.loop
	l.Post(func() { p.open(l) })
}

// tell says to a pool what is new.
func (p *Pool) tell(t *backend.Target, prof *Profile) {
	if old := p.target.Load(); old == nil || !old.Same(t) {
		p.target.Store(t)
		p.Learnt.Forget()
		p.mu.Lock()
		p.lastErr = nil
		p.mu.Unlock()
	}
	p.profile.Store(prof)
	if p.books.bound(p, prof.Limits) {
		p.books.alarm.set(1)
	}
}

// Reconfigure tells every pool what a new configuration makes of it: route says where an alias leads now,
// or that it leads nowhere. A pool that no alias leads to any more is closed: its free connections at once,
// the others as they become free; who waits there hears it, as ErrMoved. Of a pool that may be smaller, free connections are closed; for who waits
// at one that may be larger, connections are opened.
func (r *Registry) Reconfigure(route func(Alias) (*backend.Target, *Profile, bool)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for k, p := range r.pools {
		for as := range p.aliases {
			t, prof, ok := route(as)
			if !ok || (Key{t.Node, t.Database, t.User}) != k {
				delete(p.aliases, as)
				continue
			}
			p.tell(t, prof)
		}
		if len(p.aliases) == 0 {
			r.close(k, p)
			continue
		}
		for _, l := range r.loops {
			l.Post(func() { p.refit(l) })
		}
	}
	r.books.alarm.set(1)
}

// Gone says whether the pool is closed: who needs a connection has to look where its pool is now.
func (p *Pool) Gone() bool { return p.closed.Load() }

// close closes a pool that no alias leads to. The registry is locked.
func (r *Registry) close(k Key, p *Pool) {
	delete(r.pools, k)
	p.closed.Store(true)
	p.books.end(p)
	for _, l := range r.loops {
		l.Post(func() { p.refit(l) })
	}
}

// Moved closes the free connections to addresses that their servers do not have any more. Those that are lent follow when they come back.
func (r *Registry) Moved() {
	r.Each(func(p *Pool) {
		for _, l := range r.loops {
			l.Post(func() { p.refit(l) })
		}
	})
}

// refit closes the free connections of a loop that should not be there any more, and sees to those who wait.
func (p *Pool) refit(l *reactor.Loop) {
	lo := &p.locals[l.ID]
	prof, now := p.profile.Load(), l.Now()
	over := int(p.total.Load()-p.going.Load()) - prof.Max
	var gone []*backend.Conn
	lo.idle = slices.DeleteFunc(lo.idle, func(c *backend.Conn) bool { // those first that were not used for longest
		if !p.closed.Load() && c.Target == p.target.Load() && !c.Moved() && len(gone) >= over && !prof.old(c, now) {
			return false
		}
		gone = append(gone, c)
		return true
	})
	for _, c := range gone {
		lo.shed(c)
	}
	for _, c := range lo.idle {
		lo.startTimer(c)
	}
	p.open(l)
}

// Each calls yield for each pool.
func (r *Registry) Each(yield func(*Pool)) {
	r.mu.Lock()
	ps := make([]*Pool, 0, len(r.pools))
	for _, p := range r.pools {
		ps = append(ps, p)
	}
	r.mu.Unlock()
	for _, p := range ps {
		yield(p)
	}
}

// States counts the pool's connections on loop l by state. It is called on l's thread.
func (p *Pool) States(l *reactor.Loop, add func(state string)) {
	for c := range p.locals[l.ID].all {
		add(c.State())
	}
}

// Live returns how many connections of the pool are logged in.
func (p *Pool) Live() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return int(p.total.Load()) - p.opening - p.dialing
}

// Total returns how many connections the pool has, from dial to close, and how many wait for one.
func (p *Pool) Total() (conns, waiting int) {
	return int(p.total.Load()), int(p.waiting.Load() + p.wanted.Load())
}
