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
}

// run serves until a signal ends it.
func (p Program) run(f flags) error {
	log, err := logx.New(p.Err, f.level, f.format)
	if err != nil {
		return err
	}
	r := &runner{Program: p, flags: f, log: log}
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

// serve obeys signals until the end.
func (r *runner) serve() error {
	for s := range r.Signals {
		if s == syscall.SIGHUP {
			r.reload()
			continue
		}
		r.log.Info("draining", zap.Stringer("signal", s), zap.Duration("timeout", r.drainTimeout()))
		return r.drain(r.log, r.plane, r.drainTimeout())
	}
	return nil
}

// reload reads the file again. Whatever is wrong, what is in force stays so.
func (r *runner) reload() {
	file, err := r.load()
	if err == nil {
		err = r.plane.Apply(file.Set)
	}
	if err != nil {
		if errors.Is(err, errReported) {
			err = errors.New("the file is invalid")
		}
		r.log.Error("configuration not reloaded, the one before stays in force", zap.String("file", r.flags.config), zap.Error(err))
		return
	}
	r.warnOfRestart(file.Bootstrap)
	r.file = file
	r.warnOfTrust()
	r.log.Info("configuration reloaded", zap.String("file", r.flags.config), zap.Any("listeners", r.plane.Addresses()))
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

// drain lets sessions end until the timeout and closes the data plane. Another signal ends it on the spot.
func (p Program) drain(log *zap.Logger, plane Server, timeout time.Duration) error {
	ctx, stop := context.WithTimeout(context.Background(), timeout)
	defer stop()
	drained := make(chan error, 1)
	go func() { drained <- plane.Drain(ctx) }()
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
