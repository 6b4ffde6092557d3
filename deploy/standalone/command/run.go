package command

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"syscall"
	"time"

	"go.uber.org/zap"

	"github.com/heliosproxy/heliosproxy/controlplane/configfile"
	"github.com/heliosproxy/heliosproxy/pkg/logx"
	"github.com/heliosproxy/heliosproxy/pkg/resource"
	"github.com/heliosproxy/heliosproxy/pkg/version"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// runner is a proxy that runs.
type runner struct {
	Program
	flags flags
	log   *zap.Logger
	file  *configfile.File // in force
	plane DataPlane
	wishes
}

// run serves until a signal ends it.
func (p Program) run(f flags) error {
	log, err := logx.New(p.Err, f.level, f.format)
	if err != nil {
		return err
	}
	r := &runner{Program: p, flags: f, log: log, wishes: newWishes()}
	if r.file, err = r.load(); err != nil {
		return err
	}
	if r.plane, err = p.Start(r.options()); err != nil {
		return failed{fmt.Errorf("start: %w", err)}
	}
	if err := r.plane.Apply(r.file.Set); err != nil {
		return failed{errors.Join(fmt.Errorf("apply %s: %w", f.config, err), r.plane.Close())}
	}
	r.ready()
	return r.serve()
}

// load reads the file and prints what is found.
func (r *runner) load() (*configfile.File, error) {
	file, findings, err := configfile.Load(r.flags.config)
	if err != nil {
		return nil, failed{err}
	}
	printFindings(r.Err, findings)
	if file == nil {
		return nil, failed{errReported}
	}
	for name := range r.flags.addresses {
		if file.Set.Listeners[name] == nil {
			known := slices.Sorted(maps.Keys(file.Set.Listeners))
			return nil, fmt.Errorf("--listen %s: %s has no such listener but %s", name, r.flags.config, strings.Join(known, " and "))
		}
	}
	return file, nil
}

func (r *runner) options() Options {
	b := r.file.Bootstrap
	o := Options{
		Log: r.log, Config: r.flags.config, NodeID: r.flags.nodeID, Loops: b.Loops,
		AdminAddress: b.AdminAddress, AdminToken: string(b.AdminToken), Listen: r.flags.addresses,
		StateDir: r.flags.stateDir, MaxConfigBytes: r.flags.maxConfigBytes,
		Reload: r.wishes.reload, Shutdown: r.wishes.end,
	}
	if r.flags.loopsSet {
		o.Loops = r.flags.loops
	}
	return o
}

func (r *runner) ready() {
	r.warnOfTrust()
	r.log.Info("heliosproxy ready", zap.String("version", version.String()), zap.String("node_id", r.flags.nodeID),
		zap.Any("listeners", r.plane.Addresses()), zap.String("admin", r.file.Bootstrap.AdminAddress),
		openFiles(r.log))
}

// openFiles is the limit of open files, which package os has raised to the hard limit.
func openFiles(log *zap.Logger) zap.Field {
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err != nil {
		log.Warn("the limit of open files is unknown", zap.Error(err))
	}
	return zap.Uint64("max_open_files", files.Cur)
}

// warnOfTrust says of addresses on the command line what the file's findings say of its own.
func (r *runner) warnOfTrust() {
	for name, s := range r.flags.addresses {
		a, err := resource.ParseAddress(s)
		if err == nil && !a.Local() && r.file.Set.Listeners[name].GetAuth() == heliosv1.AuthMethod_AUTH_METHOD_TRUST {
			r.log.Warn("trust lets in everybody who reaches the listener, under any name and without a password",
				zap.String("listener", name), zap.String("address", s))
		}
	}
}

// serve obeys signals and administrators until the end.
func (r *runner) serve() error {
	end := r.obey()
	close(r.over)
	return end()
}

// obey returns how to end.
func (r *runner) obey() (end func() error) {
	for {
		select {
		case s, ok := <-r.Signals:
			switch {
			case !ok:
				return func() error { return nil }
			case s == syscall.SIGHUP:
				_ = r.again() // it has logged why not
			default:
				r.log.Info("draining", zap.Stringer("signal", s), zap.Duration("timeout", r.drainTimeout()))
				return func() error { return r.drain(r.log, r.plane, r.drainTimeout()) }
			}
		case done := <-r.reloads:
			done <- r.again()
		case how := <-r.endings:
			return func() error { return r.finish(r.log, r.plane, how, r.drainTimeout()) }
		}
	}
}

// again reads the file again. Whatever is wrong, what is in force stays so.
func (r *runner) again() error {
	file, err := r.load()
	if err == nil {
		err = r.plane.Apply(file.Set)
	}
	if err != nil {
		if errors.Is(err, errReported) {
			err = errors.New("the file is invalid")
		}
		r.log.Error("configuration not reloaded, the one before stays in force", zap.String("file", r.flags.config), zap.Error(err))
		return err
	}
	r.warnOfRestart(file.Bootstrap)
	r.file = file
	r.warnOfTrust()
	r.log.Info("configuration reloaded", zap.String("file", r.flags.config), zap.Any("listeners", r.plane.Addresses()))
	return nil
}

// warnOfRestart names the settings that are read at start only and now differ.
func (r *runner) warnOfRestart(b configfile.Bootstrap) {
	old := r.file.Bootstrap
	for key, changed := range map[string]bool{
		"proxy.admin_address": b.AdminAddress != old.AdminAddress,
		"proxy.admin_token":   b.AdminToken != old.AdminToken,
		"proxy.loops":         b.Loops != old.Loops && !r.flags.loopsSet,
	} {
		if changed {
			r.log.Warn("this setting is read at start only", zap.String("key", key))
		}
	}
}

func (r *runner) drainTimeout() time.Duration {
	if r.flags.drainSet {
		return r.flags.drainTimeout
	}
	return r.file.Bootstrap.DrainTimeout
}

// finish ends the data plane as an administrator wants it.
func (p Program) finish(log *zap.Logger, plane Server, how Ending, timeout time.Duration) error {
	log.Info("ending on an administrator's behalf", zap.Int("how", int(how)))
	switch how {
	case AfterTransactions:
		return p.drain(log, plane, timeout)
	case AfterClients:
		return p.wait(context.Background(), log, plane, plane.Leave)
	}
	return p.wait(context.Background(), log, plane, func(context.Context) error { return nil })
}

// drain lets sessions end until the timeout and closes the data plane.
func (p Program) drain(log *zap.Logger, plane Server, timeout time.Duration) error {
	ctx, stop := context.WithTimeout(context.Background(), timeout)
	defer stop()
	return p.wait(ctx, log, plane, plane.Drain)
}

// wait closes the data plane when drain has returned. A signal ends it on the spot.
func (p Program) wait(ctx context.Context, log *zap.Logger, plane Server, drain func(context.Context) error) error {
	drained := make(chan error, 1)
	go func() { drained <- drain(ctx) }()
	for {
		select {
		case s := <-p.Signals:
			if s == syscall.SIGHUP {
				continue // nothing new begins
			}
			log.Warn("ending at once", zap.Stringer("signal", s))
			return failed{errReported} // the kernel closes what is open
		case err := <-drained:
			if err != nil {
				log.Warn("sessions were cut off", zap.Error(err))
			}
			if err := plane.Close(); err != nil {
				return failed{fmt.Errorf("close: %w", err)}
			}
			log.Info("heliosproxy ended")
			return nil
		}
	}
}
