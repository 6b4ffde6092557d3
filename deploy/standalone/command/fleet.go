package command

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"github.com/heliosproxy/heliosproxy/pkg/bearer"
	"github.com/heliosproxy/heliosproxy/pkg/logx"
	"github.com/heliosproxy/heliosproxy/pkg/resource"
	"github.com/heliosproxy/heliosproxy/pkg/version"
)

// memberDrain is how long the sessions of a fleet member have unless --drain-timeout says otherwise.
const memberDrain = time.Minute

func (p Program) memberCommand() *cobra.Command {
	var f flags
	var o Options
	var m Membership
	var tokenFile, adminTokenFile string
	c := &cobra.Command{
		Use:   "dataplane --control-plane HOST:PORT[,…] --token-file FILE",
		Short: "Run a proxy that a control plane configures",
		Long: `Run a proxy that a control plane configures. It starts with the configuration that was last known to be
good, where --state-dir has one, and serves from it for as long as the control plane is not there.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if len(m.ControlPlanes) == 0 {
				return errors.New("--control-plane HOST:PORT is missing")
			}
			for _, a := range m.ControlPlanes {
				if err := bearer.Loopback(a); err != nil {
					return fmt.Errorf("--control-plane %w", err)
				}
			}
			if err := f.check(c); err != nil {
				return err
			}
			if strings.ContainsRune(f.nodeID, '/') {
				return fmt.Errorf("--node-id %s has a slash", f.nodeID)
			}
			if err := errors.Join(f.state(filepath.Join("dataplane", f.nodeID)), adminAddress(o.AdminAddress), advertised(m.Advertise)); err != nil {
				return err
			}
			if tokenFile == "" {
				return errors.New("--token-file FILE is missing: the control plane keeps it as node.token in its --data-dir")
			}
			var err error
			if m.Token, err = bearer.Read(tokenFile); err != nil {
				return failed{err}
			}
			if adminTokenFile != "" {
				if o.AdminToken, err = bearer.Read(adminTokenFile); err != nil {
					return failed{err}
				}
			}
			o.AdminOptional = !c.Flags().Changed("admin-address")
			o.Takeover = f.takeover
			o.DrainRate = func() float64 { return float64(f.drainRate) }
			o.TakeoverWindow = func() time.Duration { return f.takeoverWindow }
			o.NodeID, o.Loops, o.Listen, o.StateDir, o.MaxConfigBytes = f.nodeID, f.loops, f.addresses, f.stateDir, f.maxConfigBytes
			if !f.drainSet {
				f.drainTimeout = memberDrain
			}
			return p.join(f, o, m)
		},
	}
	c.Flags().StringSliceVar(&m.ControlPlanes, "control-plane", nil, "the control planes, HOST:PORT or unix:PATH; one is used at a time")
	c.Flags().StringVar(&tokenFile, "token-file", "", "the file of the token that the control plane asks for")
	c.Flags().StringVar(&m.Advertise, "advertise-address", "", "where the other proxies reach this one with cancel requests, IP:PORT (default: by its listeners)")
	c.Flags().StringVar(&o.AdminAddress, "admin-address", "127.0.0.1:9090", "where health and metrics are served; empty: nowhere")
	c.Flags().StringVar(&adminTokenFile, "admin-token-file", "", "the file of the token that metrics ask for (default: none)")
	f.register(c, memberDrain.String(), "")
	return c
}

// adminAddress checks the address of the local HTTP server.
func adminAddress(s string) error {
	if s == "" {
		return nil
	}
	if a, err := resource.ParseAddress(s); err != nil || a.Path != "" {
		return fmt.Errorf("--admin-address %q is not HOST:PORT with an IP address as host", s)
	}
	return nil
}

// advertised checks the address at which others are to reach the proxy.
func advertised(s string) error {
	if s == "" {
		return nil
	}
	if a, err := netip.ParseAddrPort(s); err != nil || a.Addr().IsUnspecified() || a.Port() == 0 {
		return fmt.Errorf("--advertise-address %q is not IP:PORT at which another machine reaches this one", s)
	}
	return nil
}

// join serves until a signal ends it.
func (p Program) join(f flags, o Options, m Membership) error {
	log, level, err := logx.New(p.Err, f.level, f.format)
	if err != nil {
		return err
	}
	o.Log, o.LogLevel = log, level
	w := newWishes()
	o.Shutdown = w.end
	if o.Inherited, err = p.handed(); err != nil {
		return err
	}
	plane, err := p.Join(o, m)
	if err != nil {
		return failed{fmt.Errorf("start: %w", err)}
	}
	log.Info("heliosproxy started", zap.String("version", version.String()), zap.String("node_id", o.NodeID), zap.Strings("control_plane", m.ControlPlanes),
		zap.String("state_dir", o.StateDir), zap.Any("listeners", plane.Addresses()), zap.String("admin", o.AdminAddress), openFiles(log))
	defer p.started(log, plane.Alive)()
	for {
		select {
		case s, ok := <-p.Signals:
			switch {
			case !ok:
				return nil
			case s == syscall.SIGHUP:
				if err := plane.ReadFiles(); err == nil { // or it has logged why not
					log.Info("files of certificates are read again; what else changes the control plane sends")
				}
			default:
				log.Info("draining", zap.Stringer("signal", s), zap.Duration("timeout", f.drainTimeout))
				p.stopping(log, "waiting for transactions")
				return p.farewell(log, plane, w, f.drainTimeout).end(AfterTransactions)
			}
		case how := <-w.endings:
			log.Info(how.why(), zap.Stringer("how", how))
			p.stopping(log, how.why())
			return p.farewell(log, plane, w, f.drainTimeout).end(how)
		}
	}
}

func (p Program) controlCommand() *cobra.Command {
	var l logging
	var o ControlOptions
	c := &cobra.Command{
		Use:   "controlplane --data-dir DIR",
		Short: "Run a control plane",
		Long: `Run a control plane: it keeps the resources that helioctl writes, in an etcd of its own under --data-dir or in the
cluster at --etcd-endpoints, and sends them to the proxies that follow it. The tokens that it asks for are in --data-dir:
admin.token for helioctl, node.token for proxies.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			o.HealthOptional = !c.Flags().Changed("admin-address")
			for flag, address := range map[string]string{"--admin-listen": o.AdminListen, "--stream-listen": o.StreamListen} {
				if strings.HasPrefix(address, "unix:") {
					return fmt.Errorf("%s %s: want HOST:PORT", flag, address)
				}
				if err := bearer.Loopback(address); err != nil {
					return fmt.Errorf("%s %w", flag, err)
				}
			}
			if err := adminAddress(o.HealthListen); err != nil {
				return err
			}
			if o.MaxConfigBytes < 1 {
				return fmt.Errorf("--max-config-bytes %d is less than 1", o.MaxConfigBytes)
			}
			if o.DataDir == "" {
				home, err := stateHome()
				if err != nil {
					return fmt.Errorf("--data-dir is missing and there is no home directory: %w", err)
				}
				o.DataDir = filepath.Join(home, "controlplane")
			}
			return p.control(l, o)
		},
	}
	c.Flags().SortFlags = false
	c.Flags().StringVar(&o.DataDir, "data-dir", "", "the directory of the store and the tokens (default: see docs/cli.md)")
	c.Flags().StringSliceVar(&o.EtcdEndpoints, "etcd-endpoints", nil, "an etcd cluster, HOST:PORT[,…], instead of the one in the process")
	c.Flags().StringVar(&o.AdminListen, "admin-listen", "127.0.0.1:7400", "where helioctl is served")
	c.Flags().StringVar(&o.StreamListen, "stream-listen", "127.0.0.1:7401", "where proxies are served")
	c.Flags().StringVar(&o.HealthListen, "admin-address", "127.0.0.1:7402", "where health and metrics are served; empty: nowhere")
	c.Flags().IntVar(&o.MaxConfigBytes, "max-config-bytes", defaultMaxConfigBytes, "the largest configuration that is written")
	l.register(c)
	return c
}

// control runs a control plane until a signal ends it.
func (p Program) control(l logging, o ControlOptions) error {
	log, _, err := logx.New(p.Err, l.level, l.format)
	if err != nil {
		return err
	}
	o.Log = log
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	started := make(chan error, 1)
	var plane Closer
	go func() {
		var err error
		plane, err = p.Control(ctx, o)
		started <- err
	}()
	for starting := true; ; {
		select {
		case err := <-started:
			if err != nil {
				return failed{fmt.Errorf("start: %w", err)}
			}
			starting = false
			p.ready(log, "serving")
		case s, ok := <-p.Signals:
			if ok && s == syscall.SIGHUP {
				continue
			}
			p.stopping(log, "")
			stop()
			if starting {
				if err := <-started; err != nil {
					return nil // it was asked to end before it had begun
				}
			}
			if err := plane.Close(); err != nil {
				return failed{fmt.Errorf("close: %w", err)}
			}
			log.Info("control plane ended")
			return nil
		}
	}
}
