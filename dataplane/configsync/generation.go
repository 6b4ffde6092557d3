package configsync

import (
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/heliosproxy/heliosproxy/pkg/lkg"
	"github.com/heliosproxy/heliosproxy/pkg/release"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// coming is a generation that is under way.
type coming struct {
	*heliosv1.Begin
	base       *release.Content
	difference release.Difference
	bytes      int
	over       bool // it was answered already; what still comes of it is dropped
}

// outcome is what became of a generation.
type outcome struct {
	*coming
	content  *release.Content
	warnings []string
	err      error
	took     time.Duration
}

// show is how people read a generation: epoch and revision.
func show(g *heliosv1.Generation) string {
	return fmt.Sprintf("%d/%d", g.GetEpoch(), g.GetRevision())
}

// confirm hears that what is in force is what should be.
func (s *stream) confirm(m *heliosv1.UpToDate) error {
	have, _ := s.State()
	if have.Content == nil || m.GetHash() != have.Hash() {
		return errors.New("the control plane takes something for up to date that is not in force here")
	}
	if s.old(m.GetGeneration(), have) {
		return fmt.Errorf("the control plane is at generation %s, before %s", show(m.GetGeneration()), show(have.Generation))
	}
	s.update(func(st *State) {
		st.StoreID, st.Generation, st.Source, st.Rejection = s.storeID, m.GetGeneration(), s.o.Source, nil
	})
	s.o.Log.Info("the control plane confirms the configuration in force", zap.String("generation", show(m.GetGeneration())), zap.String("hash", m.GetHash()))
	if have.StoreID == s.storeID && proto.Equal(have.Generation, m.GetGeneration()) {
		return nil
	}
	if err := s.persist(m.GetGeneration(), have.Content); err != nil {
		s.o.Log.Error("cannot keep the configuration for the next start", zap.Error(err))
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
	s.coming = &coming{Begin: b, base: release.Empty()}
	switch {
	case s.old(b.GetGeneration(), have):
		return s.refuse(refuse(heliosv1.Stage_STAGE_VERIFY, "generation %s is older than %s, which is in force", show(b.GetGeneration()), show(have.Generation)))
	case b.GetBytes() > uint64(s.o.MaxBytes):
		return s.refuse(tooLarge(b.GetBytes(), s.o.MaxBytes))
	case b.GetBaseHash() == "":
		return nil
	case b.GetBaseHash() != have.Hash():
		s.coming.over = true
		return s.Send(&heliosv1.StreamConfigRequest{Message: &heliosv1.StreamConfigRequest_NeedFull{NeedFull: &heliosv1.NeedFull{Nonce: b.GetNonce()}}})
	}
	s.coming.base = have.Content
	return nil
}

// chunk takes a part of what is coming, and no more of it than was announced.
func (s *stream) chunk(m *heliosv1.Chunk) error {
	c := s.coming
	if c == nil || c.GetNonce() != m.GetNonce() {
		return errors.New("the control plane has sent a part of a generation that it has not announced")
	}
	if c.over {
		return nil
	}
	for _, it := range m.GetUpserts() {
		c.bytes += len(it.GetPayload())
	}
	c.difference.Upserts = append(c.difference.Upserts, m.GetUpserts()...)
	c.difference.Removes = append(c.difference.Removes, m.GetRemoves()...)
	if uint64(c.bytes) > c.GetBytes() || len(c.difference.Upserts) > int(c.GetResources()) || len(c.difference.Removes) > c.base.Len() {
		return s.refuse(refuse(heliosv1.Stage_STAGE_VERIFY, "more came than the %d resources with %d bytes that were announced", c.GetResources(), c.GetBytes()))
	}
	return nil
}

// commit begins to put a generation in force.
func (s *stream) commit(m *heliosv1.Commit) error {
	c := s.coming
	if c == nil || c.GetNonce() != m.GetNonce() {
		return errors.New("the control plane has sent the end of a generation that it has not announced")
	}
	s.coming = nil
	if c.over {
		return nil
	}
	s.applied = make(chan outcome, 1)
	go func(applied chan<- outcome) {
		o := outcome{coming: c}
		begun := time.Now()
		o.err = s.guarded(func() error { return s.enforce(&o) })
		o.took = time.Since(begun)
		applied <- o
	}(s.applied)
	return nil
}

// enforce verifies, decodes, validates and applies.
func (s *stream) enforce(o *outcome) (err error) {
	if o.content, err = o.base.With(o.difference); err != nil {
		return refuse(heliosv1.Stage_STAGE_VERIFY, "%s", err)
	}
	if o.content.Hash() != o.GetHash() {
		return refuse(heliosv1.Stage_STAGE_VERIFY, "its hash is %s, and %s was announced", o.content.Hash(), o.GetHash())
	}
	if s.o.Files != nil && s.o.Files.Bad(o.content.Hash()) {
		return refuse(heliosv1.Stage_STAGE_COMPILE, "this proxy has ended soon after each of its last starts with it; to try it again, remove the file bad in the state directory and start the proxy anew")
	}
	set, err := check(o.content, s.o.MaxBytes)
	if err != nil {
		return err
	}
	o.warnings, err = s.o.Applier.Apply(set, func() error { return s.persist(o.GetGeneration(), o.content) })
	return err
}

// persist keeps a content for the next start.
func (s *stream) persist(g *heliosv1.Generation, content *release.Content) error {
	if s.o.Files == nil {
		return nil
	}
	return s.o.Files.Save(lkg.Entry{StoreID: s.storeID, Group: s.o.Group, Generation: g, MockSecret: s.mockSecret, Content: content})
}

// settle takes note of what became of a generation and returns what the control plane is told.
func (s *stream) settle(o outcome) *heliosv1.StreamConfigRequest {
	if o.err != nil {
		var r *Refusal
		if !errors.As(o.err, &r) {
			r = refuse(heliosv1.Stage_STAGE_WARM, "%s", o.err)
		}
		return s.reject(o.coming, r)
	}
	s.update(func(st *State) {
		st.StoreID, st.Generation, st.Content, st.Source = s.storeID, o.GetGeneration(), o.content, s.o.Source
		st.Since, st.Saved, st.Rejection, st.Warnings = time.Now(), time.Time{}, nil, o.warnings
	})
	s.o.Log.Info("configuration in force", zap.String("generation", show(o.GetGeneration())), zap.String("hash", o.content.Hash()),
		zap.Int("resources", o.content.Len()), zap.Duration("took", o.took), zap.Strings("warnings", o.warnings))
	return &heliosv1.StreamConfigRequest{Message: &heliosv1.StreamConfigRequest_Ack{Ack: &heliosv1.Ack{
		Nonce: o.GetNonce(), Generation: o.GetGeneration(), Hash: o.content.Hash(), Took: durationpb.New(o.took), Warnings: o.warnings,
	}}}
}

// refuse refuses what is coming before it has come.
func (s *stream) refuse(r *Refusal) error {
	s.coming.over = true
	return s.Send(s.reject(s.coming, r))
}

// reject takes note of a refusal and returns what the control plane is told.
func (s *stream) reject(c *coming, r *Refusal) *heliosv1.StreamConfigRequest {
	rejection := &heliosv1.Rejection{Generation: c.GetGeneration(), Hash: c.GetHash(), Stage: r.Stage, Faults: r.Faults}
	s.update(func(st *State) {
		st.Rejection = rejection
		st.Refusals++
	})
	s.o.Log.Error("configuration refused, what was in force stays so", zap.String("generation", show(c.GetGeneration())), zap.Error(r))
	return &heliosv1.StreamConfigRequest{Message: &heliosv1.StreamConfigRequest_Nack{Nack: &heliosv1.Nack{Nonce: c.GetNonce(), Rejection: rejection}}}
}
