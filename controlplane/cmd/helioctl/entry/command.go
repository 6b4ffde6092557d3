// Package entry is helioctl's command that tries the rules of pg_hba.conf: which entry a client gets, why, and what it will be asked for. It never connects to a proxy, and never looks up a name.
package entry

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"

	"github.com/spf13/cobra"

	"github.com/heliosproxy/heliosproxy/controlplane/cmd/helioctl/exit"
	"github.com/heliosproxy/heliosproxy/controlplane/cmd/helioctl/output"
	"github.com/heliosproxy/heliosproxy/pkg/hba"
	"github.com/heliosproxy/heliosproxy/pkg/resource"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// World is what the command sees of the world.
type World struct {
	// List reads the resources of a kind that have these names, without names all of them.
	List func(c *cobra.Command, kind string, names ...string) ([]*heliosv1.Resource, error)
	Out  io.Writer
}

// flags are those of `helioctl hba test`.
type flags struct {
	user, database, addr, hostName, as string
	tls, local, replication, verbose   bool
	listener, file, identFile          string
	output                             output.Format
}

// Command is `helioctl hba test`.
func Command(w World) *cobra.Command {
	var f flags
	c := &cobra.Command{
		Use:   "test --user USER (--addr IP | --local) (--listener NAME | --file FILE)",
		Short: "Say which rule a client gets, why, and what it will be asked for",
		Long: `Say which rule a client gets, why, and what it will be asked for. The rules are those of a Listener, as the control plane has it,
or of a pg_hba.conf. Nobody is logged in, and nothing is looked up: rules with host names need --hostname, and samehost and samenet
are judged by the addresses of this machine.

The exit code is 0 if the client may try to log in, and 1 if it is refused or if that cannot be told.`,
		Example: `  helioctl hba test --user ann --db shop --addr 10.1.2.3 --tls --listener main
  helioctl hba test --user ann --local --file pg_hba.conf --ident-file pg_ident.conf --as annika -v`,
		Args: exit.Args(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error { return w.run(c, &f) },
	}
	fs := c.Flags()
	fs.StringVar(&f.user, "user", "", "who the client says it is")
	fs.StringVar(&f.database, "db", "", "the database that it wants (default: the one with the user's name)")
	fs.StringVar(&f.addr, "addr", "", "the IP address that it comes from")
	fs.BoolVar(&f.local, "local", false, "it comes by a unix socket")
	fs.BoolVar(&f.tls, "tls", false, "it speaks TLS")
	fs.BoolVar(&f.replication, "replication", false, "it wants physical replication, and no database")
	fs.StringVar(&f.hostName, "hostname", "", "the name that the address resolves to, and that resolves to it; none if empty")
	fs.StringVar(&f.as, "as", "", "who the operating system (peer) or its certificate (cert) says it is, for maps")
	fs.StringVar(&f.listener, "listener", "", "take the rules of this Listener")
	fs.StringVar(&f.file, "file", "", "take the rules of this pg_hba.conf, and of what it includes")
	fs.StringVar(&f.identFile, "ident-file", "", "with --file: the user name maps, a pg_ident.conf")
	fs.BoolVarP(&f.verbose, "verbose", "v", false, "say of the rules before it why they do not fit")
	f.output.Register(c, "json", "yaml")
	cobra.CheckErr(c.RegisterFlagCompletionFunc("listener", w.completeListener))
	for _, name := range []string{"user", "db", "addr", "hostname", "as"} {
		cobra.CheckErr(c.RegisterFlagCompletionFunc(name, cobra.NoFileCompletions))
	}
	c.ValidArgsFunction = cobra.NoFileCompletions
	return c
}

func (w World) completeListener(c *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	all, err := w.List(c, string(resource.KindListener))
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	var names []string
	for _, r := range all {
		names = append(names, r.GetItem().GetName())
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

func (w World) run(c *cobra.Command, f *flags) error {
	if err := f.output.Check("json", "yaml"); err != nil {
		return err
	}
	if err := f.check(); err != nil {
		return exit.Usage(err, c.CommandPath())
	}
	var d *door
	var err error
	if f.file != "" {
		d, err = openFile(f.file, f.identFile)
	} else {
		d, err = w.openListener(c, f.listener)
	}
	if err != nil {
		return err
	}
	q, err := f.request(c, d)
	if err != nil {
		return err
	}
	t, err := d.try(q, f.as, c.Flags().Changed("as"))
	if err != nil {
		return err
	}
	if err := w.show(t, f); err != nil {
		return err
	}
	if t.verdict == refused || t.verdict == unknown {
		return exit.Silently(exit.CodeRefused)
	}
	return nil
}

// check says what is wrong with the flags.
func (f *flags) check() error {
	switch {
	case f.user == "":
		return errors.New("--user USER is missing")
	case (f.listener == "") == (f.file == ""):
		return errors.New("want one of --listener NAME and --file FILE")
	case f.identFile != "" && f.file == "":
		return errors.New("--ident-file goes with --file: a Listener has maps of its own")
	case f.replication && f.database != "":
		return errors.New("physical replication has no database: leave out --db; logical replication has one and is as any other client")
	case f.local && (f.addr != "" || f.tls || f.hostName != ""):
		return errors.New("a client at a unix socket has no --addr, no --hostname and no --tls")
	}
	return nil
}

// request is what the client of the flags asks a door for.
func (f *flags) request(c *cobra.Command, d *door) (*hba.Request, error) {
	q := &hba.Request{User: f.user, Database: f.database, Replication: f.replication, Local: f.local || d.unix, TLS: f.tls}
	if q.Database == "" && !q.Replication {
		q.Database = f.user
	}
	if c.Flags().Changed("hostname") {
		q.HostName = func() string { return f.hostName }
	}
	switch {
	case f.local && d.resource && !d.unix:
		return nil, exit.Usage(fmt.Errorf("%s is not at a unix socket: leave out --local", d.name), c.CommandPath())
	case d.unix && (f.addr != "" || f.tls || f.hostName != ""):
		return nil, exit.Usage(fmt.Errorf("%s is at a unix socket, where nobody has an --addr, a --hostname or --tls", d.name), c.CommandPath())
	case q.Local:
		return q, nil
	case f.addr == "":
		return nil, exit.Usage(errors.New("want one of --addr IP and --local"), c.CommandPath())
	}
	ip, err := netip.ParseAddr(f.addr)
	if err != nil {
		return nil, exit.Usage(fmt.Errorf("--addr %s is not an IP address", f.addr), c.CommandPath())
	}
	q.Addr = ip
	if d.rules != nil && d.rules.Needs().Interfaces {
		if q.Interfaces, err = interfaces(); err != nil {
			return nil, exit.Refused(fmt.Errorf("the addresses of this machine: %w", err))
		}
	}
	return q, nil
}

// show prints what becomes of a client.
func (w World) show(t *trial, f *flags) error {
	if f.output.Word != "" {
		return f.output.Print(w.Out, t.object(f.verbose))
	}
	var b strings.Builder
	if f.verbose {
		for _, s := range t.before {
			fmt.Fprintf(&b, "%s: %s\n  does not fit: %s\n", t.door.at(s.Rule), s.Rule, s.Why)
		}
	}
	if t.rule != nil {
		fmt.Fprintf(&b, "%s: %s\n  fits: %s\n", t.door.at(t.rule.Rule), t.rule.Rule, t.rule.Why)
	}
	indent := ""
	if t.rule != nil {
		indent = "  "
	}
	if t.verdict != refused && t.verdict != unknown && t.reason != "" {
		fmt.Fprintf(&b, "%s%s\n", indent, t.reason)
	}
	switch t.verdict {
	case letIn:
		fmt.Fprintf(&b, "%slet in: nothing is asked for\n", indent)
	case asked:
		for _, a := range t.asks {
			fmt.Fprintf(&b, "%sasked for: %s\n", indent, a)
		}
	default:
		fmt.Fprintf(&b, "%s%s: %s\n", indent, t.verdict, t.reason)
	}
	_, err := io.WriteString(w.Out, b.String())
	return err
}
