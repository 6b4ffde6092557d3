// Package assembly puts the control plane together: store, mirrors, what writes and releases, and the services, each handed what it needs of the others. It never does their work.
package assembly

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"

	"github.com/heliosproxy/heliosproxy/controlplane/admin"
	"github.com/heliosproxy/heliosproxy/controlplane/compile"
	"github.com/heliosproxy/heliosproxy/controlplane/desired"
	"github.com/heliosproxy/heliosproxy/controlplane/distribute"
	"github.com/heliosproxy/heliosproxy/controlplane/events"
	"github.com/heliosproxy/heliosproxy/controlplane/fleet"
	"github.com/heliosproxy/heliosproxy/controlplane/identity"
	"github.com/heliosproxy/heliosproxy/controlplane/keyspace"
	"github.com/heliosproxy/heliosproxy/controlplane/mirror"
	"github.com/heliosproxy/heliosproxy/controlplane/rollout"
	"github.com/heliosproxy/heliosproxy/controlplane/roster"
	"github.com/heliosproxy/heliosproxy/controlplane/store"
	"github.com/heliosproxy/heliosproxy/pkg/release"
	"github.com/heliosproxy/heliosproxy/pkg/version"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// DefaultGroup is the one group of proxies that there is.
const DefaultGroup = "default"

// Door is where callers of a service come in.
type Door struct {
	Listener net.Listener
	Role     string // who is let in: "admin", "node"; "local" where the file system guards the door
	Token    string // what they prove it by; empty asks for nothing
	Where    string // where the token can be read
}

// Options are what a control plane is made with.
type Options struct {
	Log   *zap.Logger
	Store store.Store // the control plane closes it
	// Admin and Stream are the doors of people and of proxies. A listener is the control plane's from then on.
	Admin, Stream []Door
	// Health is where probes and metrics are served; nil is nowhere. It is the control plane's from then on.
	Health net.Listener
	// MaxConfigBytes bounds the configuration as a whole.
	MaxConfigBytes int
	// ReadOnly, if set, is why the admin service writes nothing.
	ReadOnly string
	// Alone says that there is one proxy and no other: it gets no number.
	Alone bool
}

// ControlPlane is one that runs.
type ControlPlane struct {
	o        Options
	identity *heliosv1.StoreIdentity
	config   *mirror.Mirror
	released *mirror.Mirror
	peers    *mirror.Mirror
	desired  *desired.Desired
	releases *rollout.Releases
	fleet    *fleet.Fleet
	events   *events.Log
	server   *distribute.Server
	changed  broadcast
	compile  chan struct{} // holds one element

	stop    context.CancelFunc
	running sync.WaitGroup
	grpc    []*grpc.Server
	http    *http.Server // nil if there is none

	turnedAway atomic.Uint64 // calls without the token

	mu         sync.Mutex
	generation *heliosv1.Generation
}

// Start makes a control plane and lets it run. It returns when the store was asked for its identity, or
// with ctx's error.
func Start(ctx context.Context, o Options) (*ControlPlane, error) {
	c := &ControlPlane{o: o, compile: make(chan struct{}, 1), changed: newBroadcast()}
	var err error
	if c.identity, err = identify(ctx, o.Store, o.Log); err != nil {
		return nil, err
	}
	group := keyspace.Group(DefaultGroup)
	c.config = mirror.New(mirror.Options{Store: o.Store, Prefix: keyspace.Config, Log: o.Log})
	c.released = mirror.New(mirror.Options{Store: o.Store, Prefix: group.Releases(), Log: o.Log})
	c.desired = desired.New(desired.Options{Store: o.Store, Mirror: configMirror{c.config}, MaxBytes: o.MaxConfigBytes, Log: o.Log, Now: time.Now})
	c.releases = rollout.New(rollout.Options{Store: o.Store, Group: group, View: c.releaseView, Log: o.Log, Now: time.Now})
	c.events = events.New(time.Now)
	c.peers = mirror.New(mirror.Options{Store: o.Store, Prefix: group.Numbers(), Log: o.Log})
	f := fleet.Options{Event: c.events.Add, Now: time.Now}
	if !o.Alone {
		f.Roster = roster.New(roster.Options{Store: o.Store, Group: group, Mirror: c.peers, Now: time.Now})
	}
	c.fleet = fleet.New(f)
	c.server = distribute.New(distribute.Options{
		StoreID: c.identity.GetId(), MockSecret: c.identity.GetMockSecret(), Observer: c.fleet, Refresh: c.refresh, Log: o.Log, Times: distribute.DefaultTimes(),
	})
	running, stop := context.WithCancel(context.Background())
	c.stop = stop
	c.run(func() { c.config.Run(running) })
	c.run(func() { c.released.Run(running) })
	if !o.Alone {
		c.run(func() { c.peers.Run(running) })
	}
	c.run(func() { c.relayChanges(running) })
	c.run(func() { c.follow(running) })
	c.run(func() { c.watchStore(running) })
	c.run(func() {
		compile.Run(running, compile.Options{
			Changed: c.compile, Desired: c.current, Publish: c.releases.Publish, Settle: c.desired.Settle, Sweep: c.sweep, Log: o.Log,
		})
	})
	c.serve()
	if o.Health != nil {
		if err := c.serveHealth(o.Health); err != nil {
			return nil, errors.Join(err, c.Close())
		}
	}
	return c, nil
}

func (c *ControlPlane) run(f func()) { c.running.Go(f) }

// serve opens the doors.
func (c *ControlPlane) serve() {
	service := admin.New(admin.Options{
		Desired: c.desired, Releases: c.releases, Fleet: c.fleet, Events: c.events, Generation: c.Generation,
		Changed: c.changed.wait, ReadOnly: c.o.ReadOnly, Log: c.o.Log,
		Version: &heliosv1.GetVersionResponse{
			Build: version.String(), ProtocolVersion: distribute.ProtocolVersion, StoreId: c.identity.GetId(), Store: c.o.Store.Name(),
		},
	})
	open := func(d Door, register func(*grpc.Server)) {
		guard := identity.Door{Role: d.Role, Token: d.Token, Where: d.Where, Refused: func(_ context.Context, method string) {
			c.turnedAway.Add(1)
			c.o.Log.Warn("a caller without the token was turned away", zap.String("role", d.Role), zap.String("method", method))
		}}
		s := grpc.NewServer(append(guard.ServerOptions(),
			grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 10 * time.Second, PermitWithoutStream: true}),
			grpc.KeepaliveParams(keepalive.ServerParameters{Time: 30 * time.Second, Timeout: 10 * time.Second}),
		)...)
		register(s)
		c.grpc = append(c.grpc, s)
		c.run(func() {
			if err := s.Serve(d.Listener); err != nil && !errors.Is(err, grpc.ErrServerStopped) {
				c.o.Log.Error("a door of the control plane has closed", zap.Stringer("address", d.Listener.Addr()), zap.Error(err))
			}
		})
	}
	for _, d := range c.o.Admin {
		open(d, func(s *grpc.Server) { heliosv1.RegisterAdminServiceServer(s, service) })
	}
	for _, d := range c.o.Stream {
		open(d, func(s *grpc.Server) {
			heliosv1.RegisterConfigServiceServer(s, c.server)
			heliosv1.RegisterStatusServiceServer(s, c.fleet)
		})
	}
}

// current is the desired state, for who compiles it.
func (c *ControlPlane) current() (*release.Content, uint64, error) {
	s, err := c.desired.State()
	if err != nil {
		return nil, 0, err
	}
	return s.Content, s.Revision, nil
}

func (c *ControlPlane) sweep(ctx context.Context) error {
	return errors.Join(c.desired.Sweep(ctx), c.desired.Trim(ctx), c.releases.Sweep(ctx))
}

// refresh waits until the mirror of the releases has come to a revision of the store.
func (c *ControlPlane) refresh(ctx context.Context, revision int64) error {
	page, err := c.o.Store.List(ctx, store.Range{Prefix: keyspace.Group(DefaultGroup).Head(), Limit: 1})
	if err != nil {
		return err
	}
	if page.Revision < revision {
		return fmt.Errorf("it is at revision %d; was it restored from a backup?", page.Revision)
	}
	return c.released.WaitFor(ctx, revision)
}

// Generation is what proxies call the current release; nil if there is none.
func (c *ControlPlane) Generation() *heliosv1.Generation {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.generation
}

// drainPatience is how long proxies have to leave.
const drainPatience = 2 * time.Second

// Close ends the control plane: proxies are asked to leave, the doors and the store are closed.
func (c *ControlPlane) Close() error {
	ctx, stop := context.WithTimeout(context.Background(), drainPatience)
	defer stop()
	if err := c.server.Drain(ctx); err != nil {
		c.o.Log.Debug("proxies have not left by themselves", zap.Int("sessions", c.server.Sessions()))
	}
	for _, s := range c.grpc {
		s.Stop()
	}
	if c.http != nil {
		c.http.Close() // its error is that of connections which are of no more use
	}
	c.stop()
	c.running.Wait()
	return c.o.Store.Close()
}
