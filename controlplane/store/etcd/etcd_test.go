package etcd_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/url"
	"strings"
	"sync"
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

// listen listens on loopback for the length of a test.
func listen(t *testing.T) net.Listener {
	t.Helper()
	port, err := freeport.Take()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(port.Release)
	l, err := net.Listen("tcp", port.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// TestNotSent: where there is a connection and nobody who speaks on it, the request is not sent, and so surely
// not carried out, though the call ran out of time.
func TestNotSent(t *testing.T) {
	s := open(t, listen(t).Addr().String()) // nobody accepts
	ctx, stop := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer stop()
	_, err := put(ctx, s, "/early", "1")
	if !errors.Is(err, store.ErrUnavailable) || errors.Is(err, store.ErrOutcomeUnknown) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("not sent: %v", err)
	}
}

// TestAnswerLost: the request arrives and is carried out, and its answer does not come; neither do those who
// wait until their time is up know of it, nor those whose connection breaks.
func TestAnswerLost(t *testing.T) {
	for name, cut := range map[string]bool{"too late": false, "cut off": true} {
		t.Run(name, func(t *testing.T) {
			direct := serve(t, 0)
			beside := open(t, direct)
			r := &relay{Listener: listen(t), to: direct, mute: make(chan struct{})}
			go r.run()
			through := open(t, r.Addr().String())
			first, err := put(t.Context(), through, "/works", "1")
			if err != nil {
				t.Fatal(err)
			}
			close(r.mute)
			ctx, stop := context.WithTimeout(t.Context(), time.Second)
			defer stop()
			failed := make(chan error, 1)
			go func() {
				_, err := put(ctx, through, "/lost", "1")
				failed <- err
			}()
			batches, _ := beside.Watch(t.Context(), "/lost", first.Revision+1)
			for b := range batches {
				if len(b.Events) > 0 {
					break // it was carried out
				}
			}
			if cut {
				r.cut()
			}
			if err := <-failed; !errors.Is(err, store.ErrOutcomeUnknown) || errors.Is(err, store.ErrUnavailable) {
				t.Errorf("the answer was lost: %v", err)
			}
		})
	}
}

// relay passes the bytes of one connection on to an address. Once mute is closed, answers are lost.
type relay struct {
	net.Listener
	to   string
	mute chan struct{}

	mu   sync.Mutex
	ends []net.Conn
}

func (r *relay) run() {
	client, err := r.Accept()
	if err != nil {
		return
	}
	server, err := net.Dial("tcp", r.to)
	if err != nil {
		client.Close()
		return
	}
	r.mu.Lock()
	r.ends = []net.Conn{client, server}
	r.mu.Unlock()
	defer r.cut()
	go func() {
		defer r.cut()
		_, _ = io.Copy(server, client) // until either end is closed
	}()
	buf := make([]byte, 32<<10)
	for {
		n, err := server.Read(buf)
		if err != nil {
			return
		}
		select {
		case <-r.mute:
			continue
		default:
		}
		if _, err := client.Write(buf[:n]); err != nil {
			return
		}
	}
}

// cut closes both ends.
func (r *relay) cut() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.ends {
		c.Close()
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
