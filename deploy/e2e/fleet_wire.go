package e2e

import (
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/heliosproxy/heliosproxy/pkg/testkit/freeport"
)

// A Wire is a TCP relay on loopback that counts what goes through it, as a cable with a meter would.
type Wire struct {
	Addr     string // where it is dialled
	to       string
	down, up atomic.Int64
	mu       sync.Mutex
	open     map[net.Conn]struct{}
	running  sync.WaitGroup
}

// StartWire relays to an address for the length of a test.
func StartWire(t testing.TB, to string) *Wire {
	t.Helper()
	l, err := net.Listen("tcp", loopbackPort(t))
	if err != nil {
		t.Fatal(err)
	}
	w := &Wire{Addr: l.Addr().String(), to: to, open: map[net.Conn]struct{}{}}
	w.running.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return // the test has ended
			}
			w.running.Go(func() { w.relay(c) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		w.Cut()
		w.running.Wait()
	})
	return w
}

// loopbackPort reserves a port for the length of a test and returns it as HOST:PORT.
func loopbackPort(t testing.TB) string {
	t.Helper()
	return fmt.Sprintf("127.0.0.1:%d", freeport.For(t))
}

// Down is how many bytes went to those who dialled; Up is how many came from them.
func (w *Wire) Down() int64 { return w.down.Load() }

// Up is how many bytes came from those who dialled.
func (w *Wire) Up() int64 { return w.up.Load() }

// Cut closes all connections that are open.
func (w *Wire) Cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for c := range w.open {
		c.Close()
	}
}

func (w *Wire) relay(near net.Conn) {
	defer near.Close()
	far, err := net.Dial("tcp", w.to)
	if err != nil {
		return // as if nobody listened here either
	}
	defer far.Close()
	w.hold(near, far)
	defer w.drop(near, far)
	var both sync.WaitGroup
	both.Go(func() { pass(far, near, &w.up) })
	both.Go(func() { pass(near, far, &w.down) })
	both.Wait()
}

func (w *Wire) hold(all ...net.Conn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range all {
		w.open[c] = struct{}{}
	}
}

func (w *Wire) drop(all ...net.Conn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range all {
		delete(w.open, c)
	}
}

// pass copies until one side ends, and ends the other.
func pass(to, from net.Conn, count *atomic.Int64) {
	b := make([]byte, 32<<10)
	for {
		n, err := from.Read(b)
		count.Add(int64(n))
		if n > 0 {
			if _, err := to.Write(b[:n]); err != nil {
				from.Close()
				return
			}
		}
		if err != nil {
			if !errors.Is(err, io.EOF) {
				from.Close()
			}
			to.Close()
			return
		}
	}
}
