package configsync

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/heliosproxy/heliosproxy/pkg/duplex"
	"github.com/heliosproxy/heliosproxy/pkg/resource"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// errDrain is that the control plane has asked to leave.
var errDrain = errors.New("asked to leave")

// stream is one config stream. One goroutine reads it, another puts a generation in force while the stream's
// own goroutine keeps it alive.
type stream struct {
	*Client
	*duplex.Stream[heliosv1.StreamConfigRequest, heliosv1.StreamConfigResponse]
	storeID    string
	mockSecret string
	coming     *coming      // between Begin and Commit
	applied    chan outcome // after Commit, until the generation is in force or refused; else nil
}

// follow opens a stream and obeys it until it ends. answered says that the control plane has said something.
// Nothing of the stream is left when follow returns.
func (c *Client) follow(ctx context.Context, server Server) (answered bool, err error) {
	ctx, stop := context.WithCancel(ctx)
	rpc, err := heliosv1.NewConfigServiceClient(server.Conn).StreamConfig(ctx)
	if err != nil {
		stop()
		return false, err
	}
	s := &stream{Client: c, Stream: duplex.New(rpc)}
	defer func() {
		stop()
		s.Drain()
	}()
	if err := s.hello(); err != nil {
		return false, err
	}
	return s.serve(ctx)
}

func (s *stream) hello() error {
	have, _ := s.State()
	var kinds []string
	for _, t := range resource.Types() {
		kinds = append(kinds, string(t.Kind))
	}
	return s.Send(&heliosv1.StreamConfigRequest{Message: &heliosv1.StreamConfigRequest_Hello{Hello: &heliosv1.ConfigHello{
		NodeId: s.o.NodeID, Group: s.o.Group, Build: s.o.Build, ProtocolVersion: ProtocolVersion, Kinds: kinds, MaxBytes: uint64(s.o.MaxBytes),
		StoreId: have.StoreID, Applied: have.Generation, Hash: have.Hash(), Source: have.Source,
	}}})
}

// serve obeys the stream. What is on its way into force when the stream ends gets there, or is refused,
// before serve returns.
func (s *stream) serve(ctx context.Context) (answered bool, err error) {
	defer func() {
		if s.applied != nil {
			s.settle(<-s.applied)
		}
	}()
	patience := s.o.Times.Answer
	silence := time.NewTimer(patience)
	defer silence.Stop()
	beat := time.NewTicker(time.Hour)
	beat.Stop()
	defer beat.Stop()
	for {
		// What comes while a generation is put in force waits, and so nothing can be said of silence.
		in, silent := s.In(), silence.C
		if s.applied != nil {
			in, silent = nil, nil
		}
		select {
		case m, ok := <-in:
			if !ok {
				return answered, s.Err()
			}
			answered = true
			if w := m.GetWelcome(); w != nil && s.storeID == "" {
				every := max(w.GetHeartbeat().AsDuration(), 10*time.Millisecond)
				patience = 3 * every
				beat.Reset(every)
			}
			if err := s.take(m); err != nil {
				return answered, err
			}
			silence.Reset(patience)
			s.mu.Lock()
			s.state.Contact = time.Now() // too often to tell anybody
			s.mu.Unlock()
		case o := <-s.applied:
			s.applied = nil
			silence.Reset(patience)
			if err := s.Send(s.settle(o)); err != nil {
				return answered, err
			}
		case <-beat.C:
			if err := s.Send(&heliosv1.StreamConfigRequest{Message: &heliosv1.StreamConfigRequest_Heartbeat{Heartbeat: &heliosv1.Heartbeat{}}}); err != nil {
				return answered, err
			}
		case <-silent:
			return answered, fmt.Errorf("the control plane was silent for %v", patience)
		case <-ctx.Done():
			return answered, ctx.Err()
		}
	}
}

// take obeys one message.
func (s *stream) take(m *heliosv1.StreamConfigResponse) error {
	if w := m.GetWelcome(); (w != nil) != (s.storeID == "") {
		return fmt.Errorf("the control plane has sent %T out of turn", m.GetMessage())
	} else if w != nil {
		return s.welcome(w)
	}
	switch m := m.GetMessage().(type) {
	case *heliosv1.StreamConfigResponse_Heartbeat:
		return nil
	case *heliosv1.StreamConfigResponse_NoRelease:
		s.o.Log.Info("the control plane has no configuration yet")
		return nil
	case *heliosv1.StreamConfigResponse_UpToDate:
		return s.confirm(m.UpToDate)
	case *heliosv1.StreamConfigResponse_Begin:
		return s.begin(m.Begin)
	case *heliosv1.StreamConfigResponse_Chunk:
		return s.chunk(m.Chunk)
	case *heliosv1.StreamConfigResponse_Commit:
		return s.commit(m.Commit)
	case *heliosv1.StreamConfigResponse_Drain:
		return errDrain
	}
	return fmt.Errorf("the control plane has sent %T, which nobody knows", m.GetMessage())
}

func (s *stream) welcome(w *heliosv1.Welcome) error {
	if w.GetStoreId() == "" {
		return errors.New("the control plane does not say what its store is called")
	}
	s.storeID = w.GetStoreId()
	have, _ := s.State()
	if have.StoreID != "" && have.StoreID != s.storeID {
		s.o.Log.Warn("the control plane has another store than what is in force came from; its configuration will be taken whole",
			zap.String("store", s.storeID), zap.String("before", have.StoreID))
	}
	s.mockSecret = w.GetMockSecret()
	s.salt(s.mockSecret)
	s.update(func(st *State) { st.Connected = true })
	return nil
}
