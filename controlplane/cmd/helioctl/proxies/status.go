package proxies

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/proto"

	"github.com/heliosproxy/heliosproxy/controlplane/cmd/helioctl/exit"
	"github.com/heliosproxy/heliosproxy/controlplane/cmd/helioctl/output"
	"github.com/heliosproxy/heliosproxy/controlplane/cmd/helioctl/show"
	"github.com/heliosproxy/heliosproxy/controlplane/cmd/helioctl/table"
	"github.com/heliosproxy/heliosproxy/pkg/manifest"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// picture is the fleet at one moment.
type picture struct {
	nodes      []*heliosv1.FleetNode
	generation *heliosv1.Generation
	hash       string
}

// pictures yields pictures of the fleet until the stream ends or yield returns an error.
func pictures(ctx context.Context, client heliosv1.AdminServiceClient, r *heliosv1.GetFleetRequest, yield func(picture) error) error {
	stream, err := client.GetFleet(ctx, r)
	if err != nil {
		return err
	}
	var p picture
	for {
		m, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		p.nodes = append(p.nodes, m.GetNodes()...)
		if m.GetMore() {
			continue
		}
		p.generation, p.hash = m.GetGeneration(), m.GetHash()
		if err := yield(p); err != nil {
			return err
		}
		p = picture{}
	}
}

// Watch yields proxies, one or all, as the control plane sees them: once, or whenever something has changed until the stream ends or yield
// returns an error. One that the control plane does not know is not yielded.
func Watch(ctx context.Context, client heliosv1.AdminServiceClient, r *heliosv1.GetFleetRequest, yield func(*heliosv1.FleetNode) error) error {
	return pictures(ctx, client, r, func(p picture) error {
		for _, n := range p.nodes {
			if err := yield(n); err != nil {
				return err
			}
		}
		return nil
	})
}

// StatusCommand is `helioctl fleet status`.
func (w World) StatusCommand() *cobra.Command {
	var o output.Format
	var watch bool
	c := &cobra.Command{
		Use: "status", Short: "Show what each proxy runs and how it is", Args: exit.Args(cobra.NoArgs),
		Long: `Show what each proxy runs and how it is. With --watch a terminal is drawn anew after each change; elsewhere a line comes for
each proxy that has changed, or, with -o, all of it.`,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := o.Check("json", "yaml", "name"); err != nil {
				return err
			}
			client, err := w.Dial()
			if err != nil {
				return err
			}
			if watch {
				return w.watchFleet(c.Context(), client, o)
			}
			ctx, stop := w.Bounded(c)
			defer stop()
			return pictures(ctx, client, &heliosv1.GetFleetRequest{}, func(p picture) error { return showFleet(w.Out, p, o, w.Now()) })
		},
	}
	c.Flags().BoolVarP(&watch, "watch", "w", false, "go on, until Ctrl-C")
	o.Register(c, "json", "yaml", "name")
	return c
}

// watchFleet shows the fleet until ctx ends.
func (w World) watchFleet(ctx context.Context, client heliosv1.AdminServiceClient, o output.Format) error {
	var last picture
	var lines changedLines
	draw := o.Word == "" && w.Terminal()
	err := pictures(ctx, client, &heliosv1.GetFleetRequest{Watch: true}, func(p picture) error {
		switch {
		case draw:
			var b strings.Builder
			b.WriteString("\x1b[H\x1b[2J")
			if err := showFleet(&b, p, o, w.Now()); err != nil {
				return err
			}
			_, err := io.WriteString(w.Out, b.String())
			return err
		case o.Word == "":
			return lines.show(w.Out, p, w.Now())
		case p.same(last):
			return nil
		}
		last = p
		return showFleet(w.Out, p, o, w.Now())
	})
	if ctx.Err() != nil {
		return nil // Ctrl-C is how one leaves
	}
	return err
}

// same says whether two pictures differ in nothing but when proxies were heard of.
func (p picture) same(q picture) bool {
	if !proto.Equal(p.generation, q.generation) || p.hash != q.hash || len(p.nodes) != len(q.nodes) {
		return false
	}
	for i, n := range p.nodes {
		a, b := proto.Clone(n).(*heliosv1.FleetNode), proto.Clone(q.nodes[i]).(*heliosv1.FleetNode)
		a.LastSeen, b.LastSeen = nil, nil
		if !proto.Equal(a, b) {
			return false
		}
	}
	return true
}

func showFleet(w io.Writer, p picture, o output.Format, now time.Time) error {
	switch o.Word {
	case "name":
		for _, n := range p.nodes {
			fmt.Fprintln(w, n.GetNodeId())
		}
		return nil
	case "json", "yaml":
		nodes := []any{}
		for _, n := range p.nodes {
			nodes = append(nodes, fleetNode(n))
		}
		return o.Print(w, output.Object("generation", show.GenerationOf(p.generation), "hash", p.hash, "nodes", nodes))
	}
	fmt.Fprintf(w, "Current generation %s, hash %s\n\n", show.Generation(p.generation), cmp.Or(p.hash, "-"))
	if len(p.nodes) == 0 {
		_, err := fmt.Fprintln(w, "No proxy has come yet: heliosproxy dataplane --control-plane …")
		return err
	}
	rows := [][]string{fleetHeads()}
	for _, n := range p.nodes {
		rows = append(rows, fleetRow(n, now))
	}
	return table.Print(w, rows)
}

func fleetHeads() []string {
	return []string{"NODE", "STATE", "GENERATION", "SOURCE", "READY", "VERSION", "AGE", "SEEN", "CLIENTS", "SERVERS", "LAST ERROR"}
}

func fleetRow(n *heliosv1.FleetNode, now time.Time) []string {
	ready := "yes"
	if !n.GetReady() {
		ready = "no"
	}
	return []string{
		n.GetNodeId(), manifest.Word(n.GetState()), show.Generation(n.GetGeneration()), cmp.Or(manifest.Word(n.GetSource()), "-"), ready, n.GetBuild(),
		table.Age(now, n.GetSince()), table.Age(now, n.GetLastSeen()), fmt.Sprint(n.GetClients()), fmt.Sprint(n.GetServers()), lastError(n),
	}
}

// changedLines is a table that grows by the proxies that have changed.
type changedLines struct {
	widths table.Widths
	last   map[string]string // what was shown of a proxy
}

func (l *changedLines) show(w io.Writer, p picture, now time.Time) error {
	var rows [][]string
	if l.last == nil {
		l.last = map[string]string{}
		rows = [][]string{fleetHeads()}
	}
	for _, n := range p.nodes {
		row := fleetRow(n, now)
		// How old it is and how much it does changes always.
		what := strings.Join(append(row[:6:6], row[len(row)-1]), "\x00")
		if l.last[n.GetNodeId()] != what {
			l.last[n.GetNodeId()] = what
			rows = append(rows, row)
		}
	}
	return l.widths.Print(w, rows)
}
