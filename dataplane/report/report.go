// Package report is the proxy's side of the status stream: it says what the proxy runs and how it is, and on request shows what it really runs, or carries out a command. It never waits for anybody: without a control plane nothing is kept for later.
package report

import (
	"context"
	"math/rand/v2"
	"time"

	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"github.com/heliosproxy/heliosproxy/pkg/duplex"
	"github.com/heliosproxy/heliosproxy/pkg/release"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

const (
	// partBytes bounds a part of a dump.
	partBytes = 900 << 10
	// unasked is how often there is a report until the control plane says how often.
	unasked = 5 * time.Second
	// shortest and longest bound the pause before another try.
	shortest, longest = 100 * time.Millisecond, 10 * time.Second
)

// Source is what there is to say.
type Source interface {
	// Report is how the proxy is, and a channel that is closed when something has changed since that should
	// be said at once.
	Report() (*heliosv1.StatusReport, <-chan struct{})
	// Dump is what the proxy runs: a part without items, and the content; nil if it runs nothing.
	Dump() (*heliosv1.ConfigDump, *release.Content)
	// Command carries out a command of the console for an administrator. It may take long, and several goroutines call it at once; ctx
	// ends it early.
	Command(ctx context.Context, text, actor string) *Outcome
}

// Options are what a reporter works with.
type Options struct {
	Log     *zap.Logger
	Source  Source
	Servers []grpc.ClientConnInterface // one is used at a time
	// Peers hears who the other proxies are.
	Peers func(*heliosv1.Peers)
}

// Run reports until ctx ends. When it returns nothing of it runs any more.
func Run(ctx context.Context, o Options) {
	ceiling := time.Duration(0)
	for at := rand.N(len(o.Servers)); ; at++ {
		answered, err := report(ctx, o, o.Servers[at%len(o.Servers)])
		if ctx.Err() != nil {
			return
		}
		o.Log.Debug("the status stream has ended", zap.Error(err))
		if answered {
			ceiling = 0
		}
		ceiling = min(max(2*ceiling, shortest), longest)
		select {
		case <-ctx.Done():
			return
		case <-time.After(rand.N(ceiling)):
		}
	}
}

// stream is one status stream.
type stream = duplex.Stream[heliosv1.StreamStatusRequest, heliosv1.StreamStatusResponse]

// report is one stream. answered says that the control plane has said something. Nothing of the stream is
// left when report returns.
func report(ctx context.Context, o Options, server grpc.ClientConnInterface) (answered bool, err error) {
	ctx, stop := context.WithCancel(ctx)
	rpc, err := heliosv1.NewStatusServiceClient(server).StreamStatus(ctx)
	if err != nil {
		stop()
		return false, err
	}
	s := duplex.New(rpc)
	cs := newCommands(ctx, o.Source)
	defer func() {
		stop()
		s.Drain()
		cs.running.Wait()
	}()
	every := unasked
	for {
		said, changed := o.Source.Report()
		if err := s.Send(&heliosv1.StreamStatusRequest{Message: &heliosv1.StreamStatusRequest_Report{Report: said}}); err != nil {
			return answered, err
		}
		next := time.After(every*9/10 + rand.N(every/5+1))
		for waiting := true; waiting; {
			select {
			case <-ctx.Done():
				return answered, ctx.Err()
			case <-changed:
				waiting = false
			case <-next:
				waiting = false
			case r := <-cs.results:
				if err := result(s, r); err != nil {
					return answered, err
				}
				cs.sent(r)
			case m, ok := <-s.In():
				if !ok {
					return answered, s.Err()
				}
				answered = true
				if set := m.GetSettings(); set != nil {
					every = max(set.GetInterval().AsDuration(), 10*time.Millisecond)
					next = time.After(every*9/10 + rand.N(every/5+1))
				}
				if p := m.GetPeers(); p != nil {
					o.Peers(p)
				}
				if w := m.GetConfigWanted(); w != nil {
					if err := dump(s, o.Source, w.GetId()); err != nil {
						return answered, err
					}
				}
				if w := m.GetCommandWanted(); w != nil {
					if err := result(s, cs.begin(w)); err != nil {
						return answered, err
					}
				}
				if g := m.GetCommandGivenUp(); g != nil {
					cs.giveUp(g.GetId())
				}
			}
		}
	}
}

// result sends a part of what came of a command.
func result(s *stream, r *heliosv1.CommandResult) error {
	return s.Send(&heliosv1.StreamStatusRequest{Message: &heliosv1.StreamStatusRequest_CommandResult{CommandResult: r}})
}

// dump sends what the proxy runs, secrets left out.
func dump(s *stream, source Source, id uint64) error {
	part, content := source.Dump()
	part.Id = id
	send := func() error {
		return s.Send(&heliosv1.StreamStatusRequest{Message: &heliosv1.StreamStatusRequest_ConfigDump{ConfigDump: part}})
	}
	n := 0
	if content != nil {
		for it := range content.Items {
			shown := release.Redacted(it)
			size := proto.Size(shown)
			if n > 0 && n+size > partBytes {
				if err := send(); err != nil {
					return err
				}
				part, n = &heliosv1.ConfigDump{Id: id}, 0
			}
			part.Items = append(part.Items, shown)
			n += size
		}
	}
	part.Last = true
	return send()
}
