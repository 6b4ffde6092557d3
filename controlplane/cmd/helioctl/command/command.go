// Package command is the command line of helioctl: what is asked, what is shown, with which exit code. It never keeps anything but contexts.
package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/heliosproxy/heliosproxy/controlplane/cmd/helioctl/exit"
	"github.com/heliosproxy/heliosproxy/controlplane/cmd/helioctl/output"
	"github.com/heliosproxy/heliosproxy/pkg/version"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// Program is helioctl with the outside world given to it.
type Program struct {
	In       io.Reader
	Out, Err io.Writer
	Env      func(string) string
	Now      func() time.Time // ages are counted to it, and times are shown in its place
}

// session is one run of the program.
type session struct {
	Program
	flags    globals
	request  string // the id of a write that was begun
	progress bool   // somebody looks at Err
	sent     bool   // its commit was sent: from then on nobody knows until there is an answer
	places   places // where what is written stands
}

// globals are the flags of every command.
type globals struct {
	server, tokenFile, context string
	timeout                    time.Duration
}

// Main runs the program with the arguments after its name and returns the exit code.
func (p Program) Main(args []string) int {
	s := &session{Program: p, places: places{}}
	if f, ok := p.Err.(interface{ Fd() uintptr }); ok {
		s.progress = term.IsTerminal(int(f.Fd()))
	}
	root := s.command()
	root.SetArgs(args)
	root.SetIn(p.In)
	root.SetOut(p.Out)
	root.SetErr(p.Err)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	f := s.explain(err)
	if ctx.Err() != nil && f.code == exit.CodeUnreachable {
		f = failure{exit.CodeRefused, "interrupted, nothing was changed"}
	}
	if f.said != "" {
		fmt.Fprintf(p.Err, "helioctl: %s\n", f.said)
	}
	return f.code
}

func (s *session) command() *cobra.Command {
	root := &cobra.Command{
		Use:   "helioctl",
		Short: "Administer HeliosProxy",
		Long: `Administer HeliosProxy: write the resources that a control plane sends to its proxies, and see what they run.

Exit codes: 0 ok, 1 refused, 2 usage, 3 conflict, 4 unreachable, 5 outcome unknown.`,
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	pf := root.PersistentFlags()
	pf.StringVar(&s.flags.server, "server", "", "the control plane, HOST:PORT or unix:PATH (default: $HELIOCTL_SERVER, the context's, "+defaultServer+")")
	pf.StringVar(&s.flags.tokenFile, "token-file", "", "the file of the admin token (default: $HELIOCTL_TOKEN_FILE, the context's)")
	pf.StringVar(&s.flags.context, "context", "", "the context to use (default: the current one)")
	cobra.CheckErr(root.RegisterFlagCompletionFunc("context", s.completeContext))
	pf.DurationVar(&s.flags.timeout, "timeout", 30*time.Second, "how long to wait for the control plane")
	node := &cobra.Command{Use: "node", Short: "Look into a proxy", Args: noCommand, RunE: help}
	look := s.proxies()
	node.AddCommand(look.ConfigCommand())
	fleet := &cobra.Command{Use: "fleet", Short: "Look at the proxies", Args: noCommand, RunE: help}
	fleet.AddCommand(look.StatusCommand())
	root.AddCommand(
		s.applyCommand(), s.deleteCommand(), s.diffCommand(), s.editCommand(), s.undoCommand(),
		s.getCommand(), s.describeCommand(), s.historyCommand(), s.auditCommand(), s.eventsCommand(),
		fleet, node, s.explainCommand(), s.configCommand(), s.versionCommand(),
	)
	root.AddCommand(s.consoles()...)
	root.AddCommand(s.authentication()...)
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error { return exit.Usage(err, c.CommandPath()) })
	return root
}

// help is what a command does that only has commands.
func help(c *cobra.Command, _ []string) error { return c.Help() }

// noCommand refuses what is no command of c.
func noCommand(c *cobra.Command, args []string) error {
	if len(args) > 0 {
		return exit.Usage(fmt.Errorf("unknown command %q for %q", args[0], c.CommandPath()), c.CommandPath())
	}
	return nil
}

// bounded is a context that ends after --timeout.
func (s *session) bounded(c *cobra.Command) (context.Context, context.CancelFunc) {
	return context.WithTimeout(c.Context(), s.flags.timeout)
}

func (s *session) versionCommand() *cobra.Command {
	var o output.Format
	c := &cobra.Command{
		Use:   "version",
		Short: "Print the versions of helioctl and of the control plane",
		Args:  exit.Args(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			if err := o.Check("json", "yaml"); err != nil {
				return err
			}
			client, err := s.dial()
			if err != nil {
				return err
			}
			ctx, stop := s.bounded(c)
			defer stop()
			v, err := client.GetVersion(ctx, &heliosv1.GetVersionRequest{})
			if err != nil {
				if o.Word == "" {
					fmt.Fprintf(s.Out, "helioctl       %s\n", version.Line())
				}
				return err
			}
			if o.Word != "" {
				return o.Print(s.Out, output.Object(
					"client", version.String(), "server", v.GetBuild(), "protocol", v.GetProtocolVersion(),
					"store", v.GetStore(), "storeId", v.GetStoreId(), "revision", v.GetRevision(),
				))
			}
			fmt.Fprintf(s.Out, "helioctl       %s\n", version.Line())
			fmt.Fprintf(s.Out, "control plane  %s, protocol %d, store %s %s, revision %d\n", v.GetBuild(), v.GetProtocolVersion(), v.GetStore(), v.GetStoreId(), v.GetRevision())
			return nil
		},
	}
	o.Register(c, "json", "yaml")
	return c
}

// ended says that a stream has ended as streams do.
func ended(err error) bool { return errors.Is(err, io.EOF) }
