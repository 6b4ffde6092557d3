package pool

import (
	"github.com/heliosproxy/heliosproxy/dataplane/reactor"
	"github.com/heliosproxy/heliosproxy/pkg/pgwire"
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

// Place counts a connection that another process opens. t waits as in Own, and the errors are the same. It is counted until Vacate.
func (p *Pool) Place(t *reactor.Task, w *Waiter) error {
	w = w.renew(t, p)
	w.startup, w.elsewhere = []pgwire.Parameter{}, true
	_, err := p.alone(t, w)
	return err
}

// Vacate counts off a connection of another process.
func (p *Pool) Vacate(here *reactor.Loop) {
	p.uncount(here)
	p.open(here)
	p.books.settle(here)
}

// placed gives w its place, on its loop.
func (w *Waiter) placed() {
	p := w.pool
	p.mu.Lock()
	p.dialing--
	p.mu.Unlock()
	w.coming = false
	if w.gone {
		p.Vacate(w.loop)
		return
	}
	w.has = true
	w.task.Wake()
}
