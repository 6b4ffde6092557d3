package assembly

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"

	"github.com/heliosproxy/heliosproxy/dataplane/configsync"
	"github.com/heliosproxy/heliosproxy/dataplane/report"
	"github.com/heliosproxy/heliosproxy/pkg/bearer"
	"github.com/heliosproxy/heliosproxy/pkg/lkg"
	"github.com/heliosproxy/heliosproxy/pkg/version"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// ControlPlane says where configurations come from.
type ControlPlane struct {
	// Addresses of control planes, HOST:PORT or unix:PATH; one is used at a time.
	Addresses []string
	Token     string
	// Dial, if set, connects to the control plane of this process, and Addresses is not used.
	Dial func(context.Context) (net.Conn, error)
	// Source is what a configuration counts as that came from there.
	Source heliosv1.Source
	Group  string
	// StateDir is where what is good is kept; empty keeps nothing.
	StateDir string
	// MaxConfigBytes bounds a configuration.
	MaxConfigBytes int
	// Advertise is where the other proxies of the group reach this one, IP:PORT; empty goes by its listeners.
	Advertise string
}

// control is what follows a control plane.
type control struct {
	follows ControlPlane
	sync    *configsync.Client
	files   *lkg.Dir
	conns   []*grpc.ClientConn
	stop    context.CancelFunc
	running sync.WaitGroup
}

// Follow makes the proxy run what a control plane sends. It starts with the last known good configuration where
// there is one, and does not wait for the control plane.
func (p *Proxy) Follow(o ControlPlane) error {
	c := &control{follows: o}
	var err error
	if o.StateDir != "" {
		if c.files, err = p.openFiles(o.StateDir, o.Group); err != nil {
			return err
		}
	}
	servers, err := c.dial(o)
	if err != nil {
		return errors.Join(err, c.close())
	}
	c.sync = configsync.New(configsync.Options{
		Log: p.o.Log, NodeID: p.o.NodeID, Group: o.Group, Build: version.String(), Source: o.Source, Servers: servers,
		Files: c.files, Applier: p, Salt: func(secret string) { p.mock.Store(&secret) }, MaxBytes: o.MaxConfigBytes,
	})
	if c.files != nil {
		p.hub.Peers.Restore(c.files, o.Group)
	}
	p.control.Store(c)
	if err := c.sync.Boot(); err != nil && !errors.Is(err, lkg.ErrNone) {
		return errors.Join(err, c.close())
	} else if err != nil && c.files != nil {
		p.o.Log.Info("no last known good configuration: waiting for the control plane", zap.String("state_dir", o.StateDir))
	}
	ctx, stop := context.WithCancel(context.Background())
	c.stop = stop
	c.running.Go(func() { c.sync.Run(ctx) })
	reporters := make([]grpc.ClientConnInterface, len(servers))
	for i, s := range servers {
		reporters[i] = s.Conn
	}
	c.running.Go(func() {
		report.Run(ctx, report.Options{Log: p.o.Log, Source: reporter{p, &o}, Servers: reporters, Peers: p.hub.Peers.Set})
	})
	return nil
}

// openFiles takes hold of the directory of last known good configurations.
func (p *Proxy) openFiles(dir, group string) (*lkg.Dir, error) {
	return lkg.Open(dir, lkg.Options{Group: group, Skipped: func(path string, why error) {
		p.o.Log.Error("a last known good configuration is not used", zap.String("file", path), zap.Error(why))
	}})
}

// dial makes the connections, which are opened as they are used.
func (c *control) dial(o ControlPlane) ([]configsync.Server, error) {
	options := []grpc.DialOption{
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 30 * time.Second, Timeout: 10 * time.Second, PermitWithoutStream: true}),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 50 * time.Millisecond, Multiplier: 1.5, Jitter: 0.2, MaxDelay: time.Second},
			MinConnectTimeout: 5 * time.Second,
		}),
	}
	if o.Token != "" {
		options = append(options, grpc.WithPerRPCCredentials(bearer.Credentials(o.Token)))
	}
	addresses := o.Addresses
	if o.Dial != nil {
		addresses = []string{"passthrough:///this-process"}
		options = append(options, grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return o.Dial(ctx) }))
	}
	var servers []configsync.Server
	for _, a := range addresses {
		if o.Dial == nil {
			if err := bearer.Loopback(a); err != nil {
				return nil, fmt.Errorf("control plane: %w", err)
			}
		}
		conn, err := grpc.NewClient(a, options...)
		if err != nil {
			return nil, fmt.Errorf("control plane %s: %w", a, err)
		}
		c.conns = append(c.conns, conn)
		servers = append(servers, configsync.Server{Name: a, Conn: conn})
	}
	if len(servers) == 0 {
		return nil, errors.New("no control plane is named")
	}
	return servers, nil
}

// Refusals is how many configurations were refused; see Await.
func (p *Proxy) Refusals() uint64 {
	s, _ := p.control.Load().sync.State()
	return s.Refusals
}

// Await returns when the content with a hash is in force, or with the reason why it was refused. refusals is what
// Refusals was before it was sent.
func (p *Proxy) Await(ctx context.Context, hash string, refusals uint64) error {
	return p.control.Load().sync.Wait(ctx, hash, refusals)
}

// end stops following. What is in force stays so.
func (c *control) end() {
	if c.stop != nil {
		c.stop()
		c.running.Wait()
		c.stop = nil
	}
	_ = c.close() // nothing of it is written any more
}

func (c *control) close() error {
	var err error
	for _, conn := range c.conns {
		err = errors.Join(err, conn.Close())
	}
	if c.files != nil {
		err = errors.Join(err, c.files.Close())
		c.files = nil
	}
	c.conns = nil
	return err
}
