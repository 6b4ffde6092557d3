// Package assembly puts the rooms of the data plane together and hands each what it needs of the others. It never takes part in a walk.
package assembly

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/heliosproxy/heliosproxy/dataplane/assembly/certs"
	"github.com/heliosproxy/heliosproxy/dataplane/assembly/desk"
	"github.com/heliosproxy/heliosproxy/dataplane/assembly/unused"
	"github.com/heliosproxy/heliosproxy/dataplane/backend"
	"github.com/heliosproxy/heliosproxy/dataplane/configsync"
	"github.com/heliosproxy/heliosproxy/dataplane/handover"
	"github.com/heliosproxy/heliosproxy/dataplane/judge"
	"github.com/heliosproxy/heliosproxy/dataplane/localadmin"
	"github.com/heliosproxy/heliosproxy/dataplane/peers"
	"github.com/heliosproxy/heliosproxy/dataplane/pool"
	"github.com/heliosproxy/heliosproxy/dataplane/reactor"
	"github.com/heliosproxy/heliosproxy/dataplane/serve"
	"github.com/heliosproxy/heliosproxy/dataplane/serve/inquiry"
	"github.com/heliosproxy/heliosproxy/dataplane/snapshot"
	"github.com/heliosproxy/heliosproxy/dataplane/state/admission"
	"github.com/heliosproxy/heliosproxy/dataplane/state/cancelkeys"
	"github.com/heliosproxy/heliosproxy/dataplane/state/keyring"
	"github.com/heliosproxy/heliosproxy/dataplane/state/statement"
	"github.com/heliosproxy/heliosproxy/dataplane/state/users"
	"github.com/heliosproxy/heliosproxy/pkg/logx"
	"github.com/heliosproxy/heliosproxy/pkg/passwords"
	"github.com/heliosproxy/heliosproxy/pkg/resource"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// Options are what a data plane is made with: what belongs to the machine and is not in a snapshot.
type Options struct {
	Log *zap.Logger
	// LogLevel is the logger's, which the console changes; nil: it cannot.
	LogLevel *logx.Level
	NodeID   string
	// Loops is the number of event loops; 0 is half the processors, at least 1.
	Loops int
	// AdminAddress is where the local HTTP server listens; empty is nowhere.
	AdminAddress string
	AdminToken   string
	// AdminOptional goes on without it if the address is taken.
	AdminOptional bool
	// Listen gives listeners another address than their resource, by name.
	Listen map[string]string
	// Inherited are descriptors of listening sockets that the process was handed, each with a name. The first configuration in force
	// uses those that are bound to the address of one of its listeners, or have its name; the others are closed.
	Inherited map[int]string
	// Reactor is for tests.
	Reactor reactor.Options
	// Files is how many files the process may have open; 0 asks the kernel. For tests.
	Files int
	// FilesPeriod is how often it is looked whether files of certificates have changed; 0 is 5 s.
	FilesPeriod time.Duration
	// Reload reads the configuration again and returns when that is in force, and Shutdown ends the process: what the console's
	// commands of these names do. nil: they are refused.
	Reload   func(context.Context) error
	Shutdown func(Shutdown)
	// HandedOver is called when another process has taken this one's place, and nothing is left here. It ends the process. nil: nobody is told.
	HandedOver func()
	// TakeoverWindow is how long sessions may stay here that a process which takes this one's place cannot take, and DrainRate how many
	// are ended a second, where they are to end: 0 is all at once. They are asked when that begins; nil is 0.
	TakeoverWindow func() time.Duration
	DrainRate      func() float64
	// StateDir is where another process finds the socket by which it can take this one's place; empty: none can. Takeover lets this one
	// take the place of the process that has the socket there.
	StateDir string
	Takeover bool
}

func (o *Options) takeoverWindow() time.Duration {
	if o.TakeoverWindow == nil {
		return 0
	}
	return o.TakeoverWindow()
}

func (o *Options) drainRate() float64 {
	if o.DrainRate == nil {
		return 0
	}
	return o.DrainRate()
}

// Proxy is a running data plane.
type Proxy struct {
	o       Options
	group   *reactor.Group
	hub     *serve.Hub
	current atomic.Pointer[snapshot.Snapshot]
	ends    atomic.Uint32          // a serve.Fate
	deaf    atomic.Bool            // it does not listen any more, and ends
	done    chan struct{}          // closed when the proxy is
	mock    atomic.Pointer[string] // the salts of users who are not there
	admin   *localadmin.Server
	desk    *desk.Desk

	mu         sync.Mutex // of Apply, Drain and Close
	generation uint64
	applied    *resource.Set     // what is in force, but for
	overrides  map[string]string // what was set on the console
	doors      map[string]*door
	closed     bool
	catalogs   *catalogs
	listeners  *listeners
	inherited  *inherited
	resolver   *resolver
	inquirers  *inquirers
	unused     *unused.Unused
	secrets    *certs.Store
	passwords  *passwords.Finder
	programs   *judge.Programs
	succession *succession
	before     *handover.Predecessor // that waits until clients are taken in here

	started       time.Time
	persistFailed atomic.Bool
	control       atomic.Pointer[control] // nil without a control plane; probes read it while Follow sets it
}

// maxKnown bounds whose secrets and keys are kept that databases know.
const maxKnown = 100_000

// door is an open listener.
type door struct {
	ls   *reactor.Listener
	addr string
	rule atomic.Pointer[serve.Door]
}

// New starts a data plane, without a configuration and so without a listener.
func New(o Options) (*Proxy, error) {
	if o.Log == nil {
		o.Log = zap.NewNop()
	}
	if o.Loops <= 0 {
		o.Loops = max(1, runtime.NumCPU()/2)
	}
	if o.Files == 0 {
		o.Files = reactor.OpenFiles()
	}
	before, err := meet(o)
	if err != nil {
		return nil, err
	}
	g, err := reactor.NewGroup(o.Loops, o.Reactor)
	if err != nil {
		return nil, fmt.Errorf("start event loops: %w", err)
	}
	// What clients and servers cause is logged at most so often, whatever they do.
	o.Log = o.Log.WithOptions(zap.WrapCore(func(c zapcore.Core) zapcore.Core {
		return zapcore.NewSamplerWithOptions(c, time.Second, 20, 1000)
	}))
	p := &Proxy{o: o, group: g, doors: map[string]*door{}, started: time.Now(), done: make(chan struct{})}
	p.hub = &serve.Hub{
		Log:        o.Log,
		Pools:      pool.NewRegistry(g.Loops()),
		Keys:       cancelkeys.New[*serve.Conn](),
		Statements: statement.NewRegistry("helios_" + nonce() + "_"),
		Clients:    &admission.Clients{},
		Failures:   admission.NewFailures(maxKnown),
		Files:      o.Files,
		Current:    p.current.Load,
		Fate:       p.fate,
		OSUser:     osUser,
		Interfaces: interfaces,
		HostName:   hostName,
		Spawn:      func(f func()) { go f() },
	}
	own := snapshot.NewSecret()
	p.mock.Store(&own)
	p.hub.MockSecret = func() string { return *p.mock.Load() }
	owned := map[int]bool(nil)
	if before != nil {
		o.Inherited, owned = before.Sockets, before.Owned
	}
	p.resolver = newResolver(o.Log, p.moved)
	p.inherited = inherit(o.Log, o.Inherited, owned)
	p.hub.Peers = peers.New(peers.Options{Log: o.Log, Number: p.hub.Keys.SetNumber})
	p.catalogs = newCatalogs(o.Log, g.Loops(), p.hub.Pools)
	p.hub.Catalog = p.catalogs.Judge
	p.listeners = newListeners(o.Log, g.Loops(), p.hub.Pools)
	p.inquirers = newInquirers(o.Log, g.Loops(), &p.hub.Gates)
	p.hub.Desk = inquiry.Desk{
		Ring: keyring.New(maxKnown), Users: users.NewBook(maxKnown), Inquire: p.inquirers.Inquire, BeginInquiry: p.inquirers.Begin,
	}
	p.hub.Listener = p.listeners.Get
	p.unused = unused.New(g, p.hub, func(now time.Duration) {
		p.sweep()
		p.inquirers.Forget(now)
	})
	p.hub.Pools.Failed = func(pl *pool.Pool, err error) {
		o.Log.Warn("cannot open a server connection", zap.String("node", pl.Node), zap.String("database", pl.Database), zap.String("user", pl.User), zap.Error(err))
		p.unused.Failed(err)
	}
	for _, l := range g.Loops() {
		serve.NewLocal(p.hub, l)
	}
	p.secrets = certs.New(o.Log, o.FilesPeriod)
	p.passwords, p.programs = passwords.New(), judge.New()
	p.desk = desk.New(desk.Options{
		Log: o.Log, LogLevel: o.LogLevel, Group: g, Hub: p.hub, Started: p.started, Names: p.resolver.Book, Configuration: configuration{p}, Reload: o.Reload, Shutdown: o.Shutdown,
		Inquirers: p.inquirers.CloseHeld, Readers: p.catalogs.Connections,
	})
	p.succession = newSuccession(p)
	p.hub.Successor, p.hub.CancelBefore = p.succession, func(uint32, []byte) {}
	p.hub.Console = p.desk
	if p.before = before; before != nil {
		p.inheritFrom(before)
	}
	g.Start()
	if o.StateDir != "" {
		if err := p.succession.offer(o.StateDir, before != nil); err != nil {
			o.Log.Warn("no process can take this one's place", zap.Error(err))
		}
	}
	go p.desk.KeepStats(p.done)
	go p.unused.Watch(p.done)
	go p.watchLag()
	if o.AdminAddress != "" {
		if p.admin, err = p.startAdmin(); err != nil && !o.AdminOptional {
			g.Stop()
			return nil, err
		} else if err != nil {
			o.Log.Warn("health and metrics are not served: give another admin address", zap.Error(err))
		}
	}
	return p, nil
}

func nonce() string {
	var b [4]byte
	rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

// Apply puts a configuration in force: it is compiled, the ports that are new are opened, persist is called,
// then it is swapped in. Where one of the first two fails the configuration before stays in force, whole; the
// error is a [*configsync.Refusal]. What goes wrong besides is in the warnings. persist may be nil.
func (p *Proxy) Apply(set *resource.Set, persist func() error) (warnings []string, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if warnings, err = p.apply(set, persist); err == nil {
		p.applied, p.overrides = set, nil
		p.succeed()
	}
	return warnings, err
}

// apply is Apply. The proxy is locked.
func (p *Proxy) apply(set *resource.Set, persist func() error) (warnings []string, err error) {
	if p.closed || p.fate() != serve.Stays {
		return nil, refusal(heliosv1.Stage_STAGE_WARM, &heliosv1.Fault{Reason: "the proxy is shutting down"})
	}
	snap, err := snapshot.Compile(set, p.generation+1)
	if err != nil {
		return nil, refusal(heliosv1.Stage_STAGE_COMPILE, &heliosv1.Fault{Reason: err.Error()})
	}
	loaded, faults := p.secrets.Load(snap)
	if len(faults) > 0 {
		return nil, refusal(heliosv1.Stage_STAGE_WARM, faults...)
	}
	odd, faults := p.checkPasswords(snap)
	if len(faults) > 0 {
		return nil, refusal(heliosv1.Stage_STAGE_WARM, faults...)
	}
	if faults = checkPrograms(snap); len(faults) > 0 {
		return nil, refusal(heliosv1.Stage_STAGE_WARM, faults...)
	}
	opened, faults := p.warm(snap)
	if len(faults) > 0 {
		return nil, refusal(heliosv1.Stage_STAGE_WARM, faults...)
	}
	if old := p.current.Load(); old != nil {
		snap.Inherit(old)
	}
	snap.Equip(snapshot.Machine{Links: loaded.Links, Ring: p.hub.Ring, Users: p.hub.Users, Passwords: p.passwords, Programs: p.programs, Hosts: p.resolver.Book})
	p.resolver.use(snap.Resolver)
	old := p.current.Load()
	swapped := false
	defer func() { // persisting may panic, and what was in force is all that counts then
		if !swapped {
			p.inherited.close(opened)
		}
	}()
	if p.control.Load() != nil { // somebody hears the warnings
		warnings = append(odd, reach(old, snap)...)
	}
	if persist != nil {
		if err := persist(); err != nil {
			p.persistFailed.Store(true)
			p.o.Log.Error("cannot keep the configuration for the next start", zap.Error(err))
			warnings = append(warnings, "not kept for the next start: "+err.Error())
		} else {
			p.persistFailed.Store(false)
		}
	}
	swapped = true
	p.generation++
	p.secrets.Use(loaded)
	p.current.Store(snap)
	p.resolver.retain(snap)
	p.inherited.settle(opened)
	p.open(snap, opened)
	p.reconfigure(old, snap)
	go p.stretch(snap)
	return warnings, nil
}

// stretch makes the keys of all passwords, so that the first log-in of a user does not take longer than that of somebody who is not
// there.
func (p *Proxy) stretch(snap *snapshot.Snapshot) {
	for u := range snap.Unstretched {
		if p.current.Load() != snap {
			return
		}
		p.group.Compute(func() { u.Stretch(p.hub.MockSecret()) })
	}
}

func refusal(stage heliosv1.Stage, faults ...*heliosv1.Fault) *configsync.Refusal {
	return &configsync.Refusal{Stage: stage, Faults: faults}
}

// warm opens the ports that the snapshot needs and the proxy does not have; none if it is about to end. If there are faults it has opened none.
func (p *Proxy) warm(snap *snapshot.Snapshot) (map[string]*reactor.Listener, []*heliosv1.Fault) {
	opened := map[string]*reactor.Listener{}
	var faults []*heliosv1.Fault
	needed := map[string]string{}
	if p.deaf.Load() {
		return opened, nil
	}
	for name, l := range snap.Listeners {
		if addr := p.address(l); p.doors[name] == nil || p.doors[name].addr != addr {
			needed[name] = addr
		}
	}
	handed := p.inherited.match(needed)
	for name, l := range snap.Listeners {
		addr, missing := needed[name]
		ls := handed[name]
		if !missing {
			ls = p.doors[name].ls
		}
		ls, field, err := ready(l, addr, ls)
		switch {
		case err != nil:
			faults = append(faults, &heliosv1.Fault{Kind: string(resource.KindListener), Name: name, Field: field, Reason: err.Error()})
		case missing:
			opened[name] = ls
		}
	}
	if len(faults) == 0 {
		return opened, nil
	}
	p.inherited.close(opened)
	slices.SortFunc(faults, func(a, b *heliosv1.Fault) int { return strings.Compare(a.GetName(), b.GetName()) })
	return nil, faults
}

// reconfigure tells the pools what is new, sessions whose user or database is gone that they end, and those that listen that it may
// be somewhere else now.
func (p *Proxy) reconfigure(old, snap *snapshot.Snapshot) {
	p.hub.Pools.Reconfigure(func(as pool.Alias) (*backend.Target, *pool.Profile, bool) {
		r, ok := snap.Route(snapshot.Asked{Database: as.Database, Server: as.Server}, as.User)
		return r.Target, r.Profile, ok
	})
	for asked, user := range snap.Ready {
		r, _ := snap.Route(asked, user)
		p.hub.Pools.Ready(r.Alias, r.Target, r.Profile)
	}
	p.sweep()
	p.inquirers.Sweep(snap)
	if old == nil || !snap.Lacks(old) && !p.listeners.Any() {
		return
	}
	for _, l := range p.group.Loops() {
		l.Post(func() {
			l.Local.(*serve.Local).Each(func(c *serve.Conn) {
				if c.Listens() || c.Removed(snap) != nil {
					c.Wake()
				}
			})
		})
	}
}

// sweep closes what reads and listens in databases that no pool leads to any more.
func (p *Proxy) sweep() {
	p.catalogs.Sweep()
	p.listeners.Sweep()
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
			d.rule.Store(&serve.Door{Listener: l, TLS: p.secrets.Door(name)})
			continue
		}
		first.PostWait(d.ls.Close)
		delete(p.doors, name)
	}
	for name, ls := range opened {
		l := snap.Listeners[name]
		d := &door{ls: ls, addr: p.address(l)}
		d.rule.Store(&serve.Door{Listener: l, TLS: p.secrets.Door(name)})
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

// Close ends everything at once.
func (p *Proxy) Close() error {
	if c := p.control.Load(); c != nil {
		c.end() // it may be applying
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil
	}
	p.closed = true
	close(p.done)
	p.succession.end()
	var err error
	if p.admin != nil {
		err = p.admin.Close() // it asks the loops
	}
	p.secrets.Close()
	p.resolver.Close()
	p.group.Stop()
	p.inherited.settle(nil)
	p.passwords.Close()
	p.programs.Close()
	return err
}

// ReadFiles reads certificates, keys, authorities and revocation lists again, at once. The error says what could not be read: what was
// read of it before stays in force.
func (p *Proxy) ReadFiles() error { return p.secrets.Read() }
