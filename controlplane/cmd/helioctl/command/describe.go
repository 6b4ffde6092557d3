package command

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/heliosproxy/heliosproxy/controlplane/cmd/helioctl/exit"
	"github.com/heliosproxy/heliosproxy/controlplane/cmd/helioctl/proxies"
	"github.com/heliosproxy/heliosproxy/controlplane/cmd/helioctl/show"
	"github.com/heliosproxy/heliosproxy/pkg/manifest"
	"github.com/heliosproxy/heliosproxy/pkg/release"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

func (s *session) describeCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "describe KIND NAME | proxy NODE",
		Short: "Show everything about a resource, or about a proxy",
		Args:  exit.Args(cobra.RangeArgs(1, 2)),
		ValidArgsFunction: func(c *cobra.Command, given []string, to string) ([]string, cobra.ShellCompDirective) {
			if len(given) == 1 && given[0] == "proxy" {
				return s.proxies().Complete(c, nil, to)
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
				return s.proxies().Describe(ctx, client, given[1])
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

// describe shows a resource, who refers to it, and which proxies have refused it.
func (s *session) describe(ctx context.Context, client heliosv1.AdminServiceClient, kind, name string) error {
	all, err := listAll(ctx, client, kind, []string{name})
	if err != nil {
		return err
	}
	for _, r := range all {
		text, err := show.YAML(r)
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
	nodes, err := proxies.List(ctx, client)
	if err != nil {
		return err
	}
	for _, n := range nodes {
		r := n.GetRejection()
		for _, f := range r.GetFaults() {
			if f.GetKind() == kind && f.GetName() == name {
				fmt.Fprintf(s.Out, "\nRefused by proxy %s, generation %s, stage %s: %s\n", n.GetNodeId(), show.Generation(r.GetGeneration()), manifest.Word(r.GetStage()), show.Fault(f))
			}
		}
		if a, ok := n.GetListeners()[name]; ok && kind == "Listener" {
			fmt.Fprintf(s.Out, "\nOpen on proxy %s at %s\n", n.GetNodeId(), a)
		}
	}
	return nil
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
