package distribute_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	"github.com/heliosproxy/heliosproxy/controlplane/distribute"
	"github.com/heliosproxy/heliosproxy/pkg/release"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// observer notes what sessions say.
type observer struct {
	mu    sync.Mutex
	notes []string
	said  chan struct{}
}

func (o *observer) note(format string, args ...any) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.notes = append(o.notes, fmt.Sprintf(format, args...))
	select {
	case o.said <- struct{}{}:
	default:
	}
}

func (o *observer) Connected(h *heliosv1.ConfigHello) { o.note("connected %s", h.GetNodeId()) }
func (o *observer) Sent(n string, g *heliosv1.Generation, _ string, _ int, whole bool) {
	o.note("sent %s %d %v", n, g.GetRevision(), whole)
}

func (o *observer) Confirmed(n string, g *heliosv1.Generation, _ string, ack *heliosv1.Ack) {
	o.note("confirmed %s %d %v", n, g.GetRevision(), ack != nil)
}

func (o *observer) Refused(n string, r *heliosv1.Rejection) {
	o.note("refused %s %d", n, r.GetGeneration().GetRevision())
}
func (o *observer) Gone(n string, _ error) { o.note("gone %s", n) }

// wait returns when a note is there.
func (o *observer) wait(t *testing.T, want string) {
	t.Helper()
	late := time.After(10 * time.Second)
	for {
		o.mu.Lock()
		all := strings.Join(o.notes, "; ")
		o.mu.Unlock()
		if strings.Contains(all, want) {
			return
		}
		select {
		case <-o.said:
		case <-late:
			t.Fatalf("nobody said %q but %s", want, all)
		}
	}
}

// rig is a server and a way to it.
type rig struct {
	*distribute.Server
	*observer
	conn *grpc.ClientConn
}

func newRig(t *testing.T, edit func(*distribute.Times)) *rig {
	t.Helper()
	times := distribute.DefaultTimes()
	times.Nacked = time.Millisecond
	if edit != nil {
		edit(&times)
	}
	o := &observer{said: make(chan struct{}, 1)}
	s := distribute.New(distribute.Options{
		StoreID: "store", Observer: o, Log: zap.NewNop(), Times: times,
		Refresh: func(context.Context, int64) error { return errors.New("it is behind") },
	})
	l := bufconn.Listen(1 << 20)
	g := grpc.NewServer()
	heliosv1.RegisterConfigServiceServer(g, s)
	go g.Serve(l)
	conn, err := grpc.NewClient("passthrough:///x", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return l.DialContext(ctx) }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(); g.Stop() })
	return &rig{s, o, conn}
}

// proxy is the client's side of a stream, played by hand.
type proxy struct {
	t *testing.T
	heliosv1.ConfigService_StreamConfigClient
}

func (r *rig) connect(t *testing.T, edit func(*heliosv1.ConfigHello)) *proxy {
	t.Helper()
	s, err := heliosv1.NewConfigServiceClient(r.conn).StreamConfig(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	h := &heliosv1.ConfigHello{NodeId: "a", ProtocolVersion: distribute.ProtocolVersion, Kinds: []string{"User", "Node"}}
	if edit != nil {
		edit(h)
	}
	p := &proxy{t, s}
	p.send(&heliosv1.StreamConfigRequest{Message: &heliosv1.StreamConfigRequest_Hello{Hello: h}})
	return p
}

// send leaves it to receiving to say why a stream has ended.
func (p *proxy) send(m *heliosv1.StreamConfigRequest) {
	if err := p.Send(m); err != nil && !errors.Is(err, io.EOF) {
		p.t.Fatal(err)
	}
}

// next returns the next message that is not a heartbeat.
func (p *proxy) next() *heliosv1.StreamConfigResponse {
	p.t.Helper()
	for {
		m, err := p.Recv()
		if err != nil {
			p.t.Fatal(err)
		}
		if m.GetHeartbeat() == nil {
			return m
		}
	}
}

// fails wants the stream to end with a code and words.
func (p *proxy) fails(code codes.Code, words string) {
	p.t.Helper()
	for {
		m, err := p.Recv()
		if err == nil {
			if m.GetWelcome() == nil && m.GetHeartbeat() == nil && m.GetUpToDate() == nil && m.GetNoRelease() == nil {
				p.t.Fatalf("got %v", m)
			}
			continue
		}
		if status.Code(err) != code || !strings.Contains(err.Error(), words) {
			p.t.Errorf("got %v, want %v %s", err, code, words)
		}
		return
	}
}

// generation receives a whole generation that begins now, and what it would make of base.
func (p *proxy) generation(base *release.Content) (*heliosv1.Begin, *release.Content) {
	p.t.Helper()
	b := p.next().GetBegin()
	if b == nil {
		p.t.Fatal("no generation begins")
	}
	var d release.Difference
	for {
		m := p.next()
		if c := m.GetChunk(); c != nil {
			d.Upserts = append(d.Upserts, c.GetUpserts()...)
			d.Removes = append(d.Removes, c.GetRemoves()...)
			continue
		}
		if m.GetCommit().GetNonce() != b.GetNonce() {
			p.t.Fatalf("got %v", m)
		}
		break
	}
	if b.GetBaseHash() == "" {
		base = release.Empty()
	}
	c, err := base.With(d)
	if err != nil {
		p.t.Fatal(err)
	}
	return b, c
}

func (p *proxy) ack(b *heliosv1.Begin) {
	p.send(&heliosv1.StreamConfigRequest{Message: &heliosv1.StreamConfigRequest_Ack{Ack: &heliosv1.Ack{Nonce: b.GetNonce(), Hash: b.GetHash()}}})
}

func (p *proxy) nack(b *heliosv1.Begin) {
	p.send(&heliosv1.StreamConfigRequest{Message: &heliosv1.StreamConfigRequest_Nack{Nack: &heliosv1.Nack{
		Nonce: b.GetNonce(), Rejection: &heliosv1.Rejection{Stage: heliosv1.Stage_STAGE_WARM},
	}}})
}

// content has n users, the first of which holds a value.
func content(t *testing.T, n int, value string) *release.Content {
	t.Helper()
	var items []*heliosv1.Item
	for i := range n {
		it := &heliosv1.Item{Kind: "User", Name: fmt.Sprintf("u%05d", i), Payload: make([]byte, 1000)}
		if i == 0 {
			it.Payload = []byte(value)
		}
		items = append(items, it)
	}
	c, err := release.New(items)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (r *rig) set(revision int64, c *release.Content, again int64) {
	r.Set(&distribute.Assignment{Generation: &heliosv1.Generation{Epoch: 1, Revision: revision}, Content: c, Again: again})
}

// TestSequence is the life of a stream: nothing, whole, a difference, up to date, refused, again.
func TestSequence(t *testing.T) {
	r := newRig(t, nil)
	if p := r.connect(t, nil); true {
		p.fails(codes.Unavailable, "not read yet")
	}
	r.Set(nil)
	p := r.connect(t, nil)
	if p.next().GetWelcome().GetStoreId() != "store" || p.next().GetNoRelease() == nil {
		t.Fatal("no welcome, or there is a release")
	}
	one, two := content(t, 3000, "one"), content(t, 3000, "two")
	r.set(10, one, 0)
	b, got := p.generation(nil)
	if got.Hash() != one.Hash() || b.GetBaseHash() != "" || b.GetGeneration().GetRevision() != 10 || b.GetBytes() != uint64(one.Bytes()) {
		t.Fatalf("got %v", b)
	}
	// What comes meanwhile waits, and only the newest is sent; as a difference, and only to what was acknowledged.
	r.set(11, content(t, 3000, "overtaken"), 0)
	r.set(12, two, 0)
	p.ack(b)
	b, got = p.generation(one)
	if got.Hash() != two.Hash() || b.GetBaseHash() != one.Hash() || b.GetGeneration().GetRevision() != 12 {
		t.Fatalf("got %v", b)
	}
	p.ack(&heliosv1.Begin{Nonce: 1, Hash: "of an attempt that is over"})
	p.ack(b)
	r.wait(t, "confirmed a 12 true")
	// The same content under a new name has no body.
	r.set(13, two, 0)
	if u := p.next().GetUpToDate(); u.GetGeneration().GetRevision() != 13 || u.GetHash() != two.Hash() {
		t.Fatalf("got %v", u)
	}
	// What was refused is not sent again, until somebody asks for it; something else is.
	three := content(t, 3, "three")
	r.set(14, three, 0)
	b, _ = p.generation(two)
	p.nack(b)
	r.wait(t, "refused a 14")
	r.set(15, three, 0)
	r.set(15, three, 1)
	if b, _ = p.generation(two); b.GetHash() != three.Hash() {
		t.Fatalf("got %v", b)
	}
	p.nack(b)
	r.wait(t, "refused a 15")
	r.set(16, one, 1)
	if b, got = p.generation(two); got.Hash() != one.Hash() || b.GetGeneration().GetRevision() != 16 {
		t.Fatalf("got %v", b)
	}
	// Whoever does not have the base is sent the whole.
	p.ack(b)
	r.set(17, two, 1)
	b, _ = p.generation(one)
	p.send(&heliosv1.StreamConfigRequest{Message: &heliosv1.StreamConfigRequest_NeedFull{NeedFull: &heliosv1.NeedFull{Nonce: b.GetNonce()}}})
	if b, got = p.generation(nil); b.GetBaseHash() != "" || got.Hash() != two.Hash() {
		t.Fatalf("got %v", b)
	}
	p.ack(b)
	r.wait(t, "confirmed a 17 true")
	if err := p.CloseSend(); err != nil {
		t.Fatal(err)
	}
	r.wait(t, "gone a")
}

// TestReconnect: who has the content is told so at once; who has one that is remembered gets the difference;
// everybody else the whole. Generations of another store are not compared.
func TestReconnect(t *testing.T) {
	r := newRig(t, nil)
	one, two := content(t, 3, "one"), content(t, 3, "two")
	r.set(10, one, 0)
	r.set(20, two, 0)
	has := func(store string, revision int64, hash string) *proxy {
		p := r.connect(t, func(h *heliosv1.ConfigHello) {
			h.StoreId, h.Applied, h.Hash = store, &heliosv1.Generation{Epoch: 1, Revision: revision}, hash
		})
		if p.next().GetWelcome() == nil {
			t.Fatal("no welcome")
		}
		return p
	}
	if u := has("store", 20, two.Hash()).next().GetUpToDate(); u.GetHash() != two.Hash() {
		t.Error("who is up to date is not told so")
	}
	if b, _ := has("store", 10, one.Hash()).generation(one); b.GetBaseHash() != one.Hash() {
		t.Error("no difference to what is remembered")
	}
	if b, _ := has("store", 5, "forgotten").generation(nil); b.GetBaseHash() != "" {
		t.Error("a difference to what is not known")
	}
	if b, _ := has("another", 900, "unknown").generation(nil); b.GetHash() != two.Hash() {
		t.Error("another store's generation stands in the way")
	}
	p := r.connect(t, func(h *heliosv1.ConfigHello) {
		h.StoreId, h.Applied, h.Hash = "store", &heliosv1.Generation{Epoch: 1, Revision: 21}, two.Hash()
	})
	p.fails(codes.Unavailable, "the store is behind the proxy")
}

// TestTurnedAway: who cannot be served is told why, and a message out of turn ends the stream.
func TestTurnedAway(t *testing.T) {
	r := newRig(t, func(t *distribute.Times) { t.Hello = 50 * time.Millisecond })
	r.set(1, content(t, 1, "x"), 0)
	r.connect(t, func(h *heliosv1.ConfigHello) { h.ProtocolVersion = 9 }).fails(codes.FailedPrecondition, "speaks version 9")
	r.connect(t, func(h *heliosv1.ConfigHello) { h.NodeId = "" }).fails(codes.InvalidArgument, "no node_id")
	r.connect(t, func(h *heliosv1.ConfigHello) { h.Kinds = []string{"Node"} }).fails(codes.FailedPrecondition, "resources of kind User, and the proxy knows only Node")
	s, err := heliosv1.NewConfigServiceClient(r.conn).StreamConfig(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	(&proxy{t, s}).fails(codes.InvalidArgument, "no Hello within")
	p := r.connect(t, nil)
	p.next()
	b, _ := p.generation(nil)
	p.send(&heliosv1.StreamConfigRequest{Message: &heliosv1.StreamConfigRequest_Ack{Ack: &heliosv1.Ack{Nonce: b.GetNonce(), Hash: "other"}}})
	p.fails(codes.InvalidArgument, "another hash")
}

// TestSilence: who says nothing, or does not answer to a generation, loses his stream.
func TestSilence(t *testing.T) {
	r := newRig(t, func(t *distribute.Times) { t.Heartbeat = 10 * time.Millisecond })
	r.Set(nil)
	r.connect(t, nil).fails(codes.DeadlineExceeded, "nothing was heard")
}

// TestSlowReader: one who does not read holds nobody else up, and loses his stream.
func TestSlowReader(t *testing.T) {
	r := newRig(t, func(t *distribute.Times) { t.Send = 2 * time.Second })
	r.set(1, content(t, 20_000, "large"), 0)
	slow := r.connect(t, func(h *heliosv1.ConfigHello) { h.NodeId = "slow" })
	fast := r.connect(t, nil)
	fast.next()
	b, _ := fast.generation(nil)
	fast.ack(b)
	r.wait(t, "confirmed a 1")
	r.wait(t, "gone slow")
	_ = slow
}

// TestDrain asks everybody to leave.
func TestDrain(t *testing.T) {
	r := newRig(t, nil)
	r.Set(nil)
	p := r.connect(t, nil)
	p.next()
	p.next()
	done := make(chan error, 1)
	go func() { done <- r.Drain(t.Context()) }()
	if p.next().GetDrain().GetReason() == "" {
		t.Error("no word of leaving")
	}
	if err := p.CloseSend(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil || r.Sessions() != 0 {
		t.Errorf("%v, %d sessions", err, r.Sessions())
	}
}

// TestHammer sets, connects and leaves at once: everybody ends with what was set last.
func TestHammer(t *testing.T) {
	r := newRig(t, nil)
	r.set(1, content(t, 10, "first"), 0)
	const last = 60
	var all sync.WaitGroup
	for i := range 20 {
		all.Go(func() {
			p := r.connect(t, func(h *heliosv1.ConfigHello) { h.NodeId = fmt.Sprintf("n%d", i) })
			p.next()
			var have *release.Content
			for {
				b, c := p.generation(have)
				have = c
				p.ack(b)
				if b.GetGeneration().GetRevision() == last {
					return
				}
			}
		})
	}
	for i := int64(2); i <= last; i++ {
		r.set(i, content(t, 10, fmt.Sprint(i)), 0)
	}
	all.Wait()
}
