package command

import (
	"context"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/heliosproxy/heliosproxy/controlplane/cmd/helioctl/account"
	"github.com/heliosproxy/heliosproxy/controlplane/cmd/helioctl/authcache"
	"github.com/heliosproxy/heliosproxy/controlplane/cmd/helioctl/console"
	"github.com/heliosproxy/heliosproxy/controlplane/cmd/helioctl/entry"
	"github.com/heliosproxy/heliosproxy/controlplane/cmd/helioctl/inspect"
	"github.com/heliosproxy/heliosproxy/controlplane/cmd/helioctl/proxies"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// plane is the control plane as commands of other packages see it.
type plane struct{ *session }

// List reads resources.
func (p plane) List(c *cobra.Command, kind string, names ...string) ([]*heliosv1.Resource, error) {
	return p.list(c, kind, names)
}

// Writer gives a command the flags of those that write.
func (p plane) Writer(c *cobra.Command) func(...*heliosv1.Change) error {
	w := &writing{}
	w.register(c)
	return func(changes ...*heliosv1.Change) error {
		if err := w.output.Check("json", "yaml", "name"); err != nil {
			return err
		}
		return p.change(c, w.header(), changes, w.output)
	}
}

// proxies are the commands that look at proxies.
func (s *session) proxies() proxies.World {
	return proxies.World{Dial: s.dial, Bounded: s.bounded, Out: s.Out, Err: s.Err, Now: s.Now, Terminal: s.terminal}
}

// consoles are the commands that proxies carry out.
func (s *session) consoles() []*cobra.Command { return console.Commands(s.console()) }

func (s *session) console() console.World {
	return console.World{
		Dial: s.dial, Timeout: func() time.Duration { return s.flags.timeout }, List: plane{s}.List, CompleteProxy: s.proxies().Complete,
		In: s.In, Out: s.Out, Err: s.Err, Now: s.Now, Terminal: s.terminal,
	}
}

// terminal says whether somebody looks at the output.
func (s *session) terminal() bool {
	f, ok := s.Out.(interface{ Fd() uintptr })
	return ok && term.IsTerminal(int(f.Fd()))
}

// authentication are the commands about who gets in and how.
func (s *session) authentication() []*cobra.Command {
	group := func(use, short string, sub ...*cobra.Command) *cobra.Command {
		c := &cobra.Command{Use: use, Short: short, Args: noCommand, RunE: help}
		c.AddCommand(sub...)
		return c
	}
	bounded := func(c *cobra.Command) (context.Context, context.CancelFunc) { return s.bounded(c) }
	return []*cobra.Command{
		group("user", "Add users, give them passwords, list them", account.Commands(account.World{Plane: plane{s}, In: s.In, Out: s.Out, Err: s.Err})...),
		group("hba", "Try the rules of pg_hba.conf", entry.Command(entry.World{List: plane{s}.List, Out: s.Out})),
		group("cert", "Look into certificates", inspect.Command(inspect.World{Bounded: bounded, Out: s.Out, Now: s.Now})),
		group("auth", "See what proxies know of those who log in", authcache.Command(s.console())),
	}
}
