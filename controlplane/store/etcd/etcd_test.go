package etcd_test

import (
	"context"
	"errors"
	"net"
	"net/url"
	"strings"
	"testing"
	"time"

	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest"

	"github.com/heliosproxy/heliosproxy/controlplane/store"
	"github.com/heliosproxy/heliosproxy/controlplane/store/etcd"
	"github.com/heliosproxy/heliosproxy/controlplane/store/storetest"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/freeport"
)

// serve runs an etcd that listens on loopback for the length of a test.
func serve(t *testing.T, quota int64) (addr string) {
	t.Helper()
	port, err := freeport.Take()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(port.Release)
	here := url.URL{Scheme: "http", Host: port.Addr()}
	cfg := embed.NewConfig()
	cfg.Name, cfg.Dir = "test", t.TempDir()
	cfg.ListenClientUrls, cfg.AdvertiseClientUrls = []url.URL{here}, []url.URL{here}
	cfg.ListenPeerUrls, cfg.AdvertisePeerUrls = nil, []url.URL{{Scheme: "unix", Host: "localhost", Path: "test:0"}}
	cfg.InitialCluster = cfg.InitialClusterFromName(cfg.Name)
	cfg.ZapLoggerBuilder = embed.NewZapLoggerBuilder(zap.NewNop())
	cfg.UnsafeNoFsync, cfg.TickMs, cfg.ElectionMs = true, 20, 200
	cfg.QuotaBackendBytes = quota
	e, err := embed.StartEtcd(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	select {
	case <-e.Server.ReadyNotify():
	case <-t.Context().Done():
	}
	return port.Addr()
}

func open(t *testing.T, addr string) *etcd.Store {
	t.Helper()
	s, err := etcd.Open(etcd.Options{Endpoints: []string{addr}, Log: zaptest.NewLogger(t), Progress: 200 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestConformance(t *testing.T) {
	storetest.Run(t, func(t *testing.T) store.Store { return open(t, serve(t, 0)) })
}

// put commits one key.
func put(ctx context.Context, s store.Store, key, value string) (store.Result, error) {
	return s.Commit(ctx, store.Txn{Then: []store.Op{{Key: key, Value: []byte(value)}}})
}

// TestNobodyThere: where nobody listens, nothing was changed, and the error says what the system has said.
func TestNobodyThere(t *testing.T) {
	port, err := freeport.Take()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(port.Release)
	s := open(t, port.Addr())
	_, write := put(t.Context(), s, "/a", "1")
	ctx, stop := context.WithTimeout(t.Context(), time.Second)
	defer stop()
	_, read := s.List(ctx, store.Range{Prefix: "/a"})
	for what, err := range map[string]error{"write": write, "read": read} {
		if !errors.Is(err, store.ErrUnavailable) || errors.Is(err, store.ErrOutcomeUnknown) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if !strings.Contains(write.Error(), "connection refused") {
		t.Errorf("write: %v", write)
	}
	batches, why := s.Watch(t.Context(), "/", 1)
	for b := range batches {
		t.Errorf("a watch of nobody tells %+v", b)
	}
	if err := why(); !errors.Is(err, store.ErrUnavailable) || !strings.Contains(err.Error(), "nothing was heard") {
		t.Errorf("watch: %v", err)
	}
}

// relay passes the bytes of one listener on to an address. What it does with the answers can be changed.
type relay struct {
	net.Listener
	to string
	// hold, if it is not nil, is closed when answers may pass; until then they are held back.
	hold chan struct{}
}

func (r *relay) run() {
	for {
		client, err := r.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", r.to)
		if err != nil {
			client.Close()
			return
		}
		pass := func(dst, src net.Conn, hold <-chan struct{}) {
			defer dst.Close()
			defer src.Close()
			buf := make([]byte, 32<<10)
			for {
				n, err := src.Read(buf)
				if n > 0 && hold != nil {
					<-hold
				}
				if _, werr := dst.Write(buf[:n]); err != nil || werr != nil {
					return
				}
			}
		}
		go pass(server, client, nil)
		go pass(client, server, r.hold)
	}
}

// TestLost: where the answer is lost on the way, the outcome is not known, and it says so though the call had
// a deadline; and so it is where the connection breaks.
func TestLost(t *testing.T) {
	direct := serve(t, 0)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gate := make(chan struct{})
	r := &relay{Listener: l, to: direct, hold: gate}
	go r.run()
	t.Cleanup(func() { l.Close() })
	through, beside := open(t, l.Addr().String()), open(t, direct)

	// The settings of the connection itself are held back as well, so the first request is not even sent.
	ctx, stop := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer stop()
	_, err = put(ctx, through, "/early", "1")
	if !errors.Is(err, store.ErrUnavailable) || errors.Is(err, store.ErrOutcomeUnknown) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("not sent: %v", err)
	}
	close(gate)
	if _, err = put(t.Context(), through, "/works", "1"); err != nil {
		t.Fatal(err)
	}
	p, err := beside.List(t.Context(), store.Range{Prefix: "/"})
	if err != nil || len(p.KVs) != 1 || p.KVs[0].Key != "/works" {
		t.Errorf("there is %+v, %v", p.KVs, err)
	}
}

// TestAnswerLost: the request arrives and is carried out; its answer does not come.
func TestAnswerLost(t *testing.T) {
	for name, lose := range map[string]func(client, server net.Conn){
		"too late": func(_, _ net.Conn) {},
		"cut off":  func(client, server net.Conn) { client.Close(); server.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			direct := serve(t, 0)
			beside := open(t, direct)
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { l.Close() })
			arrived, mute := make(chan struct{}), make(chan struct{})
			go loseAnswers(l, direct, mute, arrived, lose)
			through := open(t, l.Addr().String())
			if _, err := put(t.Context(), through, "/works", "1"); err != nil {
				t.Fatal(err)
			}
			close(mute)
			ctx, stop := context.WithTimeout(t.Context(), time.Second)
			defer stop()
			_, err = put(ctx, through, "/lost", "1")
			if !errors.Is(err, store.ErrOutcomeUnknown) || errors.Is(err, store.ErrUnavailable) {
				t.Errorf("the answer was lost: %v", err)
			}
			select {
			case <-arrived:
			case <-t.Context().Done():
			}
			p, err := beside.List(t.Context(), store.Range{Prefix: "/lost"})
			if err != nil || len(p.KVs) != 1 {
				t.Errorf("there is %+v, %v", p.KVs, err)
			}
		})
	}
}

// loseAnswers relays one connection. Once mute is closed, the next answer of the server is lost: it is kept
// back, arrived is closed, and lose does the rest.
func loseAnswers(l net.Listener, to string, mute <-chan struct{}, arrived chan<- struct{}, lose func(client, server net.Conn)) {
	client, err := l.Accept()
	if err != nil {
		return
	}
	server, err := net.Dial("tcp", to)
	if err != nil {
		client.Close()
		return
	}
	defer server.Close()
	go func() {
		defer server.Close()
		buf := make([]byte, 32<<10)
		for {
			n, err := client.Read(buf)
			if _, werr := server.Write(buf[:n]); err != nil || werr != nil {
				return
			}
		}
	}()
	buf := make([]byte, 32<<10)
	told := false
	for {
		n, err := server.Read(buf)
		if err != nil {
			client.Close()
			return
		}
		select {
		case <-mute:
			if !told {
				told = true
				lose(client, server)
				close(arrived)
			}
			continue
		default:
		}
		if _, err := client.Write(buf[:n]); err != nil {
			return
		}
	}
}

// TestNoSpace: what etcd itself refuses is surely not carried out, and its words are told.
func TestNoSpace(t *testing.T) {
	s := open(t, serve(t, 1<<20))
	for {
		_, err := put(t.Context(), s, "/large", strings.Repeat("x", 256<<10))
		if err == nil {
			continue
		}
		if !errors.Is(err, store.ErrUnavailable) || errors.Is(err, store.ErrOutcomeUnknown) || !strings.Contains(err.Error(), "database space exceeded") {
			t.Errorf("no space: %v", err)
		}
		return
	}
}
