package command

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"go.uber.org/zap"
	"go.yaml.in/yaml/v3"

	"github.com/heliosproxy/heliosproxy/controlplane/configfile"
	"github.com/heliosproxy/heliosproxy/pkg/manifest"
	"github.com/heliosproxy/heliosproxy/pkg/resource"
)

// errPartial is the end of an import that could not carry everything over.
var errPartial = errors.New("not all was carried over")

func (p Program) importCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "import",
		Short: "Make a configuration of another program's",
	}
	var output string
	var resources bool
	ini := &cobra.Command{
		Use:   "pgbouncer FILE",
		Short: "Make a proxy.toml of a pgbouncer.ini",
		Long: `Print a proxy.toml that means what a pgbouncer.ini says, and on stderr a line for everything that could not be carried over:
FILE:LINE: KEY: sentence. A sentence begins with "note" if nothing is missed for that, with "error" if nothing can be made of the file before.
The exit code is 0 if all was carried over, 3 if something was not and the result works, 1 after an error, when nothing is printed.`,
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			from := source{ini: args[0]}
			l, err := from.load()
			if err != nil {
				return failed{err}
			}
			for _, f := range l.findings {
				f.Sentence = map[configfile.Severity]string{configfile.Note: "note: ", configfile.Error: "error: "}[f.Severity] + f.Sentence
				fmt.Fprintln(p.Err, f)
			}
			if l.file == nil {
				return failed{errReported}
			}
			text := l.ini.TOML
			if resources {
				if text, err = documents(l.file.Set); err != nil {
					return failed{err}
				}
			}
			if err := p.put(output, text); err != nil {
				return failed{err}
			}
			if slices.ContainsFunc(l.findings, func(f configfile.Finding) bool { return f.Severity == configfile.Warning }) {
				return errPartial
			}
			return nil
		},
	}
	ini.Flags().StringVarP(&output, "output", "o", "", "a file to write, which must not be there yet (default: standard output)")
	ini.Flags().BoolVar(&resources, "resources", false, "make resources, as helioctl apply reads them, in place of a proxy.toml")
	c.AddCommand(ini)
	return c
}

// documents are resources as helioctl apply reads them.
func documents(set *resource.Set) ([]byte, error) {
	var all []*yaml.Node
	for kind, m := range set.All {
		all = append(all, manifest.Node(kind, m, 0))
	}
	return manifest.YAML(all...)
}

// put writes a file that nobody else may read, for there may be passwords in it, or to standard output.
func (p Program) put(path string, text []byte) error {
	if path == "" {
		_, err := p.Out.Write(text)
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	return errors.Join(err, f.Close())
}

// signalAsPgBouncer obeys a signal with PgBouncer's meaning. It returns how to end, if that is what it says: whoever ends waits for as long
// as it takes, unless --drain-timeout bounds that, and ends at once at the next signal.
func (r *runner) signalAsPgBouncer(s os.Signal) (end func() error) {
	switch s {
	case syscall.SIGHUP:
		_ = r.again() // it has logged why not
		return nil
	case syscall.SIGUSR1:
		go r.pause()
		return nil
	case syscall.SIGUSR2:
		r.plane.Resume()
		return nil
	case syscall.SIGQUIT:
		r.log.Info("ending at once", zap.Stringer("signal", s))
		return func() error { return r.farewell().end(AtOnce) }
	case syscall.SIGTERM:
		r.log.Info("ending when all clients have left", zap.Stringer("signal", s))
		return func() error { return r.farewell().end(AfterClients) }
	}
	r.log.Info("draining", zap.Stringer("signal", s))
	return func() error { return r.farewell().end(AfterTransactions) }
}

// pause holds all clients, as PAUSE does.
func (r *runner) pause() {
	if err := r.plane.Pause(context.Background()); err != nil {
		r.log.Warn("not paused", zap.Error(err))
	}
}

// asPgBouncer has no bound but the one on the command line, which is one for clients too, and goes on obeying signals that end nothing.
func (r *runner) asPgBouncer(f *farewell) {
	f.bounds, f.cut = nil, nil
	if r.flags.drainSet {
		f.bounds = map[Ending]time.Duration{AfterTransactions: r.flags.drainTimeout, AfterClients: r.flags.drainTimeout}
	}
	f.passes = func(s os.Signal) bool {
		switch s {
		case syscall.SIGHUP: // it is no time to tell systemd that the proxy reloads
			_ = r.reread() // it has logged why not
		case syscall.SIGUSR1, syscall.SIGUSR2:
			r.signalAsPgBouncer(s)
		default:
			return false
		}
		return true
	}
}
