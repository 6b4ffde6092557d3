package configsync_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/heliosproxy/heliosproxy/dataplane/configsync"
	"github.com/heliosproxy/heliosproxy/pkg/lkg"
	"github.com/heliosproxy/heliosproxy/pkg/release"
	"github.com/heliosproxy/heliosproxy/pkg/resource"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

type (
	response = heliosv1.StreamConfigResponse
	request  = heliosv1.StreamConfigRequest
)

// content makes a configuration of pool profiles, one for each letter of a word: "ab" has two. A capital
// letter is a node in a cluster that is not there, which is not valid.
func content(t testing.TB, word string) *release.Content {
	t.Helper()
	var items []*heliosv1.Item
	for _, r := range word {
		kind, m := resource.KindPoolProfile, resource.Message(&heliosv1.PoolProfile{
			Name: string(r), Mode: heliosv1.PoolMode_POOL_MODE_SESSION, MaxConnections: 1,
		})
		if r < 'a' {
			kind = resource.KindNode
			m = &heliosv1.Node{
				Name: string(r), Cluster: strings.ToLower(string(r)), Host: "127.0.0.1", Port: uint32(r),
				Role: heliosv1.NodeRole_NODE_ROLE_PRIMARY,
			}
		}
		it, err := release.Encode(kind, m)
		if err != nil {
			t.Fatal(err)
		}
		items = append(items, it)
	}
	c, err := release.New(items)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// word is content backwards.
func word(c *release.Content) string {
	if c == nil {
		return "nothing"
	}
	var b strings.Builder
	for it := range c.Items {
		b.WriteString(it.GetName())
	}
	return b.String()
}

// machine is what puts configurations in force, by their words. One with x is refused
// when the machine is warmed, y makes it panic, z is put in force with a warning.
type machine struct {
	mu      sync.Mutex
	inForce string
	took    time.Duration // how long it takes
	persist error         // what keeping said last
	// What is planted: the machine fails after it has swapped, or swaps half.
	swapsAndFails, swapsHalf bool
}

// Apply implements [configsync.Applier].
func (m *machine) Apply(set *resource.Set, persist func() error) (warnings []string, err error) {
	var names []string
	for kind, r := range set.All {
		if kind != resource.KindLimits && kind != resource.KindConsole && kind != resource.KindResolver {
			names = append(names, r.GetName())
		}
	}
	slices.Sort(names)
	w := strings.Join(names, "")
	<-time.After(m.took) // a bubble's time
	switch {
	case strings.Contains(w, "x") && !m.swapsAndFails:
		return nil, &configsync.Refusal{Stage: heliosv1.Stage_STAGE_WARM, Faults: []*heliosv1.Fault{{Kind: "PoolProfile", Name: "x", Reason: "does not fit"}}}
	case strings.Contains(w, "y"):
		panic("planted")
	case strings.Contains(w, "z"):
		warnings = []string{"z is odd"}
	case strings.Contains(w, "w"):
		return nil, errors.New("no idea why")
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if persist != nil {
		if m.persist = persist(); m.persist != nil {
			warnings = append(warnings, "lkg_write_failed: "+m.persist.Error())
		}
	}
	m.inForce = w
	if m.swapsHalf {
		m.inForce = w[:len(w)/2]
	}
	if m.swapsAndFails && strings.Contains(w, "x") {
		return nil, errors.New("it was swapped all the same")
	}
	return warnings, nil
}

func (m *machine) runs() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.inForce
}

// link is a stream as the control plane sees it.
type link struct {
	ctx  context.Context
	down chan *response
	end  chan error

	mu   sync.Mutex
	said []*request
}

// plane is a control plane whose streams are links: a connection without gRPC in between.
type plane struct {
	mu    sync.Mutex
	links []*link
	down  error // what opening a stream gives
	tries []time.Time
}

// NewStream implements [grpc.ClientConnInterface].
func (p *plane) NewStream(ctx context.Context, _ *grpc.StreamDesc, _ string, _ ...grpc.CallOption) (grpc.ClientStream, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tries = append(p.tries, time.Now())
	if p.down != nil {
		return nil, p.down
	}
	l := &link{ctx: ctx, down: make(chan *response, 100), end: make(chan error, 1)}
	p.links = append(p.links, l)
	return l, nil
}

// Invoke implements [grpc.ClientConnInterface].
func (p *plane) Invoke(context.Context, string, any, any, ...grpc.CallOption) error {
	return errors.New("there are only streams")
}

func (p *plane) link() *link {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.links) == 0 {
		return nil
	}
	return p.links[len(p.links)-1]
}

// RecvMsg is the proxy's side of the link.
func (l *link) RecvMsg(m any) error {
	select {
	case r := <-l.down:
		proto.Merge(m.(*response), r)
		return nil
	default:
	}
	select {
	case r := <-l.down:
		proto.Merge(m.(*response), r)
		return nil
	case err := <-l.end:
		l.end <- err
		return err
	case <-l.ctx.Done():
		return l.ctx.Err()
	}
}

// SendMsg is the proxy's side of the link.
func (l *link) SendMsg(m any) error {
	select {
	case err := <-l.end:
		l.end <- err
		return io.EOF
	default:
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.said = append(l.said, proto.Clone(m.(*request)).(*request))
	return nil
}

func (l *link) Header() (metadata.MD, error) { return nil, nil }
func (l *link) Trailer() metadata.MD         { return nil }
func (l *link) CloseSend() error             { return nil }
func (l *link) Context() context.Context     { return l.ctx }

// heard takes what the proxy has said since it was asked last.
func (l *link) heard() []*request {
	l.mu.Lock()
	defer l.mu.Unlock()
	said := l.said
	l.said = nil
	return said
}

// stage is a client between a control plane and a machine.
type stage struct {
	t *testing.T
	*plane
	*machine
	client *configsync.Client
	words  map[string]string // of contents, by hash
	stop   func()
}

const maxBytes = 1000

// options are those of all stages.
func options(p *plane, m *machine) configsync.Options {
	return configsync.Options{
		Log: zap.NewNop(), NodeID: "n", Group: "g", Build: "test", Source: heliosv1.Source_SOURCE_CONTROL_PLANE,
		Servers: []configsync.Server{{Name: "cp", Conn: p}}, Applier: m, MaxBytes: maxBytes,
	}
}

// newStage starts a client inside a bubble; change may be nil. The client boots where it has files.
func newStage(t *testing.T, change func(*configsync.Options)) *stage {
	t.Helper()
	s := &stage{t: t, plane: &plane{}, machine: &machine{}, words: map[string]string{}}
	o := options(s.plane, s.machine)
	if change != nil {
		change(&o)
	}
	s.client = configsync.New(o)
	if err := s.client.Boot(); err != nil && !errors.Is(err, lkg.ErrNone) {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { s.client.Run(ctx) })
	s.stop = func() { stop(); running.Wait() }
	synctest.Wait()
	return s
}

// tell sends messages, each after the one before was obeyed, and returns what the proxy has said.
func (s *stage) tell(messages ...*response) []string {
	s.t.Helper()
	for _, m := range messages {
		s.link().down <- m
		synctest.Wait()
	}
	return s.said()
}

func (s *stage) said() []string {
	var all []string
	for _, m := range s.link().heard() {
		all = append(all, s.read(m))
	}
	return all
}

// content makes a content that the stage knows by its word.
func (s *stage) content(w string) *release.Content {
	c := content(s.t, w)
	s.words[c.Hash()] = w
	return c
}

// name is the word of a content by its hash.
func (s *stage) name(hash string) string {
	if w, ok := s.words[hash]; ok || hash == "" {
		return w
	}
	return hash[:min(8, len(hash))]
}

// read puts a message of the proxy into words.
func (s *stage) read(m *request) string {
	switch m := m.GetMessage().(type) {
	case *heliosv1.StreamConfigRequest_Hello:
		source := strings.TrimPrefix(m.Hello.GetSource().String(), "SOURCE_")
		return fmt.Sprintf("hello %q %d %q %s", m.Hello.GetStoreId(), m.Hello.GetApplied().GetRevision(), s.name(m.Hello.GetHash()), source)
	case *heliosv1.StreamConfigRequest_Ack:
		return fmt.Sprintf("ack %d %d %s %q", m.Ack.GetNonce(), m.Ack.GetGeneration().GetRevision(), s.name(m.Ack.GetHash()), m.Ack.GetWarnings())
	case *heliosv1.StreamConfigRequest_Nack:
		r := m.Nack.GetRejection()
		return fmt.Sprintf("nack %d %d %s %s", m.Nack.GetNonce(), r.GetGeneration().GetRevision(), s.name(r.GetHash()), &configsync.Refusal{Stage: r.GetStage(), Faults: r.GetFaults()})
	case *heliosv1.StreamConfigRequest_NeedFull:
		return fmt.Sprintf("need full %d", m.NeedFull.GetNonce())
	case *heliosv1.StreamConfigRequest_Heartbeat:
		return "heartbeat"
	}
	return "what?"
}

// What the control plane says.

func welcome(store string) *response {
	return &response{Message: &heliosv1.StreamConfigResponse_Welcome{Welcome: &heliosv1.Welcome{StoreId: store, Heartbeat: durationpb.New(5 * time.Second), MockSecret: "salt of " + store}}}
}

func upToDate(revision int64, hash string) *response {
	return &response{Message: &heliosv1.StreamConfigResponse_UpToDate{UpToDate: &heliosv1.UpToDate{Generation: &heliosv1.Generation{Revision: revision}, Hash: hash}}}
}

func begin(b *heliosv1.Begin) *response {
	return &response{Message: &heliosv1.StreamConfigResponse_Begin{Begin: b}}
}

func chunk(nonce uint64, d release.Difference) *response {
	return &response{Message: &heliosv1.StreamConfigResponse_Chunk{Chunk: &heliosv1.Chunk{Nonce: nonce, Upserts: d.Upserts, Removes: d.Removes}}}
}

func commit(nonce uint64) *response {
	return &response{Message: &heliosv1.StreamConfigResponse_Commit{Commit: &heliosv1.Commit{Nonce: nonce}}}
}

func alive() *response {
	return &response{Message: &heliosv1.StreamConfigResponse_Heartbeat{Heartbeat: &heliosv1.Heartbeat{}}}
}

func announce(nonce uint64, revision int64, base string, c *release.Content) *heliosv1.Begin {
	return &heliosv1.Begin{
		Nonce: nonce, Generation: &heliosv1.Generation{Revision: revision}, Hash: c.Hash(), BaseHash: base,
		Resources: uint32(c.Len()), Bytes: uint64(c.Bytes()),
	}
}

// whole is a generation with all of its content, an item a chunk.
func whole(nonce uint64, revision int64, c *release.Content) []*response {
	return parts(announce(nonce, revision, "", c), release.Empty().To(c))
}

// change is a generation with what makes it of another content.
func change(nonce uint64, revision int64, base, c *release.Content) []*response {
	return parts(announce(nonce, revision, base.Hash(), c), base.To(c))
}

func parts(b *heliosv1.Begin, d release.Difference) []*response {
	all := []*response{begin(b)}
	for part := range d.Chunks(1) {
		all = append(all, chunk(b.GetNonce(), part))
	}
	return append(all, commit(b.GetNonce()))
}
