package hosts

import (
	"context"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
)

// Lookup finds what a name stands for.
type Lookup func(ctx context.Context, name string) (Found, error)

// Found is what a name stands for.
type Found struct {
	Addresses []netip.Addr  // at least one
	TTL       time.Duration // how long they are good
	Name      string        // in full, as name servers know it; empty where none was asked
}

const (
	// lookupLimit bounds a question: name servers that do not answer are asked several times.
	lookupLimit = 30 * time.Second
	// shortest is how long an answer is good at least, so that a name whose time is 0 costs a question a second and not one at each connect.
	shortest = time.Second
	// again is how long it is waited after a question that was not answered.
	again = 2 * time.Second
)

// Address is one that a name has, or has had. It is the same one for as long as the name has it.
type Address struct {
	IP   netip.Addr
	gone atomic.Bool
}

// Gone says that the name does not have the address any more: connections to it should not serve for long.
func (a *Address) Gone() bool { return a != nil && a.gone.Load() }

// answer is the last that was given. It is immutable.
type answer struct {
	addrs []*Address
	full  string    // the name, as name servers have known it last; empty: they have not
	err   error     // why there are none
	until time.Time // it is good
}

// name is a name and its addresses. As soon as it was asked for it is asked for again whenever the answer's time is over, until it is
// forgotten: connections to an address that it has lost should not wait for the next connect to be closed.
type name struct {
	book *Book
	text string

	last atomic.Pointer[answer] // nil: it was not asked for

	mu        sync.Mutex
	asking    chan struct{} // closed when the question under way is answered; nil: there is none
	timer     *time.Timer
	answered  time.Time
	had       []*Address // the last that there were
	failed    bool       // the last question was not answered with addresses
	forgotten bool
}

// fresh returns the answer if there is one that need not be waited for. One whose time is over is, too: somebody asks anew.
func (n *name) fresh() *answer {
	a := n.last.Load()
	if a == nil || a.err != nil && !time.Now().Before(a.until) {
		return nil
	}
	return a
}

// ask waits for the answer to the question under way, or to one that it begins.
func (n *name) ask(ctx context.Context) {
	n.mu.Lock()
	done := n.begin()
	n.mu.Unlock()
	select {
	case <-done:
	case <-ctx.Done():
	}
}

// renew is ask, unless there is an answer that came after since.
func (n *name) renew(ctx context.Context, since time.Time) {
	n.mu.Lock()
	if n.asking == nil && n.answered.After(since) {
		n.mu.Unlock()
		return
	}
	done := n.begin()
	n.mu.Unlock()
	select {
	case <-done:
	case <-ctx.Done():
	}
}

// anew is ask, but what is asked already does not count: its answer may be from before.
func (n *name) anew(ctx context.Context) {
	n.mu.Lock()
	asking := n.asking
	n.mu.Unlock()
	if asking != nil {
		select {
		case <-asking:
		case <-ctx.Done():
			return
		}
	}
	n.ask(ctx)
}

// begin begins a question unless one is under way. n is locked.
func (n *name) begin() (done chan struct{}) {
	if n.asking != nil {
		return n.asking
	}
	done = make(chan struct{})
	n.asking = done
	if n.timer != nil {
		n.timer.Stop()
	}
	go func() {
		ctx, stop := context.WithTimeout(n.book.ctx, lookupLimit)
		found, err := n.book.o.Lookup(ctx, n.text)
		stop()
		changed := n.take(found, err)
		close(done)
		if changed && n.book.o.Changed != nil {
			n.book.o.Changed()
		}
	}()
	return done
}

// take keeps an answer. It says whether an address is gone.
func (n *name) take(found Found, err error) (changed bool) {
	p := n.book.keeps()
	n.mu.Lock()
	defer n.mu.Unlock()
	n.asking, n.answered = nil, time.Now()
	if n.book.ctx.Err() != nil {
		n.last.CompareAndSwap(nil, &answer{err: err})
		return false
	}
	log := n.book.o.Log.With(zap.String("host", n.text))
	old, next := n.last.Load(), &answer{err: err}
	if old != nil {
		next.full = old.full
	}
	var ttl time.Duration
	switch {
	case err == nil:
		ttl = max(shortest, min(found.TTL, p.MaxTTL))
		next.full = found.Name
		next.addrs, changed = n.swap(found.Addresses, log)
	case n.book.o.None(err):
		ttl = max(shortest, p.NoneTTL)
		if len(n.had) > 0 && !n.failed {
			log.Warn("a host has no address any more: no connection to it is opened", zap.Error(err))
		}
	default:
		ttl = again
		if old != nil && old.err == nil {
			next.addrs, next.err = old.addrs, nil
			if !n.failed {
				log.Warn("a host cannot be looked up: its last addresses are used on", zap.Strings("addresses", texts(old.addrs)), zap.Error(err))
			}
		}
	}
	n.failed = err != nil
	next.until = time.Now().Add(ttl)
	n.last.Store(next)
	n.arm(ttl)
	return changed
}

// swap makes addrs those of the name. n is locked.
func (n *name) swap(addrs []netip.Addr, log *zap.Logger) (now []*Address, changed bool) {
	now = make([]*Address, len(addrs))
	for i, ip := range addrs {
		if k := slices.IndexFunc(n.had, func(a *Address) bool { return a.IP == ip }); k >= 0 {
			now[i] = n.had[k]
		} else {
			now[i] = &Address{IP: ip}
		}
	}
	for _, a := range n.had {
		if !slices.Contains(now, a) {
			a.gone.Store(true)
			changed = true
		}
	}
	switch {
	case changed:
		log.Info("a host has other addresses", zap.Strings("before", texts(n.had)), zap.Strings("addresses", texts(now)))
	case n.failed && len(n.had) > 0:
		log.Info("a host is looked up again", zap.Strings("addresses", texts(now)))
	}
	n.had = now
	return now, changed
}

// arm asks again after a time. n is locked.
func (n *name) arm(after time.Duration) {
	if n.forgotten {
		return
	}
	n.timer = time.AfterFunc(after, func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		if !n.forgotten && n.book.ctx.Err() == nil {
			n.begin()
		}
	})
}

// shorten makes an answer no better than a policy has it.
func (n *name) shorten(p Policy) {
	n.mu.Lock()
	defer n.mu.Unlock()
	a := n.last.Load()
	if a == nil || n.asking != nil {
		return
	}
	most := max(shortest, p.MaxTTL)
	if a.err != nil {
		most = max(shortest, p.NoneTTL)
	}
	if time.Until(a.until) > most {
		n.timer.Stop()
		b := *a
		b.until = time.Now().Add(most)
		n.last.Store(&b)
		n.arm(most)
	}
}

// forget asks no more.
func (n *name) forget() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.forgotten = true
	if n.timer != nil {
		n.timer.Stop()
	}
}

func (n *name) busy() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.asking != nil
}

func (n *name) known() (Known, bool) {
	a := n.last.Load()
	if a == nil {
		return Known{}, false
	}
	return Known{n.text, max(0, time.Until(a.until)), texts(a.addrs)}, true
}

func texts(addrs []*Address) []string {
	all := make([]string, len(addrs))
	for i, a := range addrs {
		all[i] = a.IP.String()
	}
	return all
}
