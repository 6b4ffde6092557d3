package assembly

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/heliosproxy/heliosproxy/dataplane/listen"
	"github.com/heliosproxy/heliosproxy/dataplane/localadmin"
	"github.com/heliosproxy/heliosproxy/dataplane/lookup"
	"github.com/heliosproxy/heliosproxy/dataplane/observe/metrics"
	"github.com/heliosproxy/heliosproxy/dataplane/pool"
	"github.com/heliosproxy/heliosproxy/dataplane/reactor"
	"github.com/heliosproxy/heliosproxy/dataplane/serve"
	"github.com/heliosproxy/heliosproxy/dataplane/state/hosts"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// startAdmin starts the local HTTP server.
func (p *Proxy) startAdmin() (*localadmin.Server, error) {
	h, err := metrics.Handler(p, p.o.Log)
	if err != nil {
		return nil, fmt.Errorf("metrics: %w", err)
	}
	return localadmin.Start(localadmin.Options{
		Address: p.o.AdminAddress, Token: p.o.AdminToken, Ready: p, Metrics: h, Log: p.o.Log,
	})
}

// Readiness says whether clients can be served: a configuration is in force, the proxy is not about to end, and a server was reached, by
// a pool that has a connection or, while there is none, by knocking at its port. Without a control plane a proxy
// is as ready as with one, and says what it serves.
func (p *Proxy) Readiness() (ok bool, reason string) {
	ok, reason = p.reached()
	if c := p.control.Load(); ok && c != nil {
		if s, _ := c.sync.State(); s.Source == heliosv1.Source_SOURCE_LAST_KNOWN_GOOD {
			reason = "serving the last known good configuration: no control plane has confirmed it yet"
		}
	}
	return ok, reason
}

func (p *Proxy) reached() (ok bool, reason string) {
	snap := p.current.Load()
	switch {
	case snap == nil:
		return false, "no configuration is in force yet"
	case p.deaf.Load() || p.fate() == serve.Ends:
		return false, "the proxy is shutting down"
	}
	conns := 0
	p.hub.Pools.Each(func(pl *pool.Pool) { conns += pl.Live() })
	if conns > 0 {
		return true, ""
	}
	reason = "no node is configured"
	snap.Primaries(func(name string, at *hosts.Server) {
		if ok {
			return
		}
		if err := knock(at); err != nil {
			reason = fmt.Sprintf("node %s was not reached: %v", name, err)
			return
		}
		ok, reason = true, ""
	})
	return ok, reason
}

// Alive returns when every loop has taken a turn, or with ctx's error.
func (p *Proxy) Alive(ctx context.Context) error {
	for i, l := range p.group.Loops() {
		turned := make(chan struct{})
		l.Post(func() { close(turned) })
		select {
		case <-turned:
		case <-ctx.Done():
			return fmt.Errorf("event loop %d does not turn: %w", i, ctx.Err())
		}
	}
	return nil
}

// lagPeriod is how often it is looked how late the loops are.
const lagPeriod = time.Second

// watchLag asks each loop from time to time, and lets it count how long that took.
func (p *Proxy) watchLag() {
	tick := time.NewTicker(lagPeriod)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-p.done:
			return
		}
		for _, l := range p.group.Loops() {
			asked := time.Now()
			l.Post(func() { l.Local.(*serve.Local).Lag.Add(int64(time.Since(asked))) })
		}
	}
}

// Monotonic is the kernel's CLOCK_MONOTONIC.
func Monotonic() time.Duration { return reactor.Monotonic() }

// Metrics sums up what the loops have counted, each on its own thread.
func (p *Proxy) Metrics() metrics.Snapshot {
	s := metrics.Snapshot{PasswordCommands: p.passwords.Counts(), LoginPrograms: p.programs.Counts()}
	clients := map[metrics.Clients]int{}
	servers := map[metrics.Servers]int{}
	for _, l := range p.group.Loops() {
		l.PostWait(func() {
			lo := l.Local.(*serve.Local)
			lo.Each(func(c *serve.Conn) {
				user, db, state := c.Who()
				clients[metrics.Clients{Database: db, User: user, State: state}]++
				for i := range c.Pins().All() {
					s.Pinned[i]++
				}
			})
			x := metrics.Loop{ID: l.ID, Turns: l.Turns, Calls: l.Calls, Lag: lo.Lag}
			x.Coroutines, x.Free = l.Coroutines()
			s.Loops = append(s.Loops, x)
			p.hub.Pools.Each(func(pl *pool.Pool) {
				pl.States(l, func(state string) {
					servers[metrics.Servers{Database: pl.Database, User: pl.User, Node: pl.Node, State: state}]++
				})
			})
			s.Counted.Add(&lo.Meter)
			for k, a := range lo.Accounts() {
				x := metrics.Account{Database: k.Database, User: k.Pool.User, Node: k.Pool.Node}
				x.Sum(a)
				s.Accounts = append(s.Accounts, x)
			}
		})
	}
	p.catalogs.Stats(func(node, database string, x lookup.Stats) {
		s.Catalogs = append(s.Catalogs, metrics.Catalog{
			Database: database, Node: node, Readings: x.Readings, Failures: x.Failures, Bytes: uint64(x.Bytes), Known: x.Known,
		})
	})
	p.listeners.Stats(func(node, database string, x listen.Stats) {
		s.Listeners = append(s.Listeners, metrics.Listener{
			Database: database, Node: node, Channels: x.Channels, Subscriptions: x.Subscriptions,
			Notifications: x.Notifications, Losses: x.Losses, Connected: x.Connected,
		})
	})
	if c := p.control.Load(); c != nil {
		x, _ := c.sync.State()
		s.Config = &metrics.Config{
			Epoch: x.Generation.GetEpoch(), Revision: x.Generation.GetRevision(),
			Source:  strings.ReplaceAll(strings.ToLower(strings.TrimPrefix(x.Source.String(), "SOURCE_")), "_", "-"),
			Applied: x.Since, Successful: x.Rejection == nil, Refused: x.Refusals,
			Connected: x.Connected, Contact: x.Contact, NotKept: p.persistFailed.Load(),
		}
	}
	for k, n := range clients {
		k.N = n
		s.Clients = append(s.Clients, k)
	}
	for k, n := range servers {
		k.N = n
		s.Servers = append(s.Servers, k)
	}
	return s
}

var (
	_ localadmin.Readiness = (*Proxy)(nil)
	_ metrics.Source       = (*Proxy)(nil)
)
