package command

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/heliosproxy/heliosproxy/controlplane/cmd/helioctl/output"
	"github.com/heliosproxy/heliosproxy/controlplane/cmd/helioctl/table"
	"github.com/heliosproxy/heliosproxy/pkg/manifest"
	"github.com/heliosproxy/heliosproxy/pkg/release"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

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
	return fmt.Sprintf("refused generation %s at stage %s: %s", generation(r.GetGeneration()), manifest.Word(r.GetStage()), strings.Join(faults(r.GetFaults()), "; "))
}

// fleetNode is a proxy for programs.
func fleetNode(n *heliosv1.FleetNode) any {
	var rejection any
	if r := n.GetRejection(); r != nil {
		all := []any{}
		for _, f := range r.GetFaults() {
			all = append(all, output.Object("kind", f.GetKind(), "name", f.GetName(), "field", yamlName(f.GetKind(), f.GetField()), "reason", f.GetReason()))
		}
		rejection = output.Object("generation", generationOf(r.GetGeneration()), "hash", r.GetHash(), "stage", manifest.Word(r.GetStage()), "faults", all)
	}
	warnings, listeners := []string{}, map[string]string{}
	warnings = append(warnings, n.GetWarnings()...)
	maps.Copy(listeners, n.GetListeners())
	return output.Object(
		"node", n.GetNodeId(), "group", n.GetGroup(), "version", n.GetBuild(), "state", manifest.Word(n.GetState()),
		"generation", generationOf(n.GetGeneration()), "hash", n.GetHash(), "source", manifest.Word(n.GetSource()), "since", moment(n.GetSince()),
		"started", moment(n.GetStarted()), "lastSeen", moment(n.GetLastSeen()), "connected", n.GetConnected(), "ready", n.GetReady(), "reason", n.GetReason(),
		"rejection", rejection, "warnings", warnings, "listeners", listeners, "clients", n.GetClients(), "servers", n.GetServers(),
	)
}

// completeNode completes the names of proxies.
func (s *session) completeNode(c *cobra.Command, given []string, _ string) ([]string, cobra.ShellCompDirective) {
	client, err := s.dial()
	if err != nil || len(given) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	ctx, stop := s.bounded(c)
	defer stop()
	var names []string
	_ = pictures(ctx, client, &heliosv1.GetFleetRequest{}, func(p picture) error { // without an answer there is nothing to complete
		for _, n := range p.nodes {
			names = append(names, n.GetNodeId())
		}
		return nil
	})
	return names, cobra.ShellCompDirectiveNoFileComp
}

func (s *session) nodeConfigCommand() *cobra.Command {
	var o output.Format
	c := &cobra.Command{
		Use: "config NODE", Short: "Show what a proxy really runs: it is asked itself", Args: args(cobra.ExactArgs(1)),
		ValidArgsFunction: s.completeNode,
		RunE: func(c *cobra.Command, given []string) error {
			if err := o.Check("json", "yaml"); err != nil {
				return err
			}
			client, err := s.dial()
			if err != nil {
				return err
			}
			ctx, stop := s.bounded(c)
			defer stop()
			stream, err := client.GetNodeConfig(ctx, &heliosv1.GetNodeConfigRequest{NodeId: given[0]})
			if err != nil {
				return err
			}
			var about *heliosv1.GetNodeConfigResponse
			var all []*heliosv1.Resource
			for {
				m, err := stream.Recv()
				if ended(err) {
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
			return s.showNodeConfig(given[0], about, all, o)
		},
	}
	o.Register(c, "json", "yaml")
	return c
}

func (s *session) showNodeConfig(name string, about *heliosv1.GetNodeConfigResponse, all []*heliosv1.Resource, o output.Format) error {
	if o.Word == "" {
		rows := [][]string{
			{"Node:", name},
			{"Generation:", generation(about.GetGeneration())},
			{"Hash:", first(about.GetHash(), "-")},
			{"Source:", first(manifest.Word(about.GetSource()), "-")},
			{"Since:", fmt.Sprint(first(fmt.Sprint(moment(about.GetSince())), "-"))},
		}
		if err := table.Print(s.Out, rows); err != nil {
			return err
		}
		fmt.Fprintln(s.Out)
		for _, r := range all {
			r.Revision = 0
		}
		return s.tables(all, "", false)
	}
	items := []any{}
	for _, r := range all {
		n, err := node(r)
		if err != nil {
			return err
		}
		items = append(items, manifest.JSON(n))
	}
	return o.Print(s.Out, output.Object("node", name, "generation", generationOf(about.GetGeneration()), "hash", about.GetHash(),
		"source", manifest.Word(about.GetSource()), "since", moment(about.GetSince()), "resources", items))
}

func (s *session) describeCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "describe KIND NAME | proxy NODE",
		Short: "Show everything about a resource, or about a proxy",
		Args:  args(cobra.RangeArgs(1, 2)),
		ValidArgsFunction: func(c *cobra.Command, given []string, to string) ([]string, cobra.ShellCompDirective) {
			if len(given) == 1 && given[0] == "proxy" {
				return s.completeNode(c, nil, to)
			}
			words, d := s.completeKind(c, given, to)
			if len(given) == 0 {
				words = append(words, "proxy")
			}
			return words, d
		},
		RunE: func(c *cobra.Command, given []string) error {
			client, err := s.dial()
			if err != nil {
				return err
			}
			ctx, stop := s.bounded(c)
			defer stop()
			if given[0] == "proxy" && len(given) == 2 {
				return s.describeProxy(ctx, client, given[1])
			}
			kind, name, err := oneTarget(given, "helioctl describe")
			if err != nil {
				return err
			}
			return s.describe(ctx, client, kind, name)
		},
	}
	return c
}

func (s *session) describeProxy(ctx context.Context, client heliosv1.AdminServiceClient, name string) error {
	return pictures(ctx, client, &heliosv1.GetFleetRequest{NodeId: name}, func(p picture) error {
		now := s.Now()
		for _, n := range p.nodes {
			rows := [][]string{
				{"Proxy:", n.GetNodeId()},
				{"Group:", n.GetGroup()},
				{"Version:", n.GetBuild()},
				{"State:", manifest.Word(n.GetState())},
				{"Generation:", fmt.Sprintf("%s (current: %s)", generation(n.GetGeneration()), generation(p.generation))},
				{"Hash:", n.GetHash()},
				{"Source:", first(manifest.Word(n.GetSource()), "-")},
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
			if err := table.Print(s.Out, rows); err != nil {
				return err
			}
			for _, l := range slices.Sorted(maps.Keys(n.GetListeners())) {
				fmt.Fprintf(s.Out, "Listener %s at %s\n", l, n.GetListeners()[l])
			}
			for _, w := range n.GetWarnings() {
				fmt.Fprintf(s.Out, "Warning: %s\n", w)
			}
			if r := n.GetRejection(); r != nil {
				fmt.Fprintf(s.Out, "It has refused generation %s at stage %s:\n%s\n", generation(r.GetGeneration()), manifest.Word(r.GetStage()), indent(strings.Join(faults(r.GetFaults()), "\n")))
			}
		}
		return nil
	})
}

// describe shows a resource, who refers to it, and which proxies have refused it.
func (s *session) describe(ctx context.Context, client heliosv1.AdminServiceClient, kind, name string) error {
	all, err := listAll(ctx, client, kind, []string{name})
	if err != nil {
		return err
	}
	for _, r := range all {
		text, err := yamlOf(r)
		if err != nil {
			return err
		}
		fmt.Fprint(s.Out, text)
	}
	everything, err := listAll(ctx, client, "", nil)
	if err != nil {
		return err
	}
	if users := referring(everything, kind, name); len(users) > 0 {
		fmt.Fprintf(s.Out, "\nUsed by: %s\n", strings.Join(users, ", "))
	}
	return pictures(ctx, client, &heliosv1.GetFleetRequest{}, func(p picture) error {
		for _, n := range p.nodes {
			for _, f := range n.GetRejection().GetFaults() {
				if f.GetKind() == kind && f.GetName() == name {
					fmt.Fprintf(s.Out, "\nRefused by proxy %s, generation %s, stage %s: %s\n", n.GetNodeId(), generation(n.GetRejection().GetGeneration()), manifest.Word(n.GetRejection().GetStage()), fault(f))
				}
			}
			if a, ok := n.GetListeners()[name]; ok && kind == "Listener" {
				fmt.Fprintf(s.Out, "\nOpen on proxy %s at %s\n", n.GetNodeId(), a)
			}
		}
		return nil
	})
}

// referring are the resources that name another one in a field that is called like its kind: "pool_profile".
func referring(all []*heliosv1.Resource, kind, name string) []string {
	var users []string
	for _, r := range all {
		_, m, fault := release.Decode(r.GetItem())
		if fault != nil {
			continue
		}
		d := m.ProtoReflect()
		for i := range d.Descriptor().Fields().Len() {
			fd := d.Descriptor().Fields().Get(i)
			if strings.EqualFold(strings.ReplaceAll(string(fd.Name()), "_", ""), kind) && d.Get(fd).String() == name {
				users = append(users, lower(r.GetItem().GetKind())+"/"+r.GetItem().GetName())
			}
		}
	}
	return users
}
