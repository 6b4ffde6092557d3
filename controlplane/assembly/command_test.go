package assembly_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/heliosproxy/heliosproxy/controlplane/assembly"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// report has a proxy come that answers commands as play says, until the test ends.
func (p *plane) report(t *testing.T, node, group string, play func(*heliosv1.CommandWanted) []*heliosv1.CommandResult) (gone context.CancelFunc) {
	t.Helper()
	ctx, gone := context.WithCancel(t.Context())
	s, err := p.StreamStatus(ctx)
	if err == nil {
		err = s.Send(&heliosv1.StreamStatusRequest{Message: &heliosv1.StreamStatusRequest_Report{Report: &heliosv1.StatusReport{NodeId: node, Group: group}}})
	}
	if err == nil {
		_, err = s.Recv()
	}
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			m, err := s.Recv()
			if err != nil {
				return
			}
			if m.GetCommandWanted() == nil {
				continue
			}
			for _, r := range play(m.GetCommandWanted()) {
				r.Id = m.GetCommandWanted().GetId()
				if s.Send(&heliosv1.StreamStatusRequest{Message: &heliosv1.StreamStatusRequest_CommandResult{CommandResult: r}}) != nil {
					return
				}
			}
		}
	}()
	t.Cleanup(func() { gone(); <-ended })
	return gone
}

// command runs a command and returns what each proxy says, in words, by name.
func (p *plane) command(t *testing.T, r *heliosv1.RunCommandRequest) (string, error) {
	t.Helper()
	s, err := p.RunCommand(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	var said []string
	for {
		m, err := s.Recv()
		if errors.Is(err, io.EOF) {
			slices.Sort(said)
			return strings.Join(said, "; "), nil
		}
		if err != nil {
			return "", err
		}
		said = append(said, strings.TrimSpace(fmt.Sprintf("%s %s%s", m.GetNodeId(), m.GetAnswer().GetTag(), m.GetUnasked())))
	}
}

// TestRunCommand hands commands to proxies, where nothing may be written too: to those that are meant, at the same time. What changes
// something is an event.
func TestRunCommand(t *testing.T) {
	p := start(t, assembly.Memory(), func(o *assembly.Options) { o.ReadOnly = "a file says what is" })
	met := make(chan struct{}) // both are asked before one answers
	answer := func(meets bool) func(*heliosv1.CommandWanted) []*heliosv1.CommandResult {
		return func(w *heliosv1.CommandWanted) []*heliosv1.CommandResult {
			if w.GetText() == "PAUSE" && meets {
				met <- struct{}{}
			} else if w.GetText() == "PAUSE" {
				<-met
			}
			return []*heliosv1.CommandResult{{Begun: true}, {Answer: &heliosv1.CommandAnswer{Tag: w.GetText() + " " + fmt.Sprint(w.GetPatience().AsDuration()), Last: true}}}
		}
	}
	if _, err := p.command(t, &heliosv1.RunCommandRequest{Text: "SHOW POOLS"}); status.Code(err) != codes.NotFound {
		t.Errorf("without a proxy: %v", err)
	}
	gone := p.report(t, "a", "web", answer(true))
	p.report(t, "b", "jobs", answer(false))
	for _, tt := range []struct {
		r    *heliosv1.RunCommandRequest
		want string
	}{
		{&heliosv1.RunCommandRequest{Text: "SHOW POOLS"}, "a SHOW POOLS 30s; b SHOW POOLS 30s"},
		{&heliosv1.RunCommandRequest{Text: "PAUSE", Patience: durationpb.New(time.Minute)}, "a PAUSE 1m0s; b PAUSE 1m0s"},
		{&heliosv1.RunCommandRequest{Text: "RESUME", Group: "jobs"}, "b RESUME 30s"},
		{&heliosv1.RunCommandRequest{Text: "RESUME", Nodes: []string{"c", "a", "a"}}, `a RESUME 30s; c no proxy "c" is known here`},
	} {
		if got, err := p.command(t, tt.r); err != nil || got != tt.want {
			t.Errorf("%v: %s (%v), want %s", tt.r, got, err, tt.want)
		}
	}
	for what, r := range map[string]*heliosv1.RunCommandRequest{
		"no text": {Text: " "}, "much text": {Text: strings.Repeat("x", 5000)}, "both": {Text: "RESUME", Nodes: []string{"a"}, Group: "web"},
		"much patience": {Text: "RESUME", Patience: durationpb.New(25 * time.Hour)}, "less than none": {Text: "RESUME", Patience: durationpb.New(-1)},
	} {
		if _, err := p.command(t, r); status.Code(err) != codes.InvalidArgument {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := p.command(t, &heliosv1.RunCommandRequest{Text: "RESUME", Group: "none"}); status.Code(err) != codes.NotFound {
		t.Errorf("a group without proxies: %v", err)
	}
	gone()
	for {
		got, err := p.command(t, &heliosv1.RunCommandRequest{Text: "RESUME", Nodes: []string{"a"}})
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(got, `a proxy "a" is not connected, it was seen last at `) {
			break
		}
	}
	s, err := p.ListEvents(t.Context(), &heliosv1.ListEventsRequest{})
	if err != nil {
		t.Fatal(err)
	}
	var notes []string
	for {
		m, err := s.Recv()
		if err != nil {
			break
		}
		for _, e := range m.GetEvents() {
			if e.GetType() == "command" {
				notes = append(notes, e.GetNodeId()+": "+e.GetMessage())
			}
		}
	}
	want := []string{": PAUSE by local, to a, b", "b: RESUME by local, to b", ": RESUME by local, to a, c"}
	if len(notes) < 4 || !slices.Equal(notes[:3], want) {
		t.Errorf("events: %q", notes)
	}
}
