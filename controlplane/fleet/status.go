package fleet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// reporter is a status stream.
type reporter struct {
	ask   chan question
	gone  chan struct{}
	dumps map[uint64]chan<- *heliosv1.ConfigDump // of the receiving goroutine, under Fleet.mu

	came  time.Time
	last  *heliosv1.StatusReport // under Fleet.mu
	news  chan struct{}          // sent to when there is another one
	peers chan *heliosv1.Peers   // to be told
}

// question asks a proxy for what it runs.
type question struct {
	id uint64
	to chan<- *heliosv1.ConfigDump
}

// StreamStatus implements the status service; status.proto has the contract.
func (f *Fleet) StreamStatus(stream heliosv1.StatusService_StreamStatusServer) error {
	first, err := stream.Recv()
	if err != nil {
		return leave(err)
	}
	id := first.GetReport().GetNodeId()
	if id == "" {
		return status.Error(codes.InvalidArgument, "the first message is no report, or has no node_id")
	}
	r := &reporter{ask: make(chan question), gone: make(chan struct{}), dumps: map[uint64]chan<- *heliosv1.ConfigDump{}}
	r.came, r.last, r.news, r.peers = f.o.Now(), first.GetReport(), make(chan struct{}, 1), make(chan *heliosv1.Peers)
	f.update(id, func(n *node) { n.reporters[r] = struct{}{} })
	defer f.update(id, func(n *node) { delete(n.reporters, r) })
	defer close(r.gone)
	f.report(id, first.GetReport())
	err = stream.Send(&heliosv1.StreamStatusResponse{Message: &heliosv1.StreamStatusResponse_Settings{
		Settings: &heliosv1.ReportSettings{Interval: durationpb.New(reportEvery)},
	}})
	if err != nil {
		return err
	}
	if f.o.Roster != nil {
		ctx, stop := context.WithCancel(stream.Context())
		var introducing sync.WaitGroup
		introducing.Go(func() { f.introduce(ctx, id, r) })
		defer introducing.Wait()
		defer stop()
	}
	heard := make(chan error, 1)
	alive := make(chan struct{}, 1)
	go func() { heard <- f.hear(stream, id, r, alive) }()
	return f.talk(stream, r, heard, alive)
}

// talk sends questions until the proxy has gone or is silent for long.
func (f *Fleet) talk(stream heliosv1.StatusService_StreamStatusServer, r *reporter, heard <-chan error, alive <-chan struct{}) error {
	silent := time.NewTimer(3 * reportEvery)
	defer silent.Stop()
	for {
		select {
		case err := <-heard:
			return leave(err)
		case <-alive:
			silent.Reset(3 * reportEvery)
		case <-silent.C:
			return status.Errorf(codes.DeadlineExceeded, "no report for %v", 3*reportEvery)
		case p := <-r.peers:
			if err := stream.Send(&heliosv1.StreamStatusResponse{Message: &heliosv1.StreamStatusResponse_Peers{Peers: p}}); err != nil {
				return err
			}
		case q := <-r.ask:
			f.mu.Lock()
			r.dumps[q.id] = q.to
			f.mu.Unlock()
			err := stream.Send(&heliosv1.StreamStatusResponse{Message: &heliosv1.StreamStatusResponse_ConfigWanted{
				ConfigWanted: &heliosv1.ConfigWanted{Id: q.id},
			}})
			if err != nil {
				return err
			}
		}
	}
}

// hear takes in reports and answers until the stream ends.
func (f *Fleet) hear(stream heliosv1.StatusService_StreamStatusServer, id string, r *reporter, alive chan<- struct{}) error {
	for {
		m, err := stream.Recv()
		if err != nil {
			return err
		}
		select {
		case alive <- struct{}{}:
		default:
		}
		switch m := m.GetMessage().(type) {
		case *heliosv1.StreamStatusRequest_Report:
			if m.Report.GetNodeId() != id {
				return status.Error(codes.InvalidArgument, "the node_id has changed")
			}
			f.report(id, m.Report)
			f.mu.Lock()
			r.last = m.Report
			f.mu.Unlock()
			select {
			case r.news <- struct{}{}:
			default:
			}
		case *heliosv1.StreamStatusRequest_ConfigDump:
			f.mu.Lock()
			to := r.dumps[m.ConfigDump.GetId()]
			if m.ConfigDump.GetLast() {
				delete(r.dumps, m.ConfigDump.GetId())
			}
			f.mu.Unlock()
			if to == nil {
				continue
			}
			select {
			case to <- m.ConfigDump:
			case <-time.After(reportEvery): // nobody listens any more
				f.mu.Lock()
				delete(r.dumps, m.ConfigDump.GetId())
				f.mu.Unlock()
			case <-r.gone:
				return nil
			}
		default:
			return status.Error(codes.InvalidArgument, "a message that nobody knows")
		}
	}
}

// report takes over what a proxy says of itself: it is the truth.
func (f *Fleet) report(id string, r *heliosv1.StatusReport) {
	var e *heliosv1.Event
	f.update(id, func(n *node) {
		e = n.alarm.hear(id, r, f.o.Now())
		x := n.seen
		x.Group, x.Build, x.Started = r.GetGroup(), r.GetBuild(), r.GetStarted()
		x.Generation, x.Hash, x.Source, x.Since = r.GetGeneration(), r.GetHash(), r.GetSource(), r.GetSince()
		x.Rejection, x.Warnings = r.GetRejection(), r.GetWarnings()
		x.Ready, x.Reason, x.Listeners = r.GetReady(), r.GetReason(), r.GetListeners()
		x.Clients, x.Servers, x.FailedLogins = r.GetClients(), r.GetServers(), r.GetFailedLogins()
	})
	if e != nil {
		f.o.Event(e)
	}
}

// leave turns the end of a stream into the error of its method.
func leave(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// OfflineError is that a proxy cannot be asked.
type OfflineError struct {
	Node     string
	LastSeen time.Time // zero if it was never seen
}

// Error says since when.
func (e *OfflineError) Error() string {
	if e.LastSeen.IsZero() {
		return fmt.Sprintf("no proxy %q is known here", e.Node)
	}
	return fmt.Sprintf("proxy %q is not connected, it was seen last at %s", e.Node, e.LastSeen.Format(time.RFC3339))
}

// Dump asks a proxy what it really runs and yields the parts of its answer.
func (f *Fleet) Dump(ctx context.Context, id string, yield func(*heliosv1.ConfigDump) error) error {
	f.mu.Lock()
	n := f.nodes[id]
	var r *reporter
	offline := &OfflineError{Node: id}
	if n != nil {
		offline.LastSeen = n.lastSeen
		for x := range n.reporters {
			r = x
		}
	}
	f.dumps++
	q := f.dumps
	f.mu.Unlock()
	if r == nil {
		return offline
	}
	parts := make(chan *heliosv1.ConfigDump)
	select {
	case r.ask <- question{q, parts}:
	case <-r.gone:
		return offline
	case <-ctx.Done():
		return ctx.Err()
	}
	for {
		select {
		case part := <-parts:
			if err := yield(part); err != nil || part.GetLast() {
				return err
			}
		case <-r.gone:
			return offline
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
