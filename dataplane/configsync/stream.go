package configsync

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"go.uber.org/zap"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/heliosproxy/heliosproxy/pkg/lkg"
	"github.com/heliosproxy/heliosproxy/pkg/release"
	"github.com/heliosproxy/heliosproxy/pkg/resource"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// Run follows the control planes until ctx ends, one after the other.
func (c *Client) Run(ctx context.Context) {
	if c.o.Files != nil {
		stable := time.AfterFunc(c.o.Times.Stable, func() {
			if err := c.o.Files.Stable(); err != nil {
				c.o.Log.Warn("cannot note that this start has gone well", zap.Error(err))
			}
		})
		defer stable.Stop()
	}
	go c.remind(ctx)
	at := rand.N(len(c.o.Servers))
	ceiling := c.o.Times.First
	for {
		server := c.o.Servers[at%len(c.o.Servers)]
		at++
		answered, err := c.follow(ctx, server)
		if ctx.Err() != nil {
			return
		}
		if answered {
			ceiling = c.o.Times.First
		}
		c.update(func(s *State) { s.Connected = false })
		c.say(server, answered, err)
		select {
		case <-ctx.Done():
			return
		case <-time.After(rand.N(ceiling)):
		}
		ceiling = min(2*ceiling, c.o.Times.Most)
	}
}

// say logs the end of a stream, with what to do where somebody has to do something.
func (c *Client) say(server Server, answered bool, err error) {
	log := c.o.Log.With(zap.String("control_plane", server.Name))
	switch code := status.Code(err); {
	case err == nil || errors.Is(err, errDrain):
		log.Debug("the control plane has asked to come again")
	case code == codes.Unauthenticated, code == codes.FailedPrecondition, code == codes.InvalidArgument:
		log.Error("the control plane turns this proxy away", zap.Error(err))
	case answered:
		log.Warn("the config stream has broken; what is in force stays so", zap.Error(err))
	default:
		log.Info("the control plane is not reached; what is in force stays so", zap.Error(err))
	}
}

// remind logs from time to time that the control plane is gone.
func (c *Client) remind(ctx context.Context) {
	tick := time.NewTicker(c.o.Times.Remind)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if s, _ := c.State(); !s.Connected {
			c.o.Log.Warn("without a control plane, serving what is in force", zap.Stringer("generation", s.Generation),
				zap.Stringer("source", s.Source), zap.Time("since", s.Since), zap.Time("last_contact", s.Contact))
		}
	}
}

// errDrain is that the control plane has asked to leave.
var errDrain = errors.New("asked to leave")

// stream is one config stream.
type stream struct {
	*Client
	heliosv1.ConfigService_StreamConfigClient
	ctx     context.Context
	in      chan *heliosv1.StreamConfigResponse
	ended   error
	storeID string
	coming  *coming
}

// coming is a generation that is under way.
type coming struct {
	*heliosv1.Begin
	difference release.Difference
	bytes      int
	over       bool // it was answered already; what still comes of it is dropped
}

// follow opens a stream and obeys it until it ends. answered says that the control plane has said something.
func (c *Client) follow(ctx context.Context, server Server) (answered bool, err error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	rpc, err := heliosv1.NewConfigServiceClient(server.Conn).StreamConfig(ctx)
	if err != nil {
		return false, err
	}
	s := &stream{Client: c, ConfigService_StreamConfigClient: rpc, ctx: ctx, in: make(chan *heliosv1.StreamConfigResponse)}
	go s.receive()
	if err := s.hello(); err != nil {
		return false, s.why(err)
	}
	return s.serve()
}

// receive hands messages over until the stream ends.
func (s *stream) receive() {
	defer close(s.in)
	for {
		m, err := s.Recv()
		if err != nil {
			s.ended = err
			return
		}
		select {
		case s.in <- m:
		case <-s.ctx.Done():
			s.ended = s.ctx.Err()
			return
		}
	}
}

// why prefers the server's reason to that of a send that has failed.
func (s *stream) why(err error) error {
	if err == nil {
		return nil
	}
	for range s.in {
	}
	if s.ended != nil {
		return s.ended
	}
	return err
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

// serve obeys the stream.
func (s *stream) serve() (answered bool, err error) {
	patience := s.o.Times.Answer
	silence := time.NewTimer(patience)
	defer silence.Stop()
	var beat <-chan time.Time
	for {
		select {
		case m, ok := <-s.in:
			if !ok {
				return answered, s.ended
			}
			answered = true
			if w := m.GetWelcome(); w != nil && s.storeID == "" {
				s.storeID = w.GetStoreId()
				every := max(w.GetHeartbeat().AsDuration(), 10*time.Millisecond)
				patience = 3 * every
				ticker := time.NewTicker(every)
				defer ticker.Stop()
				beat = ticker.C
				s.update(func(st *State) { st.Connected = true })
			}
			if err := s.take(m); err != nil {
				return answered, err
			}
			silence.Reset(patience)
			s.mu.Lock()
			s.state.Contact = time.Now()
			s.mu.Unlock()
		case <-beat:
			if err := s.Send(&heliosv1.StreamConfigRequest{Message: &heliosv1.StreamConfigRequest_Heartbeat{Heartbeat: &heliosv1.Heartbeat{}}}); err != nil {
				return answered, s.why(err)
			}
		case <-silence.C:
			return answered, fmt.Errorf("the control plane was silent for %v", patience)
		case <-s.ctx.Done():
			return answered, s.ctx.Err()
		}
	}
}

// take obeys one message.
func (s *stream) take(m *heliosv1.StreamConfigResponse) error {
	if s.storeID == "" {
		return fmt.Errorf("the control plane began with %T and not with Welcome", m.GetMessage())
	}
	switch m := m.GetMessage().(type) {
	case *heliosv1.StreamConfigResponse_Welcome, *heliosv1.StreamConfigResponse_Heartbeat:
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

// confirm hears that what is in force is what should be.
func (s *stream) confirm(m *heliosv1.UpToDate) error {
	have, _ := s.State()
	if have.Content == nil || m.GetHash() != have.Hash() {
		return errors.New("the control plane takes something for up to date that is not in force here")
	}
	if s.old(m.GetGeneration(), have) {
		return fmt.Errorf("the control plane is at generation %v, before %v", m.GetGeneration(), have.Generation)
	}
	s.update(func(st *State) {
		st.StoreID, st.Generation, st.Source, st.Rejection = s.storeID, m.GetGeneration(), s.o.Source, nil
	})
	if s.o.Files != nil && (have.StoreID != s.storeID || have.Generation.GetRevision() != m.GetGeneration().GetRevision() || have.Generation.GetEpoch() != m.GetGeneration().GetEpoch()) {
		if err := s.persist(m.GetGeneration(), have.Content)(); err != nil {
			s.o.Log.Error("cannot keep the configuration for the next start", zap.Error(err))
		}
	}
	return nil
}

// old says whether a generation is before what is in force, of the same store.
func (s *stream) old(g *heliosv1.Generation, have State) bool {
	if have.Content == nil || have.StoreID != s.storeID {
		return false
	}
	if a, b := g.GetEpoch(), have.Generation.GetEpoch(); a != b {
		return a < b
	}
	return g.GetRevision() < have.Generation.GetRevision()
}

// begin hears of a generation. What can be refused now is not waited for.
func (s *stream) begin(b *heliosv1.Begin) error {
	have, _ := s.State()
	s.coming = &coming{Begin: b}
	switch {
	case s.old(b.GetGeneration(), have):
		return s.nack(refuse(heliosv1.Stage_STAGE_VERIFY, "generation %v is older than %v, which is in force", b.GetGeneration(), have.Generation))
	case b.GetBytes() > uint64(s.o.MaxBytes):
		return s.nack(refuse(heliosv1.Stage_STAGE_VERIFY, "it has %d bytes, and this proxy takes %d (--max-config-bytes)", b.GetBytes(), s.o.MaxBytes))
	case b.GetBaseHash() != "" && b.GetBaseHash() != have.Hash():
		s.coming.over = true
		return s.Send(&heliosv1.StreamConfigRequest{Message: &heliosv1.StreamConfigRequest_NeedFull{NeedFull: &heliosv1.NeedFull{Nonce: b.GetNonce()}}})
	}
	return nil
}

func (s *stream) chunk(m *heliosv1.Chunk) error {
	c := s.coming
	if c == nil || c.GetNonce() != m.GetNonce() {
		return errors.New("a part of a generation that was not announced")
	}
	if c.over {
		return nil
	}
	for _, it := range m.GetUpserts() {
		c.bytes += len(it.GetPayload())
	}
	c.difference.Upserts = append(c.difference.Upserts, m.GetUpserts()...)
	c.difference.Removes = append(c.difference.Removes, m.GetRemoves()...)
	if c.bytes > s.o.MaxBytes {
		return s.nack(refuse(heliosv1.Stage_STAGE_VERIFY, "more came than the %d bytes that this proxy takes (--max-config-bytes)", s.o.MaxBytes))
	}
	return nil
}

// commit puts a generation in force, or refuses it.
func (s *stream) commit(m *heliosv1.Commit) error {
	c := s.coming
	if c == nil || c.GetNonce() != m.GetNonce() {
		return errors.New("the end of a generation that was not announced")
	}
	defer func() { s.coming = nil }()
	if c.over {
		return nil
	}
	begun := time.Now()
	content, warnings, err := s.enforce(c)
	if err != nil {
		var r *Refusal
		if !errors.As(err, &r) {
			r = refuse(heliosv1.Stage_STAGE_WARM, "%s", err)
		}
		return s.nack(r)
	}
	s.update(func(st *State) {
		st.StoreID, st.Generation, st.Content, st.Source = s.storeID, c.GetGeneration(), content, s.o.Source
		st.Since, st.Rejection, st.Warnings = time.Now(), nil, warnings
	})
	s.o.Log.Info("configuration in force", zap.Stringer("generation", c.GetGeneration()), zap.String("hash", content.Hash()),
		zap.Int("resources", content.Len()), zap.Strings("warnings", warnings))
	return s.Send(&heliosv1.StreamConfigRequest{Message: &heliosv1.StreamConfigRequest_Ack{Ack: &heliosv1.Ack{
		Nonce: c.GetNonce(), Generation: c.GetGeneration(), Hash: content.Hash(), Took: durationpb.New(time.Since(begun)), Warnings: warnings,
	}}})
}

// enforce verifies, decodes, validates and applies.
func (s *stream) enforce(c *coming) (*release.Content, []string, error) {
	base := release.Empty()
	if c.GetBaseHash() != "" {
		have, _ := s.State()
		base = have.Content
	}
	content, err := base.With(c.difference)
	if err != nil {
		return nil, nil, refuse(heliosv1.Stage_STAGE_VERIFY, "%s", err)
	}
	if content.Hash() != c.GetHash() {
		return nil, nil, refuse(heliosv1.Stage_STAGE_VERIFY, "its hash is %s, and %s was announced", content.Hash(), c.GetHash())
	}
	if s.o.Files != nil && s.o.Files.Bad(content.Hash()) {
		return nil, nil, refuse(heliosv1.Stage_STAGE_COMPILE, "the process has ended soon after each of its last starts with it")
	}
	set, refusal := check(content, s.o.MaxBytes)
	if refusal != nil {
		return nil, nil, refusal
	}
	warnings, err := s.apply(set, s.persist(c.GetGeneration(), content))
	return content, warnings, err
}

// persist keeps a content for the next start.
func (s *stream) persist(g *heliosv1.Generation, content *release.Content) func() error {
	return func() error {
		if s.o.Files == nil {
			return nil
		}
		return s.o.Files.Save(lkg.Entry{StoreID: s.storeID, Group: s.o.Group, Generation: g, Content: content})
	}
}

// nack refuses what is coming.
func (s *stream) nack(r *Refusal) error {
	s.coming.over = true
	rejection := &heliosv1.Rejection{Generation: s.coming.GetGeneration(), Hash: s.coming.GetHash(), Stage: r.Stage, Faults: r.Faults}
	s.update(func(st *State) {
		st.Rejection = rejection
		st.Refusals++
	})
	s.o.Log.Error("configuration refused, what was in force stays so", zap.Stringer("generation", s.coming.GetGeneration()), zap.Error(r))
	return s.Send(&heliosv1.StreamConfigRequest{Message: &heliosv1.StreamConfigRequest_Nack{Nack: &heliosv1.Nack{Nonce: s.coming.GetNonce(), Rejection: rejection}}})
}
