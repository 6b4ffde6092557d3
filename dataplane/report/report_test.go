package report_test

import (
	"context"
	"errors"
	"fmt"
	"io"
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

	"github.com/heliosproxy/heliosproxy/dataplane/report"
	"github.com/heliosproxy/heliosproxy/pkg/release"
	"github.com/heliosproxy/heliosproxy/pkg/resource"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// plane is a control plane and the only stream that it has: a connection without gRPC in between.
type plane struct {
	mu    sync.Mutex
	down  error // what opening a stream gives
	tries int
	said  []*heliosv1.StreamStatusRequest
	in    chan *heliosv1.StreamStatusResponse
	end   chan error
	ctx   context.Context
}

// NewStream implements [grpc.ClientConnInterface].
func (p *plane) NewStream(ctx context.Context, _ *grpc.StreamDesc, _ string, _ ...grpc.CallOption) (grpc.ClientStream, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tries++
	if p.down != nil {
		return nil, p.down
	}
	p.in, p.end, p.ctx = make(chan *heliosv1.StreamStatusResponse, 100), make(chan error, 1), ctx
	return p, nil
}

// Invoke implements [grpc.ClientConnInterface].
func (p *plane) Invoke(context.Context, string, any, any, ...grpc.CallOption) error {
	return errors.New("there are only streams")
}

// RecvMsg is the proxy's side of the stream.
func (p *plane) RecvMsg(m any) error {
	select {
	case r := <-p.in:
		proto.Merge(m.(*heliosv1.StreamStatusResponse), r)
		return nil
	case err := <-p.end:
		return err
	case <-p.ctx.Done():
		return p.ctx.Err()
	}
}

// SendMsg is the proxy's side of the stream.
func (p *plane) SendMsg(m any) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.down != nil {
		return io.EOF
	}
	p.said = append(p.said, proto.Clone(m.(*heliosv1.StreamStatusRequest)).(*heliosv1.StreamStatusRequest))
	return nil
}

func (p *plane) Header() (metadata.MD, error) { return nil, nil }
func (p *plane) Trailer() metadata.MD         { return nil }
func (p *plane) CloseSend() error             { return nil }
func (p *plane) Context() context.Context     { return p.ctx }

// heard takes what the proxy has said since it was asked last.
func (p *plane) heard() []*heliosv1.StreamStatusRequest {
	synctest.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	said := p.said
	p.said = nil
	return said
}

func (p *plane) fail(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.down = err
}

// proxy is what is reported.
type proxy struct {
	mu      sync.Mutex
	hash    string
	changed chan struct{}
	content *release.Content
	command func(ctx context.Context, text string) *report.Outcome
	peers   []*heliosv1.Peers // what it was told
}

func (p *proxy) meet(said *heliosv1.Peers) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.peers = append(p.peers, said)
}

// Report implements [report.Source].
func (p *proxy) Report() (*heliosv1.StatusReport, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return &heliosv1.StatusReport{NodeId: "n", Hash: p.hash}, p.changed
}

// Dump implements [report.Source].
func (p *proxy) Dump() (*heliosv1.ConfigDump, *release.Content) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return &heliosv1.ConfigDump{Hash: p.hash, Source: heliosv1.Source_SOURCE_CONTROL_PLANE}, p.content
}

// Command implements [report.Source].
func (p *proxy) Command(ctx context.Context, text, _ string) *report.Outcome {
	return p.command(ctx, text)
}

func (p *proxy) change(hash string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.hash = hash
	close(p.changed)
	p.changed = make(chan struct{})
}

// run starts a reporter inside a bubble, and ends it with the test.
func run(t *testing.T) (*plane, *proxy) {
	t.Helper()
	p, x := &plane{}, &proxy{hash: "a", changed: make(chan struct{})}
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		report.Run(ctx, report.Options{Log: zap.NewNop(), Source: x, Servers: []grpc.ClientConnInterface{p}, Peers: x.meet})
	})
	t.Cleanup(func() { stop(); running.Wait() })
	synctest.Wait()
	return p, x
}

func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// TestWhen reports at once, as often as asked, and when something has changed.
func TestWhen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, x := run(t)
		if got := p.heard(); len(got) != 1 || got[0].GetReport().GetHash() != "a" {
			t.Fatalf("at first the proxy said %v", got)
		}
		pass(time.Minute)
		if n := len(p.heard()); n < 10 || n > 14 {
			t.Errorf("%d reports in a minute, want about 12", n)
		}
		p.in <- &heliosv1.StreamStatusResponse{Message: &heliosv1.StreamStatusResponse_Settings{Settings: &heliosv1.ReportSettings{Interval: durationpb.New(time.Second)}}}
		synctest.Wait()
		p.heard()
		pass(time.Minute)
		if n := len(p.heard()); n < 54 || n > 67 {
			t.Errorf("%d reports in a minute, want about 60", n)
		}
		p.in <- &heliosv1.StreamStatusResponse{Message: &heliosv1.StreamStatusResponse_Settings{Settings: &heliosv1.ReportSettings{Interval: durationpb.New(time.Hour)}}}
		synctest.Wait()
		p.heard()
		x.change("b")
		if got := p.heard(); len(got) != 1 || got[0].GetReport().GetHash() != "b" {
			t.Errorf("after a change the proxy said %v", got)
		}
		pass(30 * time.Minute)
		if got := p.heard(); len(got) != 0 {
			t.Errorf("the proxy said %v of itself", got)
		}
	})
}

// TestComesBack opens another stream where one has ended, soon at first and then ever later.
func TestComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _ := run(t)
		p.in <- &heliosv1.StreamStatusResponse{}
		p.heard()
		p.end <- errors.New("restart")
		pass(101 * time.Millisecond)
		if got := p.heard(); len(got) != 1 {
			t.Errorf("after a stream that was answered the proxy said %v", got)
		}
		p.fail(errors.New("nobody there"))
		p.end <- errors.New("restart")
		p.mu.Lock()
		p.tries = 0
		p.mu.Unlock()
		pass(10 * time.Minute)
		if p.mu.Lock(); p.tries < 80 || p.tries > 200 {
			t.Errorf("%d tries in 10 minutes, want about 120", p.tries)
		}
		p.mu.Unlock()
		p.fail(nil)
		pass(10 * time.Second)
		if got := p.heard(); len(got) == 0 {
			t.Error("the proxy has not come back")
		}
	})
}

// TestSendFails ends the stream where a message waits to be read while nothing can be sent any more.
func TestSendFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, x := run(t)
		p.heard()
		end := p.end
		p.fail(errors.New("broken"))
		for range 10 {
			p.in <- &heliosv1.StreamStatusResponse{}
		}
		x.change("b")
		end <- io.ErrUnexpectedEOF
		pass(time.Second)
		p.fail(nil)
		pass(10 * time.Second)
		if got := p.heard(); len(got) == 0 || got[0].GetReport().GetHash() != "b" {
			t.Errorf("the proxy said %v", got)
		}
	})
}

// TestPeers hears who the other proxies are, each time that it is said.
func TestPeers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, x := run(t)
		for n := range uint32(2) {
			p.in <- &heliosv1.StreamStatusResponse{Message: &heliosv1.StreamStatusResponse_Peers{Peers: &heliosv1.Peers{YourNumber: n + 1}}}
		}
		synctest.Wait()
		x.mu.Lock()
		defer x.mu.Unlock()
		if len(x.peers) != 2 || x.peers[1].GetYourNumber() != 2 {
			t.Errorf("the proxy was told %v", x.peers)
		}
	})
}

// TestDump asks for what the proxy runs: all of it comes, in parts that are small enough, without secrets.
func TestDump(t *testing.T) {
	const password = "p4ssw0rd-of-somebody"
	var items []*heliosv1.Item
	encode := func(kind resource.Kind, m resource.Message) {
		it, err := release.Encode(kind, m)
		if err != nil {
			t.Fatal(err)
		}
		items = append(items, it)
	}
	for i := range 3000 {
		encode(resource.KindUser, &heliosv1.User{
			Name: fmt.Sprintf("u%04d", i), ServerUser: strings.Repeat("s", 1000),
			Secret: &heliosv1.Secret{Value: password}, ServerPassword: &heliosv1.Secret{Value: password},
		})
	}
	// What cannot be read may hold anything.
	items = append(items, &heliosv1.Item{Kind: "Ghost", Name: "g", Payload: []byte(password)}, &heliosv1.Item{Kind: "User", Name: "other", Payload: items[0].GetPayload()})
	content, err := release.New(items)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name    string
		content *release.Content
		least   int // parts
	}{{"nothing", nil, 1}, {"much", content, 3}} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p, x := run(t)
				x.content = tt.content
				p.heard()
				p.in <- &heliosv1.StreamStatusResponse{Message: &heliosv1.StreamStatusResponse_ConfigWanted{ConfigWanted: &heliosv1.ConfigWanted{Id: 7}}}
				parts := p.heard()
				if len(parts) < tt.least {
					t.Fatalf("%d parts", len(parts))
				}
				var got []*heliosv1.Item
				for i, m := range parts {
					part := m.GetConfigDump()
					if part == nil || part.GetId() != 7 || part.GetLast() != (i == len(parts)-1) || (part.GetHash() != "") != (i == 0) {
						t.Errorf("part %d of %d has id %d, hash %q, last %v", i, len(parts), part.GetId(), part.GetHash(), part.GetLast())
					}
					if n := proto.Size(m); n >= 1<<20 {
						t.Errorf("part %d has %d bytes", i, n)
					}
					got = append(got, part.GetItems()...)
				}
				if tt.content == nil {
					return
				}
				if len(got) != tt.content.Len() {
					t.Fatalf("%d items of %d", len(got), tt.content.Len())
				}
				i := 0
				for want := range tt.content.Items {
					if got[i].GetKind() != want.GetKind() || got[i].GetName() != want.GetName() || strings.Contains(string(got[i].GetPayload()), password) {
						t.Fatalf("item %d is %v, want %s %s without secrets", i, got[i], want.GetKind(), want.GetName())
					}
					i++
				}
				u := &heliosv1.User{}
				if err := proto.Unmarshal(got[2].GetPayload(), u); err != nil || !u.GetSecret().GetRedacted() || len(u.GetServerUser()) != 1000 {
					t.Errorf("the user is shown as %.80v (%v)", u, err)
				}
			})
		})
	}
}
