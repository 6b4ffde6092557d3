package faultconn

import (
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"
)

// A Cutter cuts what is written at random places, as if the network had other packets than its user's: what was one write comes in
// pieces, and, between [Cutter.Hold] and [Cutter.Release], what were several may come in one. It is written to by one goroutine at
// a time.
type Cutter struct {
	net.Conn
	// Cuts decides; nil cuts nothing.
	Cuts *rand.Rand

	held  []byte
	holds bool
}

// gap lets a piece arrive before the next is sent.
const gap = time.Millisecond

// oneIn is how many writes there are to one that is cut. Each costs time.
const oneIn = 6

// NewCutter wraps a connection. Its cuts are those of the seed.
func NewCutter(c net.Conn, seed uint64) *Cutter {
	return &Cutter{Conn: c, Cuts: rand.New(rand.NewPCG(seed, 0))}
}

// Write writes all of b, in pieces now and then.
func (c *Cutter) Write(b []byte) (int, error) {
	switch {
	case c.holds:
		c.held = append(c.held, b...)
		return len(b), nil
	case c.Cuts == nil || c.Cuts.IntN(oneIn) > 0:
		return c.Conn.Write(b)
	}
	return len(b), c.cut(b)
}

// Hold keeps back what is written from now on.
func (c *Cutter) Hold() { c.holds = true }

// Release writes what was kept back, cut anew.
func (c *Cutter) Release() error {
	held := c.held
	c.held, c.holds = c.held[:0], false
	if len(held) == 0 {
		return nil
	}
	return c.cut(held)
}

// cut writes b in up to four pieces. As often as not they are cut near the beginning, where headers are.
func (c *Cutter) cut(b []byte) error {
	for n := 1 + c.Cuts.IntN(3); n > 0 && len(b) > 1; n-- {
		most := len(b) - 1
		if c.Cuts.IntN(2) == 0 {
			most = min(most, 40)
		}
		at := 1 + c.Cuts.IntN(most)
		if _, err := c.Conn.Write(b[:at]); err != nil {
			return err
		}
		b = b[at:]
		time.Sleep(gap)
	}
	_, err := c.Conn.Write(b)
	return err
}

// Cut cuts b at up to n places, as often as not within a header.
func Cut(b []byte, n int, r *rand.Rand) (packets [][]byte) {
	for ; n > 0 && len(b) > 1; n-- {
		at := 1 + r.IntN(min(len(b)-1, 40))
		packets = append(packets, b[:at])
		b = b[at:]
	}
	return append(packets, b)
}

// Relay listens on loopback for the length of a test and hands on, to addr and back, what it is sent, cut by [Cutter]s. It returns
// its own address.
func Relay(t testing.TB, addr string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	var mu sync.Mutex
	open := map[net.Conn]bool{}
	keep := func(c net.Conn, is bool) {
		mu.Lock()
		defer mu.Unlock()
		if open[c] = is; !is {
			delete(open, c)
		}
	}
	t.Cleanup(func() {
		l.Close()
		mu.Lock()
		for c := range open {
			c.Close()
		}
		mu.Unlock()
		all.Wait()
	})
	all.Go(func() {
		for seed := uint64(0); ; seed++ {
			near, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				keep(near, true)
				defer keep(near, false)
				defer near.Close()
				far, err := net.Dial("tcp", addr)
				if err != nil {
					return
				}
				keep(far, true)
				defer keep(far, false)
				defer far.Close()
				var back sync.WaitGroup
				back.Go(func() { pass(near, far, 2*seed) })
				pass(far, near, 2*seed+1)
				back.Wait()
			})
		}
	})
	return l.Addr().String()
}

// pass hands on what comes from one connection to another one, and that it ends, or was lost.
func pass(to, from net.Conn, seed uint64) {
	_, err := io.Copy(NewCutter(to, seed), struct{ io.Reader }{from})
	tcp, ok := to.(*net.TCPConn)
	if !ok {
		return
	}
	if err != nil && !errors.Is(err, net.ErrClosed) {
		_ = tcp.SetLinger(0) // it may be closed already
		tcp.Close()
		return
	}
	_ = tcp.CloseWrite()
}
