// Package command is the command line of heliosproxy: what is asked, what is answered, with which exit code. It never knows how planes are built, only how they are started, given resources, drained and closed.
package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"github.com/heliosproxy/heliosproxy/controlplane/configfile"
	"github.com/heliosproxy/heliosproxy/pkg/logx"
	"github.com/heliosproxy/heliosproxy/pkg/resource"
	"github.com/heliosproxy/heliosproxy/pkg/systemd"
	"github.com/heliosproxy/heliosproxy/pkg/version"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// The exit codes.
const (
	exitFailed  = 1
	exitUsage   = 2
	exitPartial = 3 // of an import
)

// Program is heliosproxy with the outside world given to it.
type Program struct {
	Out, Err io.Writer
	Signals  <-chan os.Signal // SIGHUP, SIGTERM and SIGINT
	// Notify has further signals sent to Signals; nil does not.
	Notify func(...os.Signal)
	// Systemd is the service manager; nil is none.
	Systemd *systemd.Manager
	// Start starts a data plane that is given resources.
	Start func(Options) (DataPlane, error)
	// Join starts one that follows a control plane.
	Join func(Options, Membership) (Server, error)
	// Try tries on this machine what a file names, without the network if offline; nil tries nothing.
	Try func(ctx context.Context, file *configfile.File, offline bool) []Outcome
	// Control starts a control plane. It returns when the store is there, or when the context ends.
	Control func(context.Context, ControlOptions) (Closer, error)
}

// Options are what a data plane starts with.
type Options struct {
	Log            *zap.Logger
	LogLevel       *logx.Level
	Config         string // the file, for who asks where resources come from
	NodeID         string
	Loops          int // 0 lets it choose
	AdminAddress   string
	AdminOptional  bool // if the address is taken, go on without
	AdminToken     string
	Listen         map[string]string // addresses that go before those of listeners, by name
	Inherited      map[int]string    // descriptors of listening sockets that the process was handed, with their names
	StateDir       string
	MaxConfigBytes int
	// Takeover takes the place of the process that runs with the same state directory.
	Takeover bool
	// DrainRate is how many sessions are ended a second, 0 all at once, and TakeoverWindow how long those stay that a successor cannot take.
	DrainRate      func() float64
	TakeoverWindow func() time.Duration
	// What the console's commands of these names do; nil: they are refused.
	Reload   func(context.Context) error
	Shutdown func(Ending)
}

// Membership is how a data plane belongs to a fleet.
type Membership struct {
	ControlPlanes []string
	Token         string
	// Advertise is where other proxies reach this one, IP:PORT; empty goes by its listeners.
	Advertise string
}

// ControlOptions are what a control plane starts with.
type ControlOptions struct {
	Log                       *zap.Logger
	DataDir                   string
	EtcdEndpoints             []string
	AdminListen, StreamListen string
	HealthListen              string // empty: nowhere
	HealthOptional            bool   // if the address is taken, go on without
	MaxConfigBytes            int
}

// Closer is what runs until it is closed.
type Closer interface{ Close() error }

// DataPlane is one that is given resources.
type DataPlane interface {
	Server
	// Apply puts resources in force. After an error the old ones still are.
	Apply(*resource.Set) error
	// Meet says who the other proxies behind the same balancer are.
	Meet(*heliosv1.Peers)
}

// Server is a data plane that runs.
type Server interface {
	// Addresses are where the listeners stand, by name.
	Addresses() map[string]string
	// Drain lets every session end with its transaction, until ctx ends.
	Drain(context.Context) error
	// Leave takes in nobody new, until all have left or ctx ends.
	Leave(context.Context) error
	// Pause holds all clients and returns when the server connections are closed; Resume lets them go on.
	Pause(context.Context) error
	Resume()
	// ReadFiles reads certificates and keys again that have changed.
	ReadFiles() error
	// Alive returns when the data plane has shown that it works, or with ctx's error.
	Alive(context.Context) error
	Close() error
}

// failed is an error after which the exit code is 1. What it has to say, if anything, was not printed yet.
type failed struct{ error }

func (f failed) Unwrap() error { return f.error }

// errReported is a failure of which everything was printed.
var errReported = errors.New("reported")

// Main runs the program with the arguments after its name and returns the exit code.
func (p Program) Main(args []string) int {
	root := p.command()
	root.SetArgs(args)
	root.SetOut(p.Out)
	root.SetErr(p.Err)
	err := root.Execute()
	var f failed
	switch {
	case err == nil:
		return 0
	case errors.Is(err, errPartial):
		return exitPartial
	case !errors.As(err, &f):
		fmt.Fprintf(p.Err, "heliosproxy: %s\nRun 'heliosproxy --help' for usage.\n", err)
		return exitUsage
	case !errors.Is(err, errReported):
		fmt.Fprintf(p.Err, "heliosproxy: %s\n", err)
	}
	return exitFailed
}

func (p Program) command() *cobra.Command {
	var f flags
	root := &cobra.Command{
		Use:           "heliosproxy {--config FILE | --pgbouncer-ini FILE}",
		Short:         "A pooling proxy for PostgreSQL",
		Args:          cobra.NoArgs,
		SilenceErrors: true,
		SilenceUsage:  true,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := f.source.check(); err != nil {
				return err
			}
			if err := errors.Join(f.check(c), f.state("standalone")); err != nil {
				return err
			}
			return p.run(f)
		},
	}
	f.source.register(root)
	f.register(root, "proxy.drain_timeout_secs", " (default: proxy.loops)")
	root.AddCommand(p.controlCommand(), p.memberCommand(), p.checkCommand(), p.importCommand(), &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			_, err := fmt.Fprintln(p.Out, version.Line())
			return err
		},
	})
	return root
}
