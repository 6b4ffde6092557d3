package pool

import (
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
	mu    sync.Mutex
	pools map[Key]*Pool
}

// NewRegistry makes a registry for the given loops.
func NewRegistry(loops []*reactor.Loop) *Registry {
	return &Registry{loops: loops, pools: map[Key]*Pool{}}
}

// Get returns the pool of the target, made or told of what is new in target and profile. Connections
// that were opened to another address or with another secret are closed as they become free.
func (r *Registry) Get(t *backend.Target, prof *Profile) *Pool {
	k := Key{t.Node, t.Database, t.User}
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.pools[k]
	if p == nil {
		p = newPool(k, r.loops)
		p.onFailure = r.Failed
		r.pools[k] = p
	}
	if old := p.target.Load(); old == nil || !old.Same(t) {
		p.target.Store(t)
		p.Learnt.Forget()
	}
	p.profile.Store(prof)
	return p
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

// Keep closes every pool that keep does not want: its free connections at once, the others as they
// become free.
func (r *Registry) Keep(keep func(Key) bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for k, p := range r.pools {
		if !keep(k) {
			delete(r.pools, k)
			p.closed.Store(true)
			for _, l := range r.loops {
				l.Post(func() { p.retireIdle(l) })
			}
		}
	}
}

func (p *Pool) retireIdle(l *reactor.Loop) {
	lo := &p.locals[l.ID]
	idle := lo.idle
	lo.idle = nil
	for _, c := range idle {
		c.Retire()
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
	return int(p.total.Load()) - p.opening
}

// Total returns how many connections the pool has, from dial to close, and how many wait for one.
func (p *Pool) Total() (conns, waiting int) { return int(p.total.Load()), int(p.waiting.Load()) }
