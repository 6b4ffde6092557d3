package pool

import (
	"slices"

	"github.com/heliosproxy/heliosproxy/dataplane/backend"
	"github.com/heliosproxy/heliosproxy/dataplane/reactor"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// Ration says when connections may be opened while another process has some of the places. Any goroutine may use it.
type Ration interface {
	// Ask calls granted, from whatever goroutine, when there is a place for one connection more; Return gives one back.
	Ask(k Key, granted func())
	Return(k Key)
}

// Ration lets every connection that is opened from now on wait for its place; nil: none waits.
func (r *Registry) Ration(by Ration) {
	if by == nil {
		r.books.ration.Store(nil)
		return
	}
	r.books.ration.Store(&by)
}

// permitted calls open on the loop l when the connection has its place.
func (p *Pool) permitted(here, l *reactor.Loop, open func()) {
	switch by := p.books.ration.Load(); {
	case by != nil:
		(*by).Ask(p.Key, func() { l.Post(open) })
	case l == here:
		open()
	default:
		l.Post(open)
	}
}

// At returns the pool with a key, nil where there is none.
func (r *Registry) At(k Key) *Pool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.pools[k]
}

// Inherit makes a connection, leased to task, of one that another process has given with its place.
func (p *Pool) Inherit(ep *reactor.Endpoint, task *reactor.Task, from *heliosv1.CarriedServer) *backend.Conn {
	p.total.Add(1)
	p.books.inherit(p, ep.Loop().Now())
	c := backend.Inherit(ep, task, p.target.Load(), p, from)
	p.locals[ep.Loop().ID].all[c] = false
	return c
}

// Owe gives a place back to the process that has asked for it: a connection of the pool is closed as soon as one is free.
func (r *Registry) Owe(k Key) {
	p := r.At(k)
	if p == nil {
		return
	}
	l, b := r.loops[0], r.books
	l.Post(func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		if p.rest() > 0 && !slices.ContainsFunc(b.debts, func(d *debt) bool { return d.from == p && d.to == nil && !d.paid }) {
			b.ask(p, nil, l.Now())
		}
	})
}

// Refuse closes a connection that another process has given and no pool can take. Its place is given back when the server has closed it.
func (r *Registry) Refuse(ep *reactor.Endpoint, from *heliosv1.CarriedServer) {
	backend.Part(ep, &stranger{r.books, KeyOf(from.GetPool())})
}

// stranger owns a connection that is in no pool.
type stranger struct {
	books *books
	key   Key // of the pool in the other process
}

// Closed gives the place back.
func (s *stranger) Closed(*backend.Conn) {
	if by := s.books.ration.Load(); by != nil {
		(*by).Return(s.key)
	}
}

func (s *stranger) Opened(*backend.Conn)        {}
func (s *stranger) Failed(*backend.Conn, error) {}
func (s *stranger) Lost(*backend.Conn)          {}
func (s *stranger) Changed(*backend.Conn)       {}

var _ backend.Owner = (*stranger)(nil)

// KeyOf is the key of a pool that another process names.
func KeyOf(n *heliosv1.PoolName) Key {
	return Key{Node: n.GetNode(), Database: n.GetDatabase(), User: n.GetUser()}
}

// Message is the inverse of KeyOf.
func (k Key) Message() *heliosv1.PoolName {
	return &heliosv1.PoolName{Node: k.Node, Database: k.Database, User: k.User}
}
