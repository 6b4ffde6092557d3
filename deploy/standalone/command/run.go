package command

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync/atomic"
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
	level *logx.Level
	out   *tee
	file  *configfile.File // in force, and
	// bootstrap is the same for other goroutines.
	bootstrap atomic.Pointer[configfile.File]
	plane     DataPlane
	wishes
}

// run serves until a signal ends it.
func (p Program) run(f flags) error {
	out := &tee{out: p.Err}
	log, level, err := logx.New(out, f.level, f.format)
	if err != nil {
		return err
	}
	r := &runner{Program: p, flags: f, log: log, level: level, out: out, wishes: newWishes()}
	l, err := r.load()
	if err != nil {
		return err
	}
	if err := level.Begin(r.beginsAt(l)); err != nil {
		return err
	}
	r.file = l.file
	logfile, pid := l.files()
	if err := out.open(logfile); err != nil {
		return failed{err}
	}
	release := func() {}
	if !f.takeover {
		if release, err = pidfile(pid); err != nil {
			return failed{err}
		}
	}
	defer func() { release() }()
	o := r.options()
	if o.Inherited, err = p.handed(); err != nil {
		return err
	}
	if r.plane, err = p.Start(o); err != nil {
		return failed{fmt.Errorf("start: %w", err)}
	}
	if err := r.plane.Apply(r.file.Set); err != nil {
		return failed{errors.Join(fmt.Errorf("apply %s: %w", f.name(), err), r.plane.Close())}
	}
	r.plane.Meet(r.file.Bootstrap.Peers)
	if f.takeover {
		if release, err = succeed(pid); err != nil {
			log.Error("the number of this process is not where it belongs", zap.Error(err))
			release = func() {}
		}
	}
	if f.ini != "" && r.Notify != nil {
		r.Notify(syscall.SIGQUIT, syscall.SIGUSR1, syscall.SIGUSR2)
	}
	r.announce()
	defer r.started(log, r.plane.Alive)()
	return r.serve()
}

// load reads the file and prints what is found.
func (r *runner) load() (loaded, error) {
	l, err := r.flags.load()
	if err != nil {
		return l, failed{err}
	}
	printFindings(r.Err, l.findings)
	if l.file == nil {
		return l, failed{errReported}
	}
	for name := range r.flags.addresses {
		if l.file.Set.Listeners[name] == nil {
			known := slices.Sorted(maps.Keys(l.file.Set.Listeners))
			return l, fmt.Errorf("--listen %s: %s has no such listener but %s", name, r.flags.name(), strings.Join(known, " and "))
		}
	}
	return l, nil
}

// beginsAt is the level that the log has at the start: what a pgbouncer.ini says goes unless --log-level is given.
func (r *runner) beginsAt(l loaded) string {
	if l.verbose() && !r.flags.levelSet {
		return "debug"
	}
	return r.flags.level
}

func (r *runner) options() Options {
	b := r.file.Bootstrap
	o := Options{
		Log: r.log, LogLevel: r.level, Config: r.flags.name(), NodeID: r.flags.nodeID, Loops: b.Loops,
		AdminAddress: b.AdminAddress, AdminOptional: b.AdminOptional, AdminToken: string(b.AdminToken), Listen: r.flags.addresses,
		StateDir: r.flags.stateDir, MaxConfigBytes: r.flags.maxConfigBytes,
		Reload: r.wishes.reload, Shutdown: r.wishes.end, Takeover: r.flags.takeover,
		DrainRate:      func() float64 { return r.flags.rate(r.bootstrap.Load().Bootstrap) },
		TakeoverWindow: func() time.Duration { return r.flags.window(r.bootstrap.Load().Bootstrap) },
	}
	r.bootstrap.Store(r.file)
	if r.flags.loopsSet {
		o.Loops = r.flags.loops
	}
	return o
}

func (r *runner) announce() {
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
	obeys := r.signal
	if r.flags.ini != "" {
		obeys = r.signalAsPgBouncer
	}
	end := r.obey(obeys)
	r.stopping(r.log, "waiting for clients")
	close(r.over)
	return end()
}

// obey returns how to end.
func (r *runner) obey(signal func(os.Signal) (end func() error)) (end func() error) {
	for end == nil {
		select {
		case s, ok := <-r.Signals:
			if !ok {
				return func() error { return nil }
			}
			end = signal(s)
		case done := <-r.reloads:
			done <- r.again()
		case how := <-r.endings:
			r.log.Info(how.why(), zap.Stringer("how", how))
			end = func() error { return r.farewell().end(how) }
		}
	}
	return end
}

// signal obeys a signal. It returns how to end, if that is what it says.
func (r *runner) signal(s os.Signal) (end func() error) {
	if s == syscall.SIGHUP {
		_ = r.again() // it has logged why not
		return nil
	}
	r.log.Info("draining", zap.Stringer("signal", s), zap.Duration("timeout", r.drainTimeout()))
	return func() error { return r.farewell().end(AfterTransactions) }
}

// again reads the file again. Whatever is wrong, what is in force stays so.
func (r *runner) again() error {
	r.reloading(r.log)
	err := r.reread()
	if err != nil {
		r.ready(r.log, "serving; not reloaded: "+err.Error())
	} else {
		r.ready(r.log, "serving")
	}
	return err
}

// reread is again without a word to systemd.
func (r *runner) reread() error {
	l, err := r.load()
	if err == nil {
		logfile, _ := l.files()
		err = r.out.open(logfile)
	}
	if err == nil {
		err = r.plane.Apply(l.file.Set)
	}
	if err != nil {
		if errors.Is(err, errReported) {
			err = invalid(l.findings)
		}
		r.log.Error("configuration not reloaded, the one before stays in force", zap.String("file", r.flags.name()), zap.Error(err))
		return err
	}
	r.plane.Meet(l.file.Bootstrap.Peers)
	r.warnOfRestart(l)
	r.file = l.file
	r.bootstrap.Store(l.file)
	r.warnOfTrust()
	r.log.Info("configuration reloaded", zap.String("file", r.flags.name()), zap.Any("listeners", r.plane.Addresses()))
	if err := r.plane.ReadFiles(); err != nil {
		return fmt.Errorf("the configuration is in force, but with what was read of these files before: %w", err)
	}
	return nil
}

// warnOfRestart names the settings that are read at start only and now differ.
func (r *runner) warnOfRestart(l loaded) {
	old, b := r.file.Bootstrap, l.file.Bootstrap
	for key, changed := range map[string]bool{
		"proxy.admin_address": b.AdminAddress != old.AdminAddress,
		"proxy.admin_token":   b.AdminToken != old.AdminToken,
		"proxy.loops":         b.Loops != old.Loops && !r.flags.loopsSet,
		"verbose":             r.beginsAt(l) != r.level.Begun(),
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
