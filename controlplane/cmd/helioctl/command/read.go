package command

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/heliosproxy/heliosproxy/controlplane/cmd/helioctl/exit"
	"github.com/heliosproxy/heliosproxy/controlplane/cmd/helioctl/output"
	"github.com/heliosproxy/heliosproxy/controlplane/cmd/helioctl/show"
	"github.com/heliosproxy/heliosproxy/controlplane/cmd/helioctl/table"
	"github.com/heliosproxy/heliosproxy/pkg/manifest"
	"github.com/heliosproxy/heliosproxy/pkg/resource"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// kindArg reads the name of a kind; "all" is every kind.
func kindArg(word, command string) (string, error) {
	if word == "all" {
		return "", nil
	}
	if t, ok := resource.Lookup(word); ok {
		return string(t.Kind), nil
	}
	return "", exit.Usage(fmt.Errorf("%q is no kind; kinds are %s", word, strings.Join(kindWords(), ", ")), command)
}

// target is a kind and names of it; without names all of the kind are meant.
type target struct {
	kind  string
	names []string
}

// targets reads KIND [NAME...] or, as -o name prints them, KIND/NAME....
func targets(given []string, command string) ([]target, error) {
	if !strings.Contains(given[0], "/") {
		kind, err := kindArg(given[0], command)
		return []target{{kind, given[1:]}}, err
	}
	var all []target
	for _, g := range given {
		word, name, _ := strings.Cut(g, "/")
		kind, err := kindArg(word, command)
		if err != nil {
			return nil, err
		}
		if kind == "" || name == "" {
			return nil, exit.Usage(fmt.Errorf("%q is not KIND/NAME", g), command)
		}
		all = append(all, target{kind, []string{name}})
	}
	return all, nil
}

// oneTarget reads KIND NAME or KIND/NAME.
func oneTarget(given []string, command string) (kind, name string, err error) {
	all, err := targets(given, command)
	if err != nil {
		return "", "", err
	}
	if len(all) != 1 || len(all[0].names) != 1 || all[0].kind == "" {
		return "", "", exit.Usage(errors.New("want KIND NAME"), command)
	}
	return all[0].kind, all[0].names[0], nil
}

func kindWords() []string {
	var words []string
	for _, t := range resource.Types() {
		words = append(words, t.Plural)
	}
	return words
}

// completeKind completes kinds, and then names of that kind.
func (s *session) completeKind(c *cobra.Command, given []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(given) == 0 {
		return kindWords(), cobra.ShellCompDirectiveNoFileComp
	}
	t, ok := resource.Lookup(given[0])
	if !ok {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	all, err := s.list(c, string(t.Kind), nil)
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	var names []string
	for _, r := range all {
		names = append(names, r.GetItem().GetName())
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

// list reads resources.
func (s *session) list(c *cobra.Command, kind string, names []string) ([]*heliosv1.Resource, error) {
	client, err := s.dial()
	if err != nil {
		return nil, err
	}
	ctx, stop := s.bounded(c)
	defer stop()
	return listAll(ctx, client, kind, names)
}

func listAll(ctx context.Context, client heliosv1.AdminServiceClient, kind string, names []string) ([]*heliosv1.Resource, error) {
	stream, err := client.List(ctx, &heliosv1.ListRequest{Kind: kind, Names: names})
	if err != nil {
		return nil, err
	}
	var all []*heliosv1.Resource
	for {
		m, err := stream.Recv()
		if ended(err) {
			return all, nil
		}
		if err != nil {
			return nil, err
		}
		all = append(all, m.GetResources()...)
	}
}

func (s *session) getCommand() *cobra.Command {
	var o output.Format
	c := &cobra.Command{
		Use:   "get KIND [NAME...] | KIND/NAME...",
		Short: "Show resources; KIND may be all",
		Example: `  helioctl get databases
  helioctl get poolprofile web -o yaml
  helioctl get all -o yaml > everything.yaml`,
		Args:              exit.Args(cobra.MinimumNArgs(1)),
		ValidArgsFunction: s.completeKind,
		RunE: func(c *cobra.Command, given []string) error {
			if err := o.Check("json", "yaml", "name", "wide"); err != nil {
				return err
			}
			wanted, err := targets(given, "helioctl get")
			if err != nil {
				return err
			}
			var all []*heliosv1.Resource
			for _, t := range wanted {
				found, err := s.list(c, t.kind, t.names)
				if err != nil {
					return err
				}
				all = append(all, found...)
			}
			kind, one := wanted[0].kind, len(wanted) == 1 && len(wanted[0].names) == 1
			if len(wanted) > 1 {
				kind = ""
			}
			return s.show(all, kind, one, o)
		},
	}
	o.Register(c, "json", "yaml", "name", "wide")
	return c
}

// show prints resources. One that was asked for by name is itself in JSON, else there is a list.
func (s *session) show(all []*heliosv1.Resource, kind string, one bool, o output.Format) error {
	switch o.Word {
	case "name":
		for _, r := range all {
			fmt.Fprintf(s.Out, "%s/%s\n", strings.ToLower(r.GetItem().GetKind()), r.GetItem().GetName())
		}
		return nil
	case "yaml":
		for i, r := range all {
			text, err := show.YAML(r)
			if err != nil {
				return err
			}
			if i > 0 {
				text = "---\n" + text
			}
			if _, err := io.WriteString(s.Out, text); err != nil {
				return err
			}
		}
		return nil
	case "json":
		items := []any{}
		for _, r := range all {
			n, err := show.Node(r)
			if err != nil {
				return err
			}
			items = append(items, manifest.JSON(n))
		}
		if one && len(items) == 1 {
			return o.Print(s.Out, items[0])
		}
		return o.Print(s.Out, output.Object("apiVersion", manifest.APIVersion, "kind", "List", "items", items))
	}
	return show.Tables(s.Out, s.Err, all, kind, o.Word == "wide")
}

func (s *session) historyCommand() *cobra.Command {
	var o output.Format
	c := &cobra.Command{
		Use: "history", Short: "List the releases that are kept, the newest first", Args: exit.Args(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			if err := o.Check("json", "yaml", "name"); err != nil {
				return err
			}
			client, err := s.dial()
			if err != nil {
				return err
			}
			ctx, stop := s.bounded(c)
			defer stop()
			all, err := client.ListReleases(ctx, &heliosv1.ListReleasesRequest{})
			if err != nil {
				return err
			}
			rows, items, now := [][]string{{"RELEASE", "REVISION", "AGE", "RESOURCES", "BYTES", "BY", "MESSAGE"}}, []any{}, s.Now()
			for _, r := range all.GetReleases() {
				number := fmt.Sprint(r.GetNumber())
				if o.Word == "name" {
					fmt.Fprintln(s.Out, number)
				}
				if r.GetCurrent() {
					number += " (current)"
				}
				rows = append(rows, []string{number, fmt.Sprint(r.GetRevision()), table.Age(now, r.GetCreated()), fmt.Sprint(r.GetResources()), fmt.Sprint(r.GetBytes()), r.GetActor(), r.GetMessage()})
				items = append(items, output.Object("release", r.GetNumber(), "current", r.GetCurrent(), "revision", r.GetRevision(), "generation", show.GenerationOf(r.GetGeneration()),
					"hash", r.GetHash(), "created", show.Moment(r.GetCreated()), "resources", r.GetResources(), "bytes", r.GetBytes(), "actor", r.GetActor(), "message", r.GetMessage()))
			}
			switch o.Word {
			case "name":
				return nil
			case "":
				return table.Print(s.Out, rows)
			}
			return o.Print(s.Out, items)
		},
	}
	o.Register(c, "json", "yaml", "name")
	return c
}

func (s *session) auditCommand() *cobra.Command {
	var o output.Format
	var limit uint32
	var request string
	c := &cobra.Command{
		Use: "audit", Short: "Show who wrote what, the newest first", Args: exit.Args(cobra.NoArgs),
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
			all, err := client.ListAudit(ctx, &heliosv1.ListAuditRequest{Limit: limit, RequestId: request})
			if err != nil {
				return err
			}
			if request != "" && len(all.GetRecords()) == 0 {
				return s.unrecorded(ctx, client, request)
			}
			return s.showAudit(all.GetRecords(), o)
		},
	}
	c.Flags().Uint32Var(&limit, "limit", 20, "at most so many records")
	c.Flags().StringVar(&request, "request", "", "only the record of this request: was it carried out?")
	o.Register(c, "json", "yaml")
	return c
}

// unrecorded says what became of a request of which there is no record.
func (s *session) unrecorded(ctx context.Context, client heliosv1.AdminServiceClient, request string) error {
	o, err := client.GetOutcome(ctx, &heliosv1.GetOutcomeRequest{RequestId: request})
	switch {
	case err != nil:
		return err
	case !o.GetDone():
		return exit.Refused(fmt.Errorf("request %s was not carried out; unless it is still under way it never will be", request))
	case o.GetRevision() == 0:
		_, err = fmt.Fprintf(s.Out, "request %s was carried out and changed nothing\n", request)
	default:
		_, err = fmt.Fprintf(s.Out, "request %s was carried out, revision %d; its record is no longer kept\n", request, o.GetRevision())
	}
	return err
}

func (s *session) showAudit(all []*heliosv1.AuditRecord, o output.Format) error {
	rows, items, now := [][]string{{"REVISION", "AGE", "BY", "CHANGES", "MESSAGE", "REQUEST"}}, []any{}, s.Now()
	for _, r := range all {
		var words []string
		changes := []any{}
		for _, ch := range r.GetChanges() {
			words = append(words, manifest.Word(ch.GetAction())+" "+ch.GetKind()+"/"+ch.GetName())
			changes = append(changes, output.Object("action", manifest.Word(ch.GetAction()), "kind", ch.GetKind(), "name", ch.GetName(), "fields", show.FieldNames(ch.GetKind(), ch.GetFields())))
		}
		if n := len(words) - 2 + int(r.GetMore()); n > 0 && len(words) > 3 {
			words = append(words[:2], fmt.Sprintf("and %d more", n))
		}
		message := r.GetMessage()
		if r.GetUndoTo() != 0 {
			message = strings.TrimSpace(fmt.Sprintf("back to release %d %s", r.GetUndoTo(), message))
		}
		rows = append(rows, []string{fmt.Sprint(r.GetRevision()), table.Age(now, r.GetTime()), r.GetActor(), strings.Join(words, ", "), message, r.GetRequestId()})
		items = append(items, output.Object("revision", r.GetRevision(), "time", show.Moment(r.GetTime()), "actor", r.GetActor(), "request", r.GetRequestId(),
			"message", r.GetMessage(), "undoTo", r.GetUndoTo(), "changes", changes, "more", r.GetMore()))
	}
	if o.Word == "" {
		return table.Print(s.Out, rows)
	}
	return o.Print(s.Out, items)
}

func (s *session) eventsCommand() *cobra.Command {
	var o output.Format
	var follow bool
	c := &cobra.Command{
		Use: "events", Short: "Show what has happened lately, the oldest first", Args: exit.Args(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			if err := o.Check("json"); err != nil {
				return err
			}
			client, err := s.dial()
			if err != nil {
				return err
			}
			ctx := c.Context()
			if !follow {
				var stop context.CancelFunc
				ctx, stop = s.bounded(c)
				defer stop()
			}
			stream, err := client.ListEvents(ctx, &heliosv1.ListEventsRequest{Follow: follow})
			if err != nil {
				return err
			}
			for {
				m, err := stream.Recv()
				if ended(err) || err != nil && c.Context().Err() != nil {
					return nil
				}
				if err != nil {
					return err
				}
				if m.GetLost() > 0 {
					fmt.Fprintf(s.Err, "%d events are lost\n", m.GetLost())
				}
				for _, e := range m.GetEvents() {
					if err := s.showEvent(e, o); err != nil {
						return err
					}
				}
			}
		},
	}
	c.Flags().BoolVarP(&follow, "follow", "f", false, "go on with what happens, until Ctrl-C")
	o.Register(c, "json")
	return c
}

// showEvent prints a line an event, also as JSON.
func (s *session) showEvent(e *heliosv1.Event, o output.Format) error {
	if o.Word == "json" {
		j, err := output.Object("time", show.Moment(e.GetTime()), "type", e.GetType(), "node", e.GetNodeId(), "generation", show.GenerationOf(e.GetGeneration()), "message", e.GetMessage()).MarshalJSON()
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(s.Out, "%s\n", j)
		return err
	}
	_, err := fmt.Fprintf(s.Out, "%s  %-10s  %-16s  %-6s  %s\n", e.GetTime().AsTime().In(s.Now().Location()).Format("2006-01-02 15:04:05.000"),
		e.GetType(), cmp.Or(e.GetNodeId(), "-"), show.Generation(e.GetGeneration()), e.GetMessage())
	return err
}
