// Package proxies is helioctl's commands that look at proxies: what each runs, and how it is. It never changes any.
package proxies

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/heliosproxy/heliosproxy/controlplane/cmd/helioctl/exit"
	"github.com/heliosproxy/heliosproxy/controlplane/cmd/helioctl/output"
	"github.com/heliosproxy/heliosproxy/controlplane/cmd/helioctl/show"
	"github.com/heliosproxy/heliosproxy/controlplane/cmd/helioctl/table"
	"github.com/heliosproxy/heliosproxy/pkg/manifest"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// World is what the commands see of the world.
type World struct {
	Dial func() (heliosv1.AdminServiceClient, error)
	// Bounded is a context that ends after --timeout.
	Bounded  func(*cobra.Command) (context.Context, context.CancelFunc)
	Out, Err io.Writer
	Now      func() time.Time
	// Terminal says whether somebody looks at Out.
	Terminal func() bool
}

// lastError is what is wrong with a proxy, on one line: what it has refused, why it is not ready, what it warns of.
func lastError(n *heliosv1.FleetNode) string {
	switch {
	case n.GetRejection() != nil:
		return rejected(n.GetRejection())
	case !n.GetReady() && n.GetReason() != "":
		return n.GetReason()
	case len(n.GetWarnings()) > 0:
		return strings.Join(n.GetWarnings(), "; ")
	}
	return "-"
}

func rejected(r *heliosv1.Rejection) string {
	return fmt.Sprintf("refused generation %s at stage %s: %s", show.Generation(r.GetGeneration()), manifest.Word(r.GetStage()), strings.Join(show.Faults(r.GetFaults()), "; "))
}

// fleetNode is a proxy for programs.
func fleetNode(n *heliosv1.FleetNode) any {
	var rejection any
	if r := n.GetRejection(); r != nil {
		all := []any{}
		for _, f := range r.GetFaults() {
			all = append(all, output.Object("kind", f.GetKind(), "name", f.GetName(), "field", show.FieldName(f.GetKind(), f.GetField()), "reason", f.GetReason()))
		}
		rejection = output.Object("generation", show.GenerationOf(r.GetGeneration()), "hash", r.GetHash(), "stage", manifest.Word(r.GetStage()), "faults", all)
	}
	warnings, listeners := []string{}, map[string]string{}
	warnings = append(warnings, n.GetWarnings()...)
	maps.Copy(listeners, n.GetListeners())
	return output.Object(
		"node", n.GetNodeId(), "group", n.GetGroup(), "version", n.GetBuild(), "state", manifest.Word(n.GetState()),
		"generation", show.GenerationOf(n.GetGeneration()), "hash", n.GetHash(), "source", manifest.Word(n.GetSource()), "since", show.Moment(n.GetSince()),
		"started", show.Moment(n.GetStarted()), "lastSeen", show.Moment(n.GetLastSeen()), "connected", n.GetConnected(), "ready", n.GetReady(), "reason", n.GetReason(),
		"rejection", rejection, "warnings", warnings, "listeners", listeners, "clients", n.GetClients(), "servers", n.GetServers(),
	)
}

// Complete completes the names of proxies.
func (w World) Complete(c *cobra.Command, given []string, _ string) ([]string, cobra.ShellCompDirective) {
	client, err := w.Dial()
	if err != nil || len(given) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	ctx, stop := w.Bounded(c)
	defer stop()
	nodes, _ := List(ctx, client) // without an answer there is nothing to complete
	var names []string
	for _, n := range nodes {
		names = append(names, n.GetNodeId())
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

// List returns the proxies.
func List(ctx context.Context, client heliosv1.AdminServiceClient) (nodes []*heliosv1.FleetNode, err error) {
	err = pictures(ctx, client, &heliosv1.GetFleetRequest{}, func(p picture) error { nodes = p.nodes; return nil })
	return nodes, err
}

// ConfigCommand is `helioctl node config`.
func (w World) ConfigCommand() *cobra.Command {
	var o output.Format
	c := &cobra.Command{
		Use: "config NODE", Short: "Show what a proxy really runs: it is asked itself", Args: exit.Args(cobra.ExactArgs(1)),
		ValidArgsFunction: w.Complete,
		RunE: func(c *cobra.Command, given []string) error {
			if err := o.Check("json", "yaml"); err != nil {
				return err
			}
			client, err := w.Dial()
			if err != nil {
				return err
			}
			ctx, stop := w.Bounded(c)
			defer stop()
			stream, err := client.GetNodeConfig(ctx, &heliosv1.GetNodeConfigRequest{NodeId: given[0]})
			if err != nil {
				return err
			}
			var about *heliosv1.GetNodeConfigResponse
			var all []*heliosv1.Resource
			for {
				m, err := stream.Recv()
				if errors.Is(err, io.EOF) {
					break
				}
				if err != nil {
					return err
				}
				if about == nil {
					about = m
				}
				for _, it := range m.GetItems() {
					all = append(all, &heliosv1.Resource{Item: it})
				}
			}
			return w.showNodeConfig(given[0], about, all, o)
		},
	}
	o.Register(c, "json", "yaml")
	return c
}

func (w World) showNodeConfig(name string, about *heliosv1.GetNodeConfigResponse, all []*heliosv1.Resource, o output.Format) error {
	if o.Word == "" {
		rows := [][]string{
			{"Node:", name},
			{"Generation:", show.Generation(about.GetGeneration())},
			{"Hash:", cmp.Or(about.GetHash(), "-")},
			{"Source:", cmp.Or(manifest.Word(about.GetSource()), "-")},
			{"Since:", fmt.Sprint(cmp.Or(fmt.Sprint(show.Moment(about.GetSince())), "-"))},
		}
		if err := table.Print(w.Out, rows); err != nil {
			return err
		}
		fmt.Fprintln(w.Out)
		for _, r := range all {
			r.Revision = 0
		}
		return show.Tables(w.Out, w.Err, all, "", false)
	}
	items := []any{}
	for _, r := range all {
		n, err := show.Node(r)
		if err != nil {
			return err
		}
		items = append(items, manifest.JSON(n))
	}
	return o.Print(w.Out, output.Object("node", name, "generation", show.GenerationOf(about.GetGeneration()), "hash", about.GetHash(),
		"source", manifest.Word(about.GetSource()), "since", show.Moment(about.GetSince()), "resources", items))
}

// Describe shows everything about a proxy.
func (w World) Describe(ctx context.Context, client heliosv1.AdminServiceClient, name string) error {
	return pictures(ctx, client, &heliosv1.GetFleetRequest{NodeId: name}, func(p picture) error {
		now := w.Now()
		for _, n := range p.nodes {
			rows := [][]string{
				{"Proxy:", n.GetNodeId()},
				{"Group:", n.GetGroup()},
				{"Version:", n.GetBuild()},
				{"State:", manifest.Word(n.GetState())},
				{"Generation:", fmt.Sprintf("%s (current: %s)", show.Generation(n.GetGeneration()), show.Generation(p.generation))},
				{"Hash:", n.GetHash()},
				{"Source:", cmp.Or(manifest.Word(n.GetSource()), "-")},
				{"In force for:", table.Age(now, n.GetSince())},
				{"Started:", table.Age(now, n.GetStarted()) + " ago"},
				{"Seen:", table.Age(now, n.GetLastSeen()) + " ago"},
				{"Ready:", fmt.Sprint(n.GetReady())},
				{"Clients:", fmt.Sprint(n.GetClients())},
				{"Servers:", fmt.Sprint(n.GetServers())},
			}
			if n.GetReason() != "" {
				rows = append(rows, []string{"Reason:", n.GetReason()})
			}
			if err := table.Print(w.Out, rows); err != nil {
				return err
			}
			for _, l := range slices.Sorted(maps.Keys(n.GetListeners())) {
				fmt.Fprintf(w.Out, "Listener %s at %s\n", l, n.GetListeners()[l])
			}
			for _, warning := range n.GetWarnings() {
				fmt.Fprintf(w.Out, "Warning: %s\n", warning)
			}
			if r := n.GetRejection(); r != nil {
				fmt.Fprintf(w.Out, "It has refused generation %s at stage %s:\n%s\n", show.Generation(r.GetGeneration()), manifest.Word(r.GetStage()), show.Indent(strings.Join(show.Faults(r.GetFaults()), "\n")))
			}
		}
		return nil
	})
}
