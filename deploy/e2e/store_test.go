package e2e

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

	"go.uber.org/zap/zaptest"

	"github.com/heliosproxy/heliosproxy/controlplane/mirror"
	"github.com/heliosproxy/heliosproxy/controlplane/store"
)

const mirrored = "/mirrored/"

// startMirror runs a mirror of a store for the length of a test and waits until it has begun.
func startMirror(t *testing.T, s store.Store) *mirror.Mirror {
	t.Helper()
	m := mirror.New(mirror.Options{Store: s, Prefix: mirrored, Log: zaptest.NewLogger(t)})
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		m.Run(ctx)
	}()
	t.Cleanup(func() {
		stop()
		<-done
	})
	if err := m.WaitFor(ctx, 1); err != nil {
		t.Fatal(err)
	}
	return m
}

// write carries operations out.
func write(t *testing.T, s store.Store, ops ...store.Op) int64 {
	t.Helper()
	r, err := s.Commit(t.Context(), store.Txn{Then: ops})
	if err != nil {
		t.Fatal(err)
	}
	return r.Revision
}

// key is an operation that puts a key of the mirror's.
func key(n, value int) store.Op {
	return store.Op{Key: fmt.Sprintf("%s%04d", mirrored, n), Value: fmt.Append(nil, value)}
}

// gone is an operation that deletes it.
func gone(n int) store.Op { return store.Op{Key: key(n, 0).Key, Delete: true} }

// mirrorEqualsList fails unless the mirror becomes, within a time, what a fresh list is.
func mirrorEqualsList(t *testing.T, m *mirror.Mirror, s store.Store, within time.Duration) {
	t.Helper()
	p, err := s.List(t.Context(), store.Range{Prefix: mirrored})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithTimeout(t.Context(), within)
	defer stop()
	if err := m.WaitFor(ctx, p.Revision); err != nil {
		t.Fatalf("%v: %+v", err, m.Health())
	}
	var got, want []string
	for _, kv := range p.KVs {
		want = append(want, fmt.Sprintf("%s=%s of %d", kv.Key, kv.Value, kv.Changed))
	}
	m.Current().Ascend(mirrored, func(kv store.KV) bool {
		got = append(got, fmt.Sprintf("%s=%s of %d", kv.Key, kv.Value, kv.Changed))
		return true
	})
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("the mirror has\n%s\nthe store has\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestStoreAway: while etcd is away the mirror goes on to show what it had, writes fail with words that say
// whether they may have been carried out, and afterwards nothing is missed.
func TestStoreAway(t *testing.T) {
	away := full(30*time.Second, 5*time.Second)
	for _, tt := range []struct {
		name        string
		leave, back func(*Etcd, testing.TB)
		means       error  // what a write fails with
		words       string // that it has
	}{
		{"stopped", (*Etcd).Stop, (*Etcd).Start, store.ErrUnavailable, "connection refused"},
		{"killed", (*Etcd).Kill, (*Etcd).Start, store.ErrUnavailable, "connection"},
		{"paused", (*Etcd).Pause, (*Etcd).Resume, store.ErrOutcomeUnknown, "deadline exceeded"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			e := StartEtcd(t)
			s := e.Open(t)
			for i := range 100 {
				write(t, s, key(i, 1))
			}
			m := startMirror(t, s)
			write(t, s, key(0, 2), gone(1))
			mirrorEqualsList(t, m, s, patience)

			left := time.Now()
			tt.leave(e, t)
			ctx, stop := context.WithTimeout(t.Context(), 2*time.Second)
			defer stop()
			_, err := s.Commit(ctx, store.Txn{Then: []store.Op{key(2, 2)}})
			late := tt.name != "paused" && errors.Is(err, store.ErrOutcomeUnknown) // it was sent before the client knew that the store had gone
			if !late && (!errors.Is(err, tt.means) || !strings.Contains(err.Error(), tt.words)) {
				t.Errorf("a write: %v", err)
			}
			t.Logf("a write: %v", err)
			if kv, ok := m.Current().Get(key(0, 0).Key); !ok || string(kv.Value) != "2" || m.Current().Len() != 99 {
				t.Errorf("the mirror shows %+v and %d keys", kv, m.Current().Len())
			}
			time.Sleep(time.Until(left.Add(away)))
			if away > 25*time.Second && m.Health().Err == nil {
				t.Errorf("the mirror does not know that the store is away: %+v", m.Health())
			}
			tt.back(e, t)

			beside := e.Open(t)
			write(t, beside, key(3, 3), gone(4), key(1000, 1))
			mirrorEqualsList(t, m, beside, patience)
			h := m.Health()
			if h.Err != nil || h.Lists != 1 || h.Repairs != 0 {
				t.Errorf("afterwards: %+v", h)
			}
			write(t, s, key(5, 5)) // and the client that was there all the time can write again
			mirrorEqualsList(t, m, beside, patience)
		})
	}
}

// TestStoreCompacted: etcd forgets its history while the mirror is cut off. What was deleted meanwhile is gone
// from the mirror.
func TestStoreCompacted(t *testing.T) {
	t.Parallel()
	e := StartEtcd(t)
	wire := startWire(t, e.Addr)
	beside := e.Open(t)
	for i := range 1200 { // more than a page
		write(t, beside, key(i, 1))
	}
	m := startMirror(t, openEtcd(t, wire.addr))
	write(t, beside, key(0, 2))
	mirrorEqualsList(t, m, beside, patience)
	before := m.Current()

	wire.cut()
	for i := range 50 {
		write(t, beside, key(i, 3), gone(100+i), key(2000+i, 1))
	}
	last := write(t, beside, store.Op{Key: "/elsewhere", Value: []byte("x")})
	if err := beside.Compact(t.Context(), last); err != nil {
		t.Fatal(err)
	}
	time.Sleep(full(15*time.Second, 2*time.Second))
	if m.Current().Revision != before.Revision {
		t.Errorf("the mirror is at revision %d, and was cut off at %d", m.Current().Revision, before.Revision)
	}
	wire.heal(t)
	mirrorEqualsList(t, m, beside, patience)
	if n := len(m.Current().Since(before)); n != 150 {
		t.Errorf("%d keys have changed, want 150", n)
	}
	if h := m.Health(); h.Err != nil || h.Lists != 2 || h.Repairs != 0 {
		t.Errorf("afterwards: %+v", h)
	}
	write(t, beside, key(7, 7))
	mirrorEqualsList(t, m, beside, patience)
}

// A wire passes connections on to an address, until it is cut.
type wire struct {
	addr, to string

	mu    sync.Mutex
	door  net.Listener
	conns []net.Conn
}

func startWire(t *testing.T, to string) *wire {
	t.Helper()
	w := &wire{addr: loopbackPort(t), to: to}
	w.heal(t)
	t.Cleanup(w.cut)
	return w
}

// heal lets connections through.
func (w *wire) heal(t *testing.T) {
	t.Helper()
	l, err := net.Listen("tcp", w.addr)
	if err != nil {
		t.Fatal(err)
	}
	w.mu.Lock()
	w.door = l
	w.mu.Unlock()
	go w.accept(l)
}

// cut ends all connections, and refuses new ones until heal.
func (w *wire) cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.door.Close()
	for _, c := range w.conns {
		c.Close()
	}
	w.conns = nil
}

func (w *wire) accept(l net.Listener) {
	for {
		near, err := l.Accept()
		if err != nil {
			return
		}
		far, err := net.Dial("tcp", w.to)
		if err != nil {
			near.Close()
			continue
		}
		w.mu.Lock()
		if w.door != l { // it was cut and healed meanwhile
			near.Close()
			far.Close()
		}
		w.conns = append(w.conns, near, far)
		w.mu.Unlock()
		for from, to := range map[net.Conn]net.Conn{near: far, far: near} {
			go func() {
				defer to.Close()
				_, _ = io.Copy(to, from) // until either end is closed
			}()
		}
	}
}
