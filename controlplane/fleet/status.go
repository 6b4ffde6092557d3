package fleet

import (
	"context"
	"errors"
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
	node      string
	number    uint64                              // the higher, the later it was opened
	out       chan *heliosv1.StreamStatusResponse // what is to be sent
	gone      chan struct{}                       // closed when the stream has ended
	questions map[uint64]*question                // under Fleet.mu

	came  time.Time
	last  *heliosv1.StatusReport // under Fleet.mu
	news  chan struct{}          // sent to when there is another one
	peers chan *heliosv1.Peers   // to be told
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
	r := &reporter{
		node: id, out: make(chan *heliosv1.StreamStatusResponse), gone: make(chan struct{}), questions: map[uint64]*question{},
		came: f.o.Now(), last: first.GetReport(), news: make(chan struct{}, 1), peers: make(chan *heliosv1.Peers),
	}
	f.update(id, func(n *node) {
		f.streams++
		r.number = f.streams
		n.reporters[r] = struct{}{}
	})
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

// talk sends what proxies are asked until the proxy has gone or is silent for long.
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
		case m := <-r.out:
			if err := stream.Send(m); err != nil {
				return err
			}
		}
	}
}

// hear takes in reports and answers until the stream ends.
func (f *Fleet) hear(stream heliosv1.StatusService_StreamStatusServer, id string, r *reporter, alive chan<- struct{}) error {
	for {
		got, err := stream.Recv()
		if err != nil {
			return err
		}
		select {
		case alive <- struct{}{}:
		default:
		}
		switch m := got.GetMessage().(type) {
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
		case *heliosv1.StreamStatusRequest_ConfigDump, *heliosv1.StreamStatusRequest_CommandResult:
			f.answered(r, got)
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
