package distribute

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/heliosproxy/heliosproxy/pkg/release"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// chunkBytes bounds a chunk: less than 1 MiB with what gRPC adds.
const chunkBytes = 900 << 10

// session is one stream of a proxy.
type session struct {
	server *Server
	stream heliosv1.ConfigService_StreamConfigServer
	woken  chan struct{} // holds one element
	in     chan *heliosv1.StreamConfigRequest
	ended  error // why in was closed
	out    chan *heliosv1.StreamConfigResponse
	sent   chan error
	gone   chan struct{} // closed when the session is over

	node  string
	kinds []string

	// What the proxy has, by Hello and Ack.
	generation *heliosv1.Generation
	hash       string
	told       bool // it was answered, if only that there is no release

	nonce    uint64
	flight   *flight
	whole    bool // the next one is sent whole
	refused  string
	again    int64 // the assignment's Again when it was refused
	notUntil time.Time
}

// flight is a generation that is under way.
type flight struct {
	nonce uint64
	*Assignment
	until time.Time
}

func newSession(s *Server, stream heliosv1.ConfigService_StreamConfigServer) *session {
	x := &session{
		server: s, stream: stream, woken: make(chan struct{}, 1), gone: make(chan struct{}),
		in:  make(chan *heliosv1.StreamConfigRequest),
		out: make(chan *heliosv1.StreamConfigResponse), sent: make(chan error, 1),
	}
	go x.receive()
	go x.transmit()
	return x
}

func (x *session) close() { close(x.gone) }

func (x *session) wake() {
	select {
	case x.woken <- struct{}{}:
	default:
	}
}

// receive hands messages over until the stream ends, as it does when the session is over.
func (x *session) receive() {
	defer close(x.in)
	for {
		m, err := x.stream.Recv()
		if err != nil {
			x.ended = err
			return
		}
		select {
		case x.in <- m:
		case <-x.gone:
			return
		}
	}
}

// transmit sends what it is handed. It is a goroutine of its own because sending blocks for as long as the
// proxy does not read, and only the end of the session ends that.
func (x *session) transmit() {
	for {
		select {
		case m := <-x.out:
			x.sent <- x.stream.Send(m)
		case <-x.gone:
			return
		}
	}
}

func (x *session) send(m *heliosv1.StreamConfigResponse) error {
	x.out <- m
	late := time.NewTimer(x.server.o.Times.Send)
	defer late.Stop()
	select {
	case err := <-x.sent:
		return err
	case <-late.C:
		return status.Errorf(codes.DeadlineExceeded, "the proxy has not read for %v", x.server.o.Times.Send)
	}
}

// hello waits for the first message and judges it.
func (x *session) hello() (*heliosv1.ConfigHello, error) {
	late := time.NewTimer(x.server.o.Times.Hello)
	defer late.Stop()
	var h *heliosv1.ConfigHello
	select {
	case <-late.C:
		return nil, status.Errorf(codes.InvalidArgument, "no Hello within %v", x.server.o.Times.Hello)
	case m, ok := <-x.in:
		if !ok {
			return nil, x.end()
		}
		if h = m.GetHello(); h == nil {
			return nil, status.Error(codes.InvalidArgument, "the first message is not Hello")
		}
	}
	switch {
	case h.GetProtocolVersion() != ProtocolVersion:
		return nil, status.Errorf(codes.FailedPrecondition, "the proxy speaks version %d of the config protocol, this control plane version %d", h.GetProtocolVersion(), ProtocolVersion)
	case h.GetNodeId() == "":
		return nil, status.Error(codes.InvalidArgument, "Hello has no node_id")
	}
	x.node, x.kinds = h.GetNodeId(), h.GetKinds()
	x.generation, x.hash = h.GetApplied(), h.GetHash()
	if h.GetStoreId() != x.server.o.StoreID {
		// Another store's generations say nothing here; its content may well be the same.
		x.generation = nil
	}
	if err := x.current(); err != nil {
		return nil, err
	}
	return h, x.send(&heliosv1.StreamConfigResponse{Message: &heliosv1.StreamConfigResponse_Welcome{Welcome: &heliosv1.Welcome{
		StoreId: x.server.o.StoreID, Heartbeat: durationpb.New(x.server.o.Times.Heartbeat), MockSecret: x.server.o.MockSecret,
	}}})
}

// current makes sure that this control plane is not behind the proxy.
func (x *session) current() error {
	a := x.server.current.Load()
	if x.generation == nil || a != nil && !older(a.Generation, x.generation) {
		return nil
	}
	ctx, stop := context.WithTimeout(x.stream.Context(), x.server.o.Times.Hello/2)
	defer stop()
	err := x.server.o.Refresh(ctx, x.generation.GetRevision())
	if a = x.server.current.Load(); a != nil && !older(a.Generation, x.generation) {
		return nil
	}
	return status.Errorf(codes.Unavailable, "the store is behind the proxy, which runs %v: %v", x.generation, err)
}

// older says whether a is before b.
func older(a, b *heliosv1.Generation) bool {
	if a.GetEpoch() != b.GetEpoch() {
		return a.GetEpoch() < b.GetEpoch()
	}
	return a.GetRevision() < b.GetRevision()
}

// serve sends what is current as it changes until the stream ends.
func (x *session) serve() error {
	times := x.server.o.Times
	beat := time.NewTicker(times.Heartbeat)
	defer beat.Stop()
	leave := time.NewTimer(times.Lifetime*9/10 + rand.N(times.Lifetime/5+1))
	defer leave.Stop()
	drain := x.server.drain
	heard := time.Now()
	for {
		if err := x.advance(); err != nil {
			return err
		}
		select {
		case m, ok := <-x.in:
			if !ok {
				return x.end()
			}
			heard = time.Now()
			if err := x.take(m); err != nil {
				return err
			}
		case <-x.woken:
		case now := <-beat.C:
			switch {
			case now.Sub(heard) > 3*times.Heartbeat:
				return status.Error(codes.DeadlineExceeded, "nothing was heard of the proxy for three heartbeats")
			case x.flight != nil && now.After(x.flight.until):
				return status.Errorf(codes.DeadlineExceeded, "the proxy has not answered to a generation for %v", times.Ack)
			}
			if err := x.send(&heliosv1.StreamConfigResponse{Message: &heliosv1.StreamConfigResponse_Heartbeat{Heartbeat: &heliosv1.Heartbeat{}}}); err != nil {
				return err
			}
		case <-leave.C:
			if err := x.sendDrain("streams are renewed from time to time"); err != nil {
				return err
			}
		case <-drain:
			drain = nil
			if err := x.sendDrain("the control plane ends"); err != nil {
				return err
			}
		}
	}
}

func (x *session) sendDrain(why string) error {
	return x.send(&heliosv1.StreamConfigResponse{Message: &heliosv1.StreamConfigResponse_Drain{Drain: &heliosv1.Drain{Reason: why}}})
}

// end is why the proxy's side of the stream has ended; nil if it has just left.
func (x *session) end() error {
	if errors.Is(x.ended, io.EOF) {
		return nil
	}
	return x.ended
}

// take hears a message of the proxy.
func (x *session) take(m *heliosv1.StreamConfigRequest) error {
	f := x.flight
	match := func(nonce uint64) bool { return f != nil && f.nonce == nonce }
	switch m := m.GetMessage().(type) {
	case *heliosv1.StreamConfigRequest_Heartbeat:
	case *heliosv1.StreamConfigRequest_Ack:
		if !match(m.Ack.GetNonce()) {
			return nil // of an attempt that is over
		}
		if m.Ack.GetHash() != f.Content.Hash() {
			return status.Error(codes.InvalidArgument, "Ack has another hash than what was sent")
		}
		x.flight, x.whole, x.refused = nil, false, ""
		x.generation, x.hash = f.Generation, f.Content.Hash()
		x.server.o.Observer.Confirmed(x.node, f.Generation, f.Content.Hash(), m.Ack)
	case *heliosv1.StreamConfigRequest_Nack:
		if !match(m.Nack.GetNonce()) {
			return nil
		}
		x.flight = nil
		x.refused, x.again = f.Content.Hash(), f.Again
		x.notUntil = time.Now().Add(x.server.o.Times.Nacked)
		r := m.Nack.GetRejection()
		if r == nil {
			r = &heliosv1.Rejection{}
		}
		r.Generation, r.Hash = f.Generation, f.Content.Hash()
		x.server.o.Observer.Refused(x.node, r)
	case *heliosv1.StreamConfigRequest_NeedFull:
		if match(m.NeedFull.GetNonce()) {
			if x.whole {
				return status.Error(codes.InvalidArgument, "NeedFull to a generation that was sent whole")
			}
			x.flight, x.whole = nil, true
		}
	default:
		return status.Error(codes.InvalidArgument, "a message out of turn")
	}
	return nil
}

// advance sends what is to be sent now, if anything.
func (x *session) advance() error {
	a := x.server.current.Load()
	switch {
	case x.flight != nil:
		return nil
	case a == nil:
		if x.told {
			return nil
		}
		x.told = true
		return x.send(&heliosv1.StreamConfigResponse{Message: &heliosv1.StreamConfigResponse_NoRelease{NoRelease: &heliosv1.NoRelease{}}})
	case a.Content.Hash() == x.hash:
		if x.told && !older(x.generation, a.Generation) {
			return nil
		}
		x.told, x.generation = true, a.Generation
		x.server.o.Observer.Confirmed(x.node, a.Generation, x.hash, nil)
		return x.send(&heliosv1.StreamConfigResponse{Message: &heliosv1.StreamConfigResponse_UpToDate{UpToDate: &heliosv1.UpToDate{
			Generation: a.Generation, Hash: x.hash,
		}}})
	case a.Content.Hash() == x.refused && a.Again <= x.again:
		return nil // there is no reason to think that it would be taken now
	}
	if wait := time.Until(x.notUntil); wait > 0 && a.Content.Hash() != x.refused {
		time.AfterFunc(wait, x.wake)
		return nil
	}
	return x.push(a)
}

// push sends a generation.
func (x *session) push(a *Assignment) error {
	for it := range a.Content.Items {
		if !slices.Contains(x.kinds, it.GetKind()) {
			return status.Errorf(codes.FailedPrecondition, "the configuration has resources of kind %s, and the proxy knows only %s: it is older than the control plane",
				it.GetKind(), strings.Join(x.kinds, ", "))
		}
	}
	select {
	case x.server.pushing <- struct{}{}:
		defer func() { <-x.server.pushing }()
	case <-x.stream.Context().Done():
		return x.stream.Context().Err()
	}
	base, d := "", release.Difference{}
	if !x.whole && x.hash != "" {
		var ok bool
		if d, ok = x.server.difference(x.hash, a.Content); ok {
			base = x.hash
		}
	}
	if base == "" {
		d = release.Empty().To(a.Content)
	}
	x.nonce++
	x.told = true
	begin := &heliosv1.Begin{
		Nonce: x.nonce, Generation: a.Generation, Hash: a.Content.Hash(), BaseHash: base,
		Resources: uint32(a.Content.Len()), Bytes: uint64(a.Content.Bytes()),
	}
	if err := x.send(&heliosv1.StreamConfigResponse{Message: &heliosv1.StreamConfigResponse_Begin{Begin: begin}}); err != nil {
		return err
	}
	bytes := 0
	for part := range d.Chunks(chunkBytes) {
		chunk := &heliosv1.Chunk{Nonce: x.nonce, Upserts: part.Upserts, Removes: part.Removes}
		for _, it := range part.Upserts {
			bytes += len(it.GetPayload())
		}
		if err := x.send(&heliosv1.StreamConfigResponse{Message: &heliosv1.StreamConfigResponse_Chunk{Chunk: chunk}}); err != nil {
			return err
		}
	}
	if err := x.send(&heliosv1.StreamConfigResponse{Message: &heliosv1.StreamConfigResponse_Commit{Commit: &heliosv1.Commit{Nonce: x.nonce}}}); err != nil {
		return err
	}
	x.flight = &flight{nonce: x.nonce, Assignment: a, until: time.Now().Add(x.server.o.Times.Ack)}
	x.server.o.Observer.Sent(x.node, a.Generation, a.Content.Hash(), bytes, base == "")
	x.server.o.Log.Debug("generation sent", zap.String("node", x.node), zap.Stringer("generation", a.Generation), zap.Int("bytes", bytes), zap.Bool("whole", base == ""))
	return nil
}
