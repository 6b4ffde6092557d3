package report_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/heliosproxy/heliosproxy/dataplane/report"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// wanted asks for a command.
func wanted(id uint64, text string, patience time.Duration) *heliosv1.StreamStatusResponse {
	return &heliosv1.StreamStatusResponse{Message: &heliosv1.StreamStatusResponse_CommandWanted{
		CommandWanted: &heliosv1.CommandWanted{Id: id, Text: text, Patience: durationpb.New(patience)},
	}}
}

func givenUp(id uint64) *heliosv1.StreamStatusResponse {
	return &heliosv1.StreamStatusResponse{Message: &heliosv1.StreamStatusResponse_CommandGivenUp{CommandGivenUp: &heliosv1.CommandGivenUp{Id: id}}}
}

// results are the results among what a proxy has said, in words, and reports.
func results(said []*heliosv1.StreamStatusRequest) string {
	var words []string
	for _, m := range said {
		switch r := m.GetCommandResult(); {
		case r == nil:
			words = append(words, "report")
		case r.GetBegun():
			words = append(words, fmt.Sprintf("%d begun", r.GetId()))
		default:
			a := r.GetAnswer()
			words = append(words, strings.TrimSpace(fmt.Sprintf("%d %s%s", r.GetId(), a.GetTag(), a.GetFailure().GetSqlstate())))
		}
	}
	return strings.Join(words, ", ")
}

// holding is a command that waits for its end.
func holding(ctx context.Context, text string) *report.Outcome {
	if text == "quick" {
		return &report.Outcome{Tag: "QUICK"}
	}
	<-ctx.Done()
	return &report.Outcome{Failure: &heliosv1.CommandFailure{Sqlstate: "57014", Message: ctx.Err().Error()}}
}

// TestCommand carries out commands beside each other and beside reports, and ends those that are given up, or take too long.
func TestCommand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, x := run(t)
		x.command = holding
		p.heard()
		say := func(what *heliosv1.StreamStatusResponse, want string) {
			t.Helper()
			p.in <- what
			if got := results(p.heard()); got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		}
		say(wanted(1, "long", 0), "1 begun")
		say(wanted(2, "quick", 0), "2 begun, 2 QUICK")
		x.change("b")
		if got := results(p.heard()); got != "report" {
			t.Errorf("a command holds reports up: %q", got)
		}
		say(givenUp(1), "1 57014")
		say(givenUp(1), "")
		say(wanted(3, "long", time.Second), "3 begun")
		pass(time.Second)
		if got := results(p.heard()); got != "3 57014" {
			t.Errorf("after its time: %q", got)
		}
		for id := range uint64(8) {
			say(wanted(10+id, "long", 0), fmt.Sprintf("%d begun", 10+id))
		}
		say(wanted(20, "quick", 0), "20 53300")
		say(givenUp(12), "12 57014")
		say(wanted(12, "quick", 0), "12 begun, 12 QUICK")
	})
}

// TestCommandsEnd ends what is under way when the stream does.
func TestCommandsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, x := run(t)
		ended := make(chan error, 1)
		x.command = func(ctx context.Context, _ string) *report.Outcome {
			<-ctx.Done()
			ended <- ctx.Err()
			return &report.Outcome{Tag: "LATE"}
		}
		p.heard()
		p.in <- wanted(1, "PAUSE", 0)
		p.heard()
		p.end <- fmt.Errorf("the control plane is gone")
		pass(10 * time.Second)
		if err := <-ended; err == nil {
			t.Error("the command goes on")
		}
		if got := results(p.heard()); strings.Contains(got, "LATE") || !strings.HasPrefix(got, "report") {
			t.Errorf("the next stream has %q", got)
		}
	})
}

// TestCommandParts sends many rows in parts that are small enough.
func TestCommandParts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, x := run(t)
		const rows = 3000
		x.command = func(context.Context, string) *report.Outcome {
			return &report.Outcome{Columns: []*heliosv1.Column{{Name: "n", Type: 23}}, Tag: "SHOW", Rows: func(yield func(*heliosv1.Row) bool) {
				for i := range rows {
					if !yield(&heliosv1.Row{Values: [][]byte{fmt.Appendf(nil, "%01000d", i)}}) {
						return
					}
				}
			}}
		}
		p.heard()
		p.in <- wanted(7, "SHOW", 0)
		parts := p.heard()[1:]
		if len(parts) < 3 {
			t.Fatalf("%d parts", len(parts))
		}
		n := 0
		for i, m := range parts {
			a := m.GetCommandResult().GetAnswer()
			if size := proto.Size(m); size >= 1<<20 {
				t.Errorf("part %d has %d bytes", i, size)
			}
			if last := i == len(parts)-1; a.GetLast() != last || (a.GetTag() == "SHOW") != last || (a.GetColumns() != nil) != (i == 0) {
				t.Errorf("part %d of %d is %.100v", i, len(parts), a)
			}
			for _, r := range a.GetRows() {
				if got, want := string(r.GetValues()[0]), fmt.Sprintf("%01000d", n); got != want {
					t.Fatalf("row %d is %s", n, got)
				}
				n++
			}
		}
		if n != rows {
			t.Errorf("%d rows of %d", n, rows)
		}
	})
}
