package pool

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/heliosproxy/heliosproxy/dataplane/backend"
	"github.com/heliosproxy/heliosproxy/dataplane/reactor"
)

// Hold keeps the pool from opening connections, or lets it open them again.
func (p *Pool) Hold(hold bool) {
	if p.held.Swap(hold) == hold || hold {
		return
	}
	for i := range p.locals {
		l := p.locals[i].loop
		l.Post(func() { p.open(l) })
	}
}

// Recycle lets every connection that the pool has now be closed, as soon as it is free.
func (p *Pool) Recycle() {
	for {
		old := p.target.Load()
		t := *old // another one, which no connection has
		if p.target.CompareAndSwap(old, &t) {
			break
		}
	}
	for i := range p.locals {
		l := p.locals[i].loop
		l.Post(func() { p.refit(l) })
	}
}

// Closing says whether a connection of the pool is closed as soon as it is free.
func (p *Pool) Closing(c *backend.Conn) bool { return c.Target != p.target.Load() || p.closed.Load() }

// Each calls yield for each connection of the pool that is on loop l. It is called on l's thread.
func (p *Pool) Each(l *reactor.Loop, yield func(*backend.Conn)) {
	for c := range p.locals[l.ID].all {
		yield(c)
	}
}

// Opening returns how many connections are not yet logged in.
func (p *Pool) Opening() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.opening + p.dialing
}

// Aliases returns what clients call a pool, in order.
func (r *Registry) Aliases(p *Pool) []Alias {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.SortedFunc(maps.Keys(p.aliases), func(a, b Alias) int {
		return cmp.Or(strings.Compare(a.Database, b.Database), strings.Compare(a.User, b.User))
	})
}
