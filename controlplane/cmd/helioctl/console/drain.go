package console

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/heliosproxy/heliosproxy/controlplane/cmd/helioctl/exit"
	"github.com/heliosproxy/heliosproxy/controlplane/cmd/helioctl/output"
	"github.com/heliosproxy/heliosproxy/controlplane/cmd/helioctl/proxies"
	"github.com/heliosproxy/heliosproxy/controlplane/cmd/helioctl/table"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

func (w World) drainCommand() *cobra.Command {
	var o output.Format
	var yes bool
	c := &cobra.Command{
		Use: "drain PROXY", Short: "End a proxy, each session when no transaction is open",
		Long: `End a proxy: it stops listening, ends each session when no transaction is open, proxy.drain_rate of them a second, and then its
process. What is left after its drain timeout is cut off. It is the console's command SHUTDOWN WAIT_FOR_SERVERS, and what SIGTERM does.
The command returns when the proxy is gone. Where that takes longer than --timeout, and where it is interrupted, the proxy goes on ending.`,
		Args: exit.Args(cobra.ExactArgs(1)), ValidArgsFunction: w.CompleteProxy,
		RunE: func(c *cobra.Command, given []string) error {
			if err := o.Check("json"); err != nil {
				return err
			}
			return w.drain(c, given[0], yes, o)
		},
	}
	c.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask whether it is meant")
	o.Register(c, "json")
	return c
}

// drain ends a proxy and waits until it is gone.
func (w World) drain(c *cobra.Command, name string, yes bool, o output.Format) error {
	client, err := w.Dial()
	if err != nil {
		return err
	}
	before, err := w.look(c.Context(), client, name)
	if err != nil {
		return err
	}
	if !before.GetConnected() {
		return exit.Unreachable(fmt.Errorf("proxy %q is not connected", name))
	}
	if !yes {
		if err := w.confirm(c, before); err != nil {
			return err
		}
	}
	ctx, stop := context.WithTimeout(c.Context(), w.Timeout())
	defer stop()
	said, lost := run(ctx, client, Target{nodes: []string{name}}, "SHUTDOWN WAIT_FOR_SERVERS", w.Timeout())
	if lost != nil && !said.begun {
		return lost
	}
	var code exit.Silent
	if errors.As(said.exit(), &code) && code.Code != exit.CodeUnknown {
		return errors.Join(said.PrintErrors(w.Err), code)
	}
	// One that ends at once may not come to answer: that it is gone says it, too.
	d := &draining{before: before, last: before}
	err = d.await(ctx, client)
	return w.drained(d, err, o)
}

// look is a proxy as the control plane sees it now.
func (w World) look(ctx context.Context, client heliosv1.AdminServiceClient, name string) (found *heliosv1.FleetNode, err error) {
	ctx, stop := context.WithTimeout(ctx, w.Timeout())
	defer stop()
	err = proxies.Watch(ctx, client, &heliosv1.GetFleetRequest{NodeId: name}, func(n *heliosv1.FleetNode) error { found = n; return nil })
	return found, err
}

// confirm asks whether it is meant.
func (w World) confirm(c *cobra.Command, n *heliosv1.FleetNode) error {
	if f, ok := w.In.(*os.File); !ok || !term.IsTerminal(int(f.Fd())) {
		return exit.Usage(errors.New("there is no terminal to ask at whether it is meant: --yes says so"), c.CommandPath())
	}
	said := make(chan bool, 1)
	go func() {
		said <- confirmed(w.In, w.Err, fmt.Sprintf("End proxy %s, which has %d clients?", table.Plain(n.GetNodeId()), n.GetClients()))
	}()
	select {
	case yes := <-said:
		if yes {
			return nil
		}
	case <-c.Context().Done():
		fmt.Fprintln(w.Err)
	}
	return exit.Refused(errors.New("nothing was done"))
}

// confirmed asks a question that only yes answers.
func confirmed(in io.Reader, out io.Writer, question string) bool {
	fmt.Fprintf(out, "%s [y/N] ", question)
	line, _ := bufio.NewReader(in).ReadString('\n') // without an answer there is none
	line = strings.ToLower(strings.TrimSpace(line))
	return line == "y" || line == "yes"
}

// draining is a proxy that ends.
type draining struct {
	before, last *heliosv1.FleetNode
	again        bool // another process runs under its name
}

// againAfter is how long there is no look at a proxy after the control plane was lost.
const againAfter = 200 * time.Millisecond

var errGone = errors.New("the proxy is gone")

// await returns nil when the process that was there is gone, or why that is not known.
func (d *draining) await(ctx context.Context, client heliosv1.AdminServiceClient) error {
	for lost := false; ; lost = true {
		err := proxies.Watch(ctx, client, &heliosv1.GetFleetRequest{NodeId: d.before.GetNodeId(), Watch: true}, func(n *heliosv1.FleetNode) error {
			lost = false
			if !n.GetConnected() {
				return errGone
			}
			if a, b := d.before.GetStarted(), n.GetStarted(); a != nil && b != nil && !proto.Equal(a, b) {
				d.again = true
				return errGone
			}
			d.last = n
			return nil
		})
		switch {
		case errors.Is(err, errGone):
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case status.Code(err) == codes.DeadlineExceeded: // the other side's clock was first
			return context.DeadlineExceeded
		case lost && d.before.GetSource() == heliosv1.Source_SOURCE_FILE:
			return nil // who was asked is the proxy itself
		case lost:
			return cmp.Or(err, io.ErrUnexpectedEOF)
		}
		select {
		case <-ctx.Done():
		case <-time.After(againAfter):
		}
	}
}

// drained says what has become of a proxy; err is that of await.
func (w World) drained(d *draining, err error, o output.Format) error {
	name, left := table.Plain(d.before.GetNodeId()), d.last.GetClients()
	if o.Word != "" {
		if err := o.Print(w.Out, output.Object("proxy", d.before.GetNodeId(), "gone", err == nil, "started_again", d.again, "clients", clientsLeft(err, left))); err != nil {
			return err
		}
	}
	switch {
	case err == nil && o.Word != "":
		return nil
	case err == nil && d.again:
		_, err = fmt.Fprintf(w.Out, "%s: drained; another process runs under its name since\n", name)
		return err
	case err == nil:
		_, err = fmt.Fprintf(w.Out, "%s: drained\n", name)
		return err
	}
	words := "the control plane is lost: "
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		words = ""
	case errors.Is(err, context.Canceled):
		words = "interrupted: "
	}
	fmt.Fprintf(w.Err, "helioctl: %sproxy %q is still draining, of its clients %d were there when it was last heard of\n", words, name, left)
	return exit.Silently(exit.CodeUnknown)
}

func clientsLeft(err error, last uint32) uint32 {
	if err == nil {
		return 0
	}
	return last
}
