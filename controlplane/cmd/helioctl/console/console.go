// Package console is helioctl's commands that the consoles of proxies carry out: what pools, clients and servers there are, and what is to be done to them. It never asks a proxy but through the control plane.
package console

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/heliosproxy/heliosproxy/controlplane/cmd/helioctl/exit"
	"github.com/heliosproxy/heliosproxy/controlplane/cmd/helioctl/output"
	"github.com/heliosproxy/heliosproxy/controlplane/cmd/helioctl/table"
	"github.com/heliosproxy/heliosproxy/pkg/resource"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// World is what the commands see of the world.
type World struct {
	Dial func() (heliosv1.AdminServiceClient, error)
	// Timeout is what --timeout says.
	Timeout func() time.Duration
	// List reads resources, and CompleteProxy completes the names of proxies.
	List          func(c *cobra.Command, kind string, names ...string) ([]*heliosv1.Resource, error)
	CompleteProxy cobra.CompletionFunc
	In            io.Reader
	Out, Err      io.Writer
	Now           func() time.Time
	// Terminal says whether somebody looks at Out.
	Terminal func() bool
}

// grace is how much longer than a proxy's patience there is a wait for its answer.
const grace = 5 * time.Second

// Commands are those below helioctl itself.
func Commands(w World) []*cobra.Command {
	var all []*cobra.Command
	for _, s := range shows() {
		all = append(all, w.showCommand(s))
	}
	for _, a := range acts() {
		all = append(all, w.actCommand(a))
	}
	return append(all, w.drainCommand(), w.levelCommand())
}

// Target is the flags that say which proxies are meant.
type Target struct {
	nodes []string
	group string
}

// Register gives a command the flags.
func (t *Target) Register(c *cobra.Command, complete cobra.CompletionFunc) {
	c.Flags().StringSliceVar(&t.nodes, "proxy", nil, "only this proxy; may be given several times (default: all that are connected)")
	c.Flags().StringVar(&t.group, "group", "", "only the proxies of this group")
	cobra.CheckErr(c.RegisterFlagCompletionFunc("proxy", func(c *cobra.Command, _ []string, to string) ([]string, cobra.ShellCompDirective) {
		return complete(c, nil, to)
	}))
	cobra.CheckErr(c.RegisterFlagCompletionFunc("group", cobra.NoFileCompletions))
}

// Run has proxies carry out a command, and returns what they say, also with an error.
func (w World) Run(c *cobra.Command, t Target, text string) (*Answers, error) {
	ask, err := w.asker(c, t, text)
	if err != nil {
		return &Answers{}, err
	}
	return ask()
}

// asker is Run as often as it is called, by one connection.
func (w World) asker(c *cobra.Command, t Target, text string) (func() (*Answers, error), error) {
	if len(t.nodes) > 0 && t.group != "" {
		return nil, exit.Usage(errors.New("either --proxy or --group says which proxies are meant"), c.CommandPath())
	}
	client, err := w.Dial()
	if err != nil {
		return nil, err
	}
	return func() (*Answers, error) {
		ctx, stop := context.WithTimeout(c.Context(), w.Timeout()+grace)
		defer stop()
		return run(ctx, client, t, text, w.Timeout())
	}, nil
}

// act is a command that changes something.
type act struct{ word, short, long, done string }

func acts() []act {
	return []act{
		{"pause", "Hold clients, and wait until the server connections are closed", `Hold clients, and wait until the server connections are closed: those of a database, or all. Transactions that are under way end first.
Clients wait until helioctl resume. At a proxy where that takes longer than --timeout, and where it is interrupted, the clients go on; those of the other
proxies stay paused until helioctl resume.`, "paused"},
		{"resume", "Let clients go on after pause or kill", "Let clients go on after pause or kill: those of a database, or all.", "resumed"},
		{"kill", "End clients and server connections at once, and hold who comes next", `End clients and server connections at once, those of a database, or all, without waiting for transactions. Who comes next waits until
helioctl resume.`, "killed"},
		{"reconnect", "Close server connections as they become free", "Close server connections as they become free: those of a database, or all. Clients do not notice.", "reconnecting"},
	}
}

func (w World) actCommand(a act) *cobra.Command {
	var t Target
	var o output.Format
	c := &cobra.Command{
		Use: a.word + " [DATABASE]", Short: a.short, Long: a.long + "\n\nIt is the console's command " + strings.ToUpper(a.word) + ", which every proxy that is connected carries out unless --proxy or --group says otherwise.",
		Args:              exit.Args(cobra.MaximumNArgs(1)),
		ValidArgsFunction: w.completeDatabase,
		RunE: func(c *cobra.Command, given []string) error {
			if err := o.Check("json"); err != nil {
				return err
			}
			text := strings.ToUpper(a.word)
			if len(given) == 1 {
				if given[0] == "" {
					return exit.Usage(errors.New("the name of the database is empty"), c.CommandPath())
				}
				text += " " + Quoted(given[0])
			}
			return w.act(c, t, text, a.done, o)
		},
	}
	t.Register(c, w.CompleteProxy)
	o.Register(c, "json")
	return c
}

// act has proxies carry out a command that changes something, and says what has come of it; done is what those are that have done it.
func (w World) act(c *cobra.Command, t Target, text, done string, o output.Format) error {
	all, lost := w.Run(c, t, text)
	if lost != nil && !all.begun {
		return lost
	}
	if err := w.acted(all, done, o); err != nil {
		return err
	}
	if lost != nil {
		return w.cut(lost)
	}
	return all.exit()
}

// acted says which proxies have done it, and which have not.
func (w World) acted(all *Answers, done string, o output.Format) error {
	if o.Word != "" {
		var objects []any
		for _, p := range all.proxies {
			if p.tag != "" {
				objects = append(objects, output.Object("proxy", p.node, "command", p.tag))
			}
		}
		return o.Print(w.Out, output.Object("proxies", orEmpty(objects), "errors", all.Errors()))
	}
	for _, p := range all.proxies {
		if p.tag != "" {
			fmt.Fprintf(w.Out, "%s: %s\n", table.Plain(p.node), done)
		}
	}
	return all.PrintErrors(w.Err)
}

// cut says that the answers have ended early.
func (w World) cut(why error) error {
	words := status.Convert(why).Message()
	if status.Code(why) == codes.Canceled {
		words = "interrupted"
	}
	_, err := fmt.Fprintf(w.Err, "helioctl: %s: a proxy that waited gives up; whether others that are not named here have done it is not known\n", words)
	return errors.Join(err, exit.Silently(exit.CodeUnknown))
}

func orEmpty(all []any) []any {
	if all == nil {
		return []any{}
	}
	return all
}

// completeDatabase completes the names of databases.
func (w World) completeDatabase(c *cobra.Command, given []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(given) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	all, err := w.List(c, string(resource.KindDatabase))
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	var names []string
	for _, r := range all {
		if name := r.GetItem().GetName(); name != "*" {
			names = append(names, name)
		}
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

// Quoted is a name as a word of the console.
func Quoted(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }
