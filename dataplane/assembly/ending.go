package assembly

import (
	"context"
	"fmt"
	"time"

	"github.com/heliosproxy/heliosproxy/dataplane/backend"
	"github.com/heliosproxy/heliosproxy/dataplane/pool"
	"github.com/heliosproxy/heliosproxy/dataplane/reactor"
	"github.com/heliosproxy/heliosproxy/dataplane/serve"
)

// fate is what becomes of the proxy's sessions.
func (p *Proxy) fate() serve.Fate { return serve.Fate(p.ends.Load()) }

// become says what is to become of all sessions, also of those that begin.
func (p *Proxy) become(f serve.Fate) {
	p.ends.Store(uint32(f))
	for _, l := range p.group.Loops() {
		l.Post(func() { l.Local.(*serve.Local).Each(func(c *serve.Conn) { c.Meet(f) }) })
	}
}

// Drain stops listening and lets each session end with its transaction, so many a second as the options say. It returns when all have
// ended, or with ctx's error.
func (p *Proxy) Drain(ctx context.Context) error {
	p.shut()
	p.dismiss(ctx)
	return p.finish(ctx)
}

// Leave stops listening and returns when all clients have left by themselves, or with ctx's error. What comes in force meanwhile counts for
// those who are there.
func (p *Proxy) Leave(ctx context.Context) error {
	p.shut()
	return p.empty(ctx, "there", p.load)
}

// shut stops listening. Probes and the fleet are told before the first port is closed.
func (p *Proxy) shut() {
	p.deaf.Store(true)
	p.mu.Lock()
	defer p.mu.Unlock()
	first := p.group.Loops()[0]
	for name, d := range p.doors {
		end := d.ls.Close
		if p.succession.begun() { // another process has it
			end = d.ls.Abandon
		}
		first.PostWait(end)
		delete(p.doors, name)
	}
}

// eachDoor calls f with each listener on the loop that accepts there.
func (p *Proxy) eachDoor(f func(*reactor.Listener)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, d := range p.doors {
		p.group.Loops()[0].PostWait(func() { f(d.ls) })
	}
}

// dismissTick is how often more sessions are ended.
const dismissTick = 50 * time.Millisecond

// dismiss ends all sessions, each as soon as no transaction is open, and no more of them a second than the options say.
func (p *Proxy) dismiss(ctx context.Context) {
	rate := p.o.drainRate()
	if rate <= 0 {
		p.become(serve.Ends)
		return
	}
	p.ends.Store(uint32(serve.Ends)) // whoever logs in now
	tick := time.NewTicker(dismissTick)
	defer tick.Stop()
	for due, left := 0.0, true; left; {
		due += float64(rate) * dismissTick.Seconds()
		n := int(due)
		due -= float64(n)
		left = false
		for _, l := range p.group.Loops() {
			l.PostWait(func() {
				l.Local.(*serve.Local).Each(func(c *serve.Conn) {
					switch {
					case c.Fate() == serve.Ends:
					case n == 0:
						left = true
					default:
						n--
						c.Meet(serve.Ends)
					}
				})
			})
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// finish waits until all have ended that are dismissed. Administrators, who have no transactions, may watch until they are alone.
func (p *Proxy) finish(ctx context.Context) error {
	return p.empty(ctx, "in a transaction", func() int {
		n := p.load()
		if n > 0 && n <= p.hub.Clients.Consoles() {
			for _, l := range p.group.Loops() {
				l.Post(func() {
					l.Local.(*serve.Local).Each(func(c *serve.Conn) {
						if c.Administers() && c.Rests() {
							c.EndByAdmin()
						}
					})
				})
			}
		}
		return n
	})
}

// load is how many sessions there are.
func (p *Proxy) load() (n int) {
	for _, l := range p.group.Loops() {
		n += l.Load()
	}
	return n
}

// empty waits until no session is left of those that are counted.
func (p *Proxy) empty(ctx context.Context, what string, count func() int) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		n := count()
		if n == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%d sessions are still %s: %w", n, what, ctx.Err())
		case <-tick.C:
		}
	}
}

// closeTime is how long servers may take to close connections that nobody needs any more.
const closeTime = 5 * time.Second

// closePools closes all server connections and waits until the servers have closed them too, but for places of another process.
func (p *Proxy) closePools(ctx context.Context, lent func(pool.Key) int) {
	ctx, stop := context.WithTimeout(ctx, closeTime)
	defer stop()
	var all []*pool.Pool
	p.hub.Pools.Each(func(x *pool.Pool) { all = append(all, x) })
	p.hub.Pools.Reconfigure(func(pool.Alias) (*backend.Target, *pool.Profile, bool) { return nil, nil, false })
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for ctx.Err() == nil {
		open := 0
		for _, x := range all {
			n, _ := x.Total()
			open += max(0, n-lent(x.Key))
		}
		if open == 0 {
			return
		}
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
}
