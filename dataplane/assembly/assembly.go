// Package assembly puts the rooms of the data plane together and hands each what it needs of the others. It never takes part in a walk.
package assembly

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/heliosproxy/heliosproxy/dataplane/localadmin"
	"github.com/heliosproxy/heliosproxy/dataplane/pool"
	"github.com/heliosproxy/heliosproxy/dataplane/reactor"
	"github.com/heliosproxy/heliosproxy/dataplane/serve"
	"github.com/heliosproxy/heliosproxy/dataplane/snapshot"
	"github.com/heliosproxy/heliosproxy/dataplane/state/cancelkeys"
	"github.com/heliosproxy/heliosproxy/dataplane/state/statement"
	"github.com/heliosproxy/heliosproxy/pkg/resource"
)

// Options are what a data plane is made with: what belongs to the machine and is not in a snapshot.
type Options struct {
	Log    *zap.Logger
	NodeID string
	// Loops is the number of event loops; 0 is half the processors, at least 1.
	Loops int
	// AdminAddress is where the local HTTP server listens; empty is nowhere.
	AdminAddress string
	AdminToken   string
	// Listen gives listeners another address than their resource, by name.
	Listen map[string]string
	// Reactor is for tests.
	Reactor reactor.Options
	// LoginTimeout is how long a client may take to log in; 0 is a minute, as PostgreSQL's authentication_timeout.
	LoginTimeout time.Duration
}

// Proxy is a running data plane.
type Proxy struct {
	o        Options
	group    *reactor.Group
	hub      *serve.Hub
	current  atomic.Pointer[snapshot.Snapshot]
	draining atomic.Bool
	admin    *localadmin.Server

	mu         sync.Mutex // of Apply, Drain and Close
	generation uint64
	doors      map[string]*door
	closed     bool
}

// door is an open listener.
type door struct {
	ls   *reactor.Listener
	addr string
	rule atomic.Pointer[snapshot.Listener]
}

// New starts a data plane, without a configuration and so without a listener.
func New(o Options) (*Proxy, error) {
	if o.Log == nil {
		o.Log = zap.NewNop()
	}
	if o.Loops <= 0 {
		o.Loops = max(1, runtime.NumCPU()/2)
	}
	if o.LoginTimeout == 0 {
		o.LoginTimeout = time.Minute
	}
	g, err := reactor.NewGroup(o.Loops, o.Reactor)
	if err != nil {
		return nil, fmt.Errorf("start event loops: %w", err)
	}
	// What clients and servers cause is logged at most so often, whatever they do.
	o.Log = o.Log.WithOptions(zap.WrapCore(func(c zapcore.Core) zapcore.Core {
		return zapcore.NewSamplerWithOptions(c, time.Second, 20, 1000)
	}))
	p := &Proxy{o: o, group: g, doors: map[string]*door{}}
	p.hub = &serve.Hub{
		Log:          o.Log,
		Pools:        pool.NewRegistry(g.Loops()),
		Keys:         cancelkeys.New[*serve.Conn](),
		Statements:   statement.NewRegistry("helios_" + nonce() + "_"),
		MockSecret:   snapshot.NewSecret(),
		Current:      p.current.Load,
		Draining:     p.draining.Load,
		LoginTimeout: o.LoginTimeout,
	}
	p.hub.Pools.Failed = func(pl *pool.Pool, err error) {
		o.Log.Warn("cannot open a server connection", zap.String("node", pl.Node), zap.String("database", pl.Database), zap.String("user", pl.User), zap.Error(err))
	}
	for _, l := range g.Loops() {
		serve.NewLocal(p.hub, l)
	}
	g.Start()
	if o.AdminAddress != "" {
		if p.admin, err = p.startAdmin(); err != nil {
			g.Stop()
			return nil, err
		}
	}
	return p, nil
}

func nonce() string {
	var b [4]byte
	rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

// Apply puts a configuration in force: it is compiled, the ports that are new are opened, then it is
// swapped in. Where anything of that fails the configuration before stays in force, whole.
func (p *Proxy) Apply(set *resource.Set) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return errors.New("the data plane is closed")
	}
	snap, err := snapshot.Compile(set, p.generation+1)
	if err != nil {
		return fmt.Errorf("compile: %w", err)
	}
	opened, err := p.warm(snap)
	if err != nil {
		return fmt.Errorf("warm: %w", err)
	}
	p.generation++
	p.current.Store(snap)
	p.open(snap, opened)
	return nil
}

// warm opens the ports that the snapshot needs and the proxy does not have.
func (p *Proxy) warm(snap *snapshot.Snapshot) (map[string]*reactor.Listener, error) {
	opened := map[string]*reactor.Listener{}
	for name, l := range snap.Listeners {
		addr := p.address(l)
		if d := p.doors[name]; d != nil && d.addr == addr {
			continue
		}
		a, err := reactor.ParseAddress(addr)
		var ls *reactor.Listener
		if err == nil {
			ls, err = reactor.Listen(a)
		}
		if err != nil {
			for _, o := range opened {
				o.Close()
			}
			return nil, fmt.Errorf("listener %q: %w", name, err)
		}
		opened[name] = ls
	}
	return opened, nil
}

func (p *Proxy) address(l *snapshot.Listener) string {
	if a := p.o.Listen[l.Name]; a != "" {
		return a
	}
	return l.Address
}

// open lets clients in at the new doors, and closes those that are no more.
func (p *Proxy) open(snap *snapshot.Snapshot, opened map[string]*reactor.Listener) {
	first := p.group.Loops()[0]
	for name, d := range p.doors {
		if l := snap.Listeners[name]; l != nil && opened[name] == nil {
			d.rule.Store(l)
			continue
		}
		first.PostWait(d.ls.Close)
		delete(p.doors, name)
	}
	for name, ls := range opened {
		l := snap.Listeners[name]
		d := &door{ls: ls, addr: p.address(l)}
		d.rule.Store(l)
		p.doors[name] = d
		first.PostWait(func() {
			err := ls.Accept(first, func(e *reactor.Endpoint, peer reactor.Address) {
				serve.Accept(p.hub, e, peer, d.rule.Load())
			}, p.turnedAway)
			if err != nil {
				p.o.Log.Error("cannot accept connections", zap.String("listener", name), zap.Error(err))
			}
		})
		p.o.Log.Info("listening", zap.String("listener", name), zap.Stringer("address", ls.Address()))
	}
}

// turnedAway logs that somebody could not be taken in.
func (p *Proxy) turnedAway(err error) { p.o.Log.Warn("cannot take a client in", zap.Error(err)) }

// Addresses returns where the listeners are bound, by name.
func (p *Proxy) Addresses() map[string]string {
	p.mu.Lock()
	defer p.mu.Unlock()
	as := map[string]string{}
	for name, d := range p.doors {
		as[name] = d.ls.Address().String()
	}
	return as
}

// Drain stops listening and lets each session end with its transaction. It returns when all have ended,
// or with ctx's error.
func (p *Proxy) Drain(ctx context.Context) error {
	p.mu.Lock()
	p.draining.Store(true)
	first := p.group.Loops()[0]
	for name, d := range p.doors {
		first.PostWait(d.ls.Close)
		delete(p.doors, name)
	}
	p.mu.Unlock()
	for _, l := range p.group.Loops() {
		l.Post(func() {
			l.Local.(*serve.Local).Each(func(c *serve.Conn) { c.Wake() })
		})
	}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		n := 0
		for _, l := range p.group.Loops() {
			n += l.Load()
		}
		if n == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%d sessions are still in a transaction: %w", n, ctx.Err())
		case <-tick.C:
		}
	}
}

// Close ends everything at once.
func (p *Proxy) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil
	}
	p.closed = true
	var err error
	if p.admin != nil {
		err = p.admin.Close() // it asks the loops
	}
	p.group.Stop()
	return err
}
