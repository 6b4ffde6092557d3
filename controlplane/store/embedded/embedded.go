// Package embedded is the store in an etcd that runs in this process, for a control plane without a cluster. It never opens a port: nobody else can talk to it.
package embedded

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"go.etcd.io/etcd/server/v3/embed"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3client"
	"go.uber.org/zap"

	"github.com/heliosproxy/heliosproxy/controlplane/store/etcd"
)

const (
	// startPatience is how long etcd may take to be ready.
	startPatience = time.Minute
	// quota is the most bytes that the store has, all kept history included.
	quota = 4 << 30
	// history is how long old revisions are kept.
	history = "5m"
)

// Options are how the store is kept.
type Options struct {
	Dir string // made with mode 0700 where it is not there
	Log *zap.Logger
	// Unsafe leaves out what makes data safe from a power failure, and elects quickly. It is for tests.
	Unsafe   bool
	Progress time.Duration // between two questions whether a watch lives; 0 is 3 s
}

// Open starts etcd in a directory, which no other process may use at the same time.
func Open(ctx context.Context, o Options) (*etcd.Store, error) {
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("data directory %s: %w", o.Dir, err)
	}
	unlock, err := lock(o.Dir)
	if err != nil {
		return nil, err
	}
	e, err := start(ctx, o)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("embedded etcd in %s: %w", o.Dir, err), unlock())
	}
	c := v3client.New(e.Server)
	return etcd.New("embedded", c, o.Progress, func() error {
		err := c.Close()
		if errors.Is(err, context.Canceled) {
			err = nil // how a client ends whose server is in the process
		}
		e.Close()
		return errors.Join(err, unlock())
	}), nil
}

func start(ctx context.Context, o Options) (*embed.Etcd, error) {
	cfg := embed.NewConfig()
	cfg.Name = "embedded"
	cfg.Dir = filepath.Join(o.Dir, "etcd")
	cfg.ListenClientUrls, cfg.ListenPeerUrls = nil, nil
	// A member has to name addresses; these are sockets in the directory that nobody listens on.
	self := url.URL{Scheme: "unix", Host: "localhost", Path: "embedded:0"}
	cfg.AdvertiseClientUrls, cfg.AdvertisePeerUrls = []url.URL{self}, []url.URL{self}
	cfg.InitialCluster = cfg.InitialClusterFromName(cfg.Name)
	cfg.ZapLoggerBuilder = embed.NewZapLoggerBuilder(logger(o.Log))
	cfg.AutoCompactionMode, cfg.AutoCompactionRetention = embed.CompactorModePeriodic, history
	cfg.QuotaBackendBytes = quota
	// A member that is alone elects itself: the shorter the term, the sooner it is ready.
	cfg.TickMs, cfg.ElectionMs = 50, 500
	if o.Unsafe {
		cfg.UnsafeNoFsync, cfg.TickMs, cfg.ElectionMs = true, 20, 200
	}
	e, err := embed.StartEtcd(cfg)
	if err != nil {
		return nil, err
	}
	late := time.NewTimer(startPatience)
	defer late.Stop()
	select {
	case <-e.Server.ReadyNotify():
		return e, nil
	case err = <-e.Err():
	case <-late.C:
		err = fmt.Errorf("not ready after %v", startPatience)
	case <-ctx.Done():
		err = ctx.Err()
	}
	e.Close()
	return nil, err
}

// lock keeps the directory for this process, until it ends or the function is called.
func lock(dir string) (unlock func() error, err error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("data directory %s: %w", dir, err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, errors.Join(fmt.Errorf("lock the data directory %s: %w", dir, err), f.Close())
		}
		return nil, errors.Join(fmt.Errorf("another control plane uses the data directory %s: stop it, or give this one a --data-dir of its own", dir), f.Close())
	}
	return f.Close, nil
}
