package fleet_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"

	"github.com/heliosproxy/heliosproxy/controlplane/fleet"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// stream is a status stream without gRPC in between: the server's side of it.
type stream struct {
	grpc.ServerStream
	ctx      context.Context
	in       chan *heliosv1.StreamStatusRequest
	out      chan *heliosv1.StreamStatusResponse
	finished chan error
}

func (s *stream) Context() context.Context { return s.ctx }

func (s *stream) Recv() (*heliosv1.StreamStatusRequest, error) {
	select {
	case m, ok := <-s.in:
		if !ok {
			return nil, io.EOF
		}
		return m, nil
	case <-s.ctx.Done():
		return nil, s.ctx.Err()
	}
}

func (s *stream) Send(m *heliosv1.StreamStatusResponse) error {
	select {
	case s.out <- m:
		return nil
	case <-s.ctx.Done():
		return s.ctx.Err()
	}
}

// open has a proxy come.
func open(t *testing.T, f *fleet.Fleet, node string) *stream {
	s := &stream{
		ctx: t.Context(), in: make(chan *heliosv1.StreamStatusRequest), out: make(chan *heliosv1.StreamStatusResponse, 100), finished: make(chan error, 1),
	}
	go func() { s.finished <- f.StreamStatus(s) }()
	s.in <- &heliosv1.StreamStatusRequest{Message: &heliosv1.StreamStatusRequest_Report{Report: &heliosv1.StatusReport{NodeId: node}}}
	if (<-s.out).GetSettings() == nil {
		t.Error("the first message has no settings")
	}
	return s
}

// close has the proxy go.
func (s *stream) close() {
	close(s.in)
	<-s.finished
}

// asked is the command that the proxy is to carry out.
func (s *stream) asked() *heliosv1.CommandWanted { return (<-s.out).GetCommandWanted() }

// result says something to a command.
func (s *stream) result(r *heliosv1.CommandResult) {
	s.in <- &heliosv1.StreamStatusRequest{Message: &heliosv1.StreamStatusRequest_CommandResult{CommandResult: r}}
}

func (s *stream) answer(id uint64, tag string, last bool) {
	s.result(&heliosv1.CommandResult{Id: id, Answer: &heliosv1.CommandAnswer{Tag: tag, Last: last}})
}

// command asks, in a goroutine of its own.
func command(ctx context.Context, f *fleet.Fleet, node string, took func(*heliosv1.CommandAnswer) error) <-chan error {
	ended := make(chan error, 1)
	go func() {
		ended <- f.Command(ctx, node, fleet.Command{Text: "PAUSE", Actor: "ann", Patience: time.Minute}, took)
	}()
	return ended
}

func bubble(t *testing.T, test func(t *testing.T, f *fleet.Fleet)) {
	synctest.Test(t, func(t *testing.T) {
		test(t, fleet.New(fleet.Options{Event: func(*heliosv1.Event) {}, Now: time.Now}))
	})
}

// TestCommand asks proxies for commands: two at the same time, whose answers come in any order.
func TestCommand(t *testing.T) {
	bubble(t, func(t *testing.T, f *fleet.Fleet) {
		s := open(t, f, "a")
		defer s.close()
		var first, second []string
		one := command(t.Context(), f, "a", func(a *heliosv1.CommandAnswer) error { first = append(first, a.GetTag()); return nil })
		x := s.asked()
		if x.GetText() != "PAUSE" || x.GetActor() != "ann" || x.GetPatience().AsDuration() != time.Minute {
			t.Errorf("the proxy is asked for %v", x)
		}
		two := command(t.Context(), f, "a", func(a *heliosv1.CommandAnswer) error { second = append(second, a.GetTag()); return nil })
		y := s.asked()
		s.result(&heliosv1.CommandResult{Id: x.GetId(), Begun: true})
		s.result(&heliosv1.CommandResult{Id: y.GetId(), Begun: true})
		<-time.After(30 * time.Second / 4) // as long as it takes
		s.answer(y.GetId(), "y1", false)
		s.answer(x.GetId(), "x1", true)
		s.answer(x.GetId(), "of nobody", true)
		s.answer(y.GetId(), "y2", true)
		if err := errors.Join(<-one, <-two); err != nil || strings.Join(first, " ") != "x1" || strings.Join(second, " ") != "y1 y2" {
			t.Errorf("%v: %v, %v", err, first, second)
		}
	})
}

// TestCommandUnanswered tells apart why there is no answer.
func TestCommandUnanswered(t *testing.T) {
	nothing := func(*heliosv1.CommandAnswer) error { return nil }
	for _, tt := range []struct {
		name, want string
		asked      bool
		play       func(t *testing.T, f *fleet.Fleet, s *stream, ended <-chan error)
	}{
		{"old", "has not answered within 5s: it is older", true, func(*testing.T, *fleet.Fleet, *stream, <-chan error) {}},
		{"gone", "was lost before it had answered", true, func(_ *testing.T, _ *fleet.Fleet, s *stream, _ <-chan error) {
			s.close()
		}},
		{"gone midway", "was lost before it had answered", true, func(_ *testing.T, _ *fleet.Fleet, s *stream, _ <-chan error) {
			s.result(&heliosv1.CommandResult{Id: 1, Begun: true})
			<-time.After(7 * time.Second)
			s.close()
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, f *fleet.Fleet) {
				s := open(t, f, "a")
				ended := command(t.Context(), f, "a", nothing)
				s.asked()
				tt.play(t, f, s, ended)
				err := <-ended
				var un *fleet.UnansweredError
				if !errors.As(err, &un) || un.Asked != tt.asked || un.Node != "a" || !strings.Contains(err.Error(), tt.want) {
					t.Errorf("got %v", err)
				}
				if !strings.HasPrefix(tt.name, "gone") {
					s.close()
				}
			})
		})
	}
	bubble(t, func(t *testing.T, f *fleet.Fleet) {
		var offline *fleet.OfflineError
		if err := <-command(t.Context(), f, "a", nothing); !errors.As(err, &offline) || !offline.LastSeen.IsZero() {
			t.Errorf("a proxy that was never there: %v", err)
		}
		open(t, f, "a").close()
		if err := <-command(t.Context(), f, "a", nothing); !errors.As(err, &offline) || offline.LastSeen.IsZero() {
			t.Errorf("a proxy that is gone: %v", err)
		}
	})
}

// TestCommandGivenUp tells the proxy that nobody waits any more: the asker has left, has had enough, or is too slow to take parts, which
// holds nobody else up.
func TestCommandGivenUp(t *testing.T) {
	bubble(t, func(t *testing.T, f *fleet.Fleet) {
		s := open(t, f, "a")
		defer s.close()
		told := func(id uint64) {
			t.Helper()
			if m := <-s.out; m.GetCommandGivenUp().GetId() != id {
				t.Errorf("the proxy was told %v, not that %d is given up", m, id)
			}
		}
		ctx, leave := context.WithCancel(t.Context())
		ended := command(ctx, f, "a", func(*heliosv1.CommandAnswer) error { return nil })
		id := s.asked().GetId()
		s.result(&heliosv1.CommandResult{Id: id, Begun: true})
		leave()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
		told(id)
		s.answer(id, "late", true)

		enough := errors.New("enough")
		ended = command(t.Context(), f, "a", func(*heliosv1.CommandAnswer) error { return enough })
		id = s.asked().GetId()
		s.answer(id, "", false)
		if err := <-ended; !errors.Is(err, enough) {
			t.Errorf("got %v", err)
		}
		told(id)

		wake := make(chan struct{})
		ended = command(t.Context(), f, "a", func(*heliosv1.CommandAnswer) error { <-wake; return nil })
		id = s.asked().GetId()
		for range 20 {
			s.answer(id, "", false)
		}
		close(wake)
		var un *fleet.UnansweredError
		if err := <-ended; !errors.As(err, &un) || !strings.Contains(err.Error(), "more than could be taken in time") {
			t.Errorf("got %v", err)
		}
	})
}

// TestCommandNewest asks at the stream that was opened last: an earlier one may be dead.
func TestCommandNewest(t *testing.T) {
	bubble(t, func(t *testing.T, f *fleet.Fleet) {
		dead, s := open(t, f, "a"), open(t, f, "a")
		defer dead.close()
		defer s.close()
		for range 20 {
			ended := command(t.Context(), f, "a", func(*heliosv1.CommandAnswer) error { return nil })
			s.answer(s.asked().GetId(), "", true)
			if err := <-ended; err != nil {
				t.Fatal(err)
			}
		}
	})
}

// TestCommandWaits waits for the status stream of a proxy that follows its configuration already.
func TestCommandWaits(t *testing.T) {
	nothing := func(*heliosv1.CommandAnswer) error { return nil }
	bubble(t, func(t *testing.T, f *fleet.Fleet) {
		f.Connected(&heliosv1.ConfigHello{NodeId: "a"})
		ended := command(t.Context(), f, "a", nothing)
		<-time.After(4 * time.Second)
		s := open(t, f, "a")
		defer s.close()
		s.answer(s.asked().GetId(), "", true)
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	bubble(t, func(t *testing.T, f *fleet.Fleet) {
		f.Connected(&heliosv1.ConfigHello{NodeId: "a"})
		began := time.Now()
		var offline *fleet.OfflineError
		if err := <-command(t.Context(), f, "a", nothing); !errors.As(err, &offline) || time.Since(began) != 5*time.Second {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
	})
}
