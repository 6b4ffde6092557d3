// Package report is the proxy's side of the status stream: it says what the proxy runs and how it is, and shows on request what it really runs. It never waits for anybody: without a control plane nothing is kept for later.
package report

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"github.com/heliosproxy/heliosproxy/pkg/release"
	"github.com/heliosproxy/heliosproxy/pkg/resource"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

const (
	// partBytes bounds a part of a dump.
	partBytes = 900 << 10
	// longest is the longest pause before another try.
	longest = 10 * time.Second
)

// Source is what there is to say.
type Source interface {
	// Report is how the proxy is, and a channel that is closed when something has changed that should be
	// said at once.
	Report() (*heliosv1.StatusReport, <-chan struct{})
	// Dump is what the proxy runs: a part without items, and the content; nil if it runs nothing.
	Dump() (*heliosv1.ConfigDump, *release.Content)
}

// Options are what a reporter works with.
type Options struct {
	Log     *zap.Logger
	Source  Source
	Servers []grpc.ClientConnInterface // one is used at a time
}

// Run reports until ctx ends.
func Run(ctx context.Context, o Options) {
	ceiling := time.Duration(0)
	for at := rand.N(len(o.Servers)); ; at++ {
		err := report(ctx, o, o.Servers[at%len(o.Servers)], func() { ceiling = 0 })
		if ctx.Err() != nil {
			return
		}
		o.Log.Debug("the status stream has ended", zap.Error(err))
		ceiling = min(max(2*ceiling, 100*time.Millisecond), longest)
		select {
		case <-ctx.Done():
			return
		case <-time.After(rand.N(ceiling)):
		}
	}
}

// report is one stream. answered is called when the control plane has said something.
func report(ctx context.Context, o Options, server grpc.ClientConnInterface, answered func()) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	stream, err := heliosv1.NewStatusServiceClient(server).StreamStatus(ctx)
	if err != nil {
		return err
	}
	in, ended := receive(ctx, stream)
	every := 5 * time.Second
	for {
		said, changed := o.Source.Report()
		if err := stream.Send(&heliosv1.StreamStatusRequest{Message: &heliosv1.StreamStatusRequest_Report{Report: said}}); err != nil {
			return errors.Join(err, <-ended)
		}
		next := time.NewTimer(every*9/10 + rand.N(every/5+1))
		for waiting := true; waiting; {
			select {
			case <-ctx.Done():
				next.Stop()
				return ctx.Err()
			case err := <-ended:
				next.Stop()
				return err
			case <-changed:
				waiting = false
			case <-next.C:
				waiting = false
			case m := <-in:
				answered()
				if s := m.GetSettings(); s != nil {
					every = max(s.GetInterval().AsDuration(), 10*time.Millisecond)
				}
				if w := m.GetConfigWanted(); w != nil {
					if err := dump(stream, o.Source, w.GetId()); err != nil {
						next.Stop()
						return err
					}
				}
			}
		}
		next.Stop()
	}
}

func receive(ctx context.Context, stream heliosv1.StatusService_StreamStatusClient) (<-chan *heliosv1.StreamStatusResponse, <-chan error) {
	in, ended := make(chan *heliosv1.StreamStatusResponse), make(chan error, 1)
	go func() {
		for {
			m, err := stream.Recv()
			if err != nil {
				ended <- err
				return
			}
			select {
			case in <- m:
			case <-ctx.Done():
				ended <- ctx.Err()
				return
			}
		}
	}()
	return in, ended
}

// dump sends what the proxy runs, secrets left out.
func dump(stream heliosv1.StatusService_StreamStatusClient, s Source, id uint64) error {
	part, content := s.Dump()
	part.Id = id
	send := func() error {
		return stream.Send(&heliosv1.StreamStatusRequest{Message: &heliosv1.StreamStatusRequest_ConfigDump{ConfigDump: part}})
	}
	n := 0
	if content != nil {
		for it := range content.Items {
			shown := redacted(it)
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

// redacted is an item without its secrets.
func redacted(it *heliosv1.Item) *heliosv1.Item {
	kind, m, fault := release.Decode(it)
	if fault == nil {
		if clean, err := release.Encode(kind, resource.Redacted(m)); err == nil {
			return clean
		}
	}
	return &heliosv1.Item{Kind: it.GetKind(), Name: it.GetName()}
}
