package reactor

import (
	"bytes"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// taken is an endpoint that a client has connected to, with a task that goes by itself.
func taken(t testing.TB, l *Loop, serve func(t *Task, e *Endpoint)) (*Endpoint, *net.TCPConn) {
	t.Helper()
	came := make(chan *Endpoint, 1)
	addr := listen(t, l, func(e *Endpoint) {
		b := task(l, func(t *Task) { serve(t, e) })
		e.Attach(&b.Task)
		came <- e
	})
	c := dial(t, addr)
	return <-came, c
}

// TestRoundTrips sends messages of all sizes by many clients, each when the answer to the one before has come, in pieces that arrive while
// the loop receives: what comes just behind a receive is not forgotten.
func TestRoundTrips(t *testing.T) { conform(t, testRoundTrips) }

func testRoundTrips(t *testing.T, o Options) {
	o.Poison = true
	l := group(t, 1, o).Loops()[0]
	addr := listen(t, l, echo)
	var wg sync.WaitGroup
	for i := range 8 {
		c := dial(t, addr)
		wg.Go(func() {
			r := rand.New(rand.NewPCG(uint64(i), 1))
			buf := make([]byte, 200<<10)
			for range 200 {
				sent := buf[:1+r.IntN(1<<r.IntN(18))]
				want := bytes.Repeat([]byte{byte(r.Uint32())}, len(sent))
				go func() {
					for p := want; len(p) > 0; {
						n := min(len(p), 1+len(want)/3)
						if _, err := c.Write(p[:n]); err != nil {
							t.Error(err)
							return
						}
						p = p[n:]
					}
				}()
				if _, err := io.ReadFull(c, sent); err != nil || !bytes.Equal(sent, want) {
					t.Errorf("client %d: %d bytes come back wrong: %v", i, len(want), err)
					return
				}
			}
		})
	}
	wg.Wait()
}

// TestSlowReader sends much to a client that reads late: what the kernel did not take goes out when it does, several times over.
func TestSlowReader(t *testing.T) { conform(t, testSlowReader) }

func testSlowReader(t *testing.T, o Options) {
	l := group(t, 1, o).Loops()[0]
	const size, rounds = 24 << 20, 3 // more than the kernel takes in at both ends
	flushed := make(chan error, rounds)
	e, c := taken(t, l, func(t *Task, e *Endpoint) {
		if _, err := e.Recv(t); err == nil {
			_ = e.Send(make([]byte, size))
			flushed <- e.Flush(t)
		}
	})
	for range rounds {
		if _, err := c.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		eventually(t, "output waits", func() (waits bool) {
			l.PostWait(func() { waits = !e.Drained() })
			return waits
		})
		if _, err := io.CopyN(io.Discard, c, size); err != nil {
			t.Fatal(err)
		}
		if err := <-flushed; err != nil {
			t.Error(err)
		}
	}
}

// TestHangUp has clients that end in different ways while bytes of theirs are unread: the loop is told.
func TestHangUp(t *testing.T) { conform(t, testHangUp) }

func testHangUp(t *testing.T, o Options) {
	l := group(t, 1, o).Loops()[0]
	for name, end := range map[string]func(c *net.TCPConn){
		"half": func(c *net.TCPConn) { _ = c.CloseWrite() },
		"all":  func(c *net.TCPConn) { c.Close() },
		"reset": func(c *net.TCPConn) {
			_ = c.SetLinger(0)
			c.Close()
		},
	} {
		woken := make(chan bool, 100)
		e, c := taken(t, l, func(_ *Task, e *Endpoint) { woken <- e.HungUp() })
		if _, err := c.Write([]byte("unread")); err != nil {
			t.Fatal(err)
		}
		for _, gone := range []bool{false, true} {
			if gone {
				end(c)
			}
			select {
			case got := <-woken:
				if got != gone {
					t.Errorf("%s: woken, it has hung up: %t, want %t", name, got, gone)
				}
			case <-time.After(20 * time.Second):
				t.Fatalf("%s: not woken", name)
			}
		}
		l.PostWait(e.Close)
	}
}

// TestCloseEnds closes an endpoint: its client reads the end, nobody holds the connection, and the descriptor is free.
func TestCloseEnds(t *testing.T) { conform(t, testCloseEnds) }

func testCloseEnds(t *testing.T, o Options) {
	l := group(t, 1, o).Loops()[0]
	before := descriptors()
	for range 20 {
		e, c := taken(t, l, func(*Task, *Endpoint) {})
		l.PostWait(e.Close)
		if n, err := c.Read(make([]byte, 1)); n != 0 || err != io.EOF {
			t.Fatalf("the client reads %d bytes, %v", n, err)
		}
		c.Close()
		l.PostWait(func() {
			for _, ls := range l.accepting {
				if ls != nil {
					ls.Close()
				}
			}
		})
	}
	if now := descriptors(); now > before+2 { // Go's poller may have got some of its own
		t.Errorf("%d descriptors are in use, %d were before", now, before)
	}
}

// descriptors is how many the process has.
func descriptors() (n int) {
	for fd := range 1000 {
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err == nil {
			n++
		}
	}
	return n
}

// TestReused closes endpoints and gives their descriptors to others, in the turn in which something arrives for those before: none is told
// what happened to another one, and none misses what happens to itself.
func TestReused(t *testing.T) { conform(t, testReused) }

func testReused(t *testing.T, o Options) {
	l := still(t, o)
	a, _ := ParseAddress("127.0.0.1:0")
	ls, err := Listen(a, Share{})
	if err != nil {
		t.Fatal(err)
	}
	var last *Endpoint
	got := map[*Endpoint]string{}
	accepts := func(e *Endpoint, _ Address) {
		b := task(l, func(*Task) {
			p, _ := e.TryRecv()
			got[e] += string(p)
		})
		e.Attach(&b.Task)
		last = e
	}
	if err := ls.Accept(l, accepts, func(err error) { t.Error(err) }); err != nil {
		t.Fatal(err)
	}
	reused := 0
	for i := range 100 {
		c := dial(t, ls.Address().String())
		until(t, l, "the client is there", func() bool { return last != nil })
		old := last
		old.Attach(nil)
		if _, err := c.Write([]byte("for the one before")); err != nil {
			t.Fatal(err)
		}
		if i%2 == 0 { // the event is on its way, or has come
			until(t, l, "it is told", old.Readable)
		}
		d := dial(t, ls.Address().String())
		last = nil
		old.Close()
		until(t, l, "the next client is there", func() bool { return last != nil })
		if last.Descriptor() == old.Descriptor() {
			reused++
		}
		if last.Readable() || last.HungUp() {
			t.Fatal("the new endpoint was told what happened to the old one")
		}
		if _, err := d.Write([]byte("mine")); err != nil {
			t.Fatal(err)
		}
		e := last
		until(t, l, "it receives its own", func() bool { return got[e] == "mine" })
		e.Close()
		last = nil
		c.Close()
		d.Close()
	}
	if reused == 0 {
		t.Error("no descriptor was used again")
	}
}

// TestPause lets clients wait at a listener that takes nobody in, and takes them in afterwards.
func TestPause(t *testing.T) { conform(t, testPause) }

func testPause(t *testing.T, o Options) {
	l := still(t, o)
	a, _ := ParseAddress("127.0.0.1:0")
	ls, err := Listen(a, Share{})
	if err != nil {
		t.Fatal(err)
	}
	came := 0
	if err := ls.Accept(l, func(*Endpoint, Address) { came++ }, func(err error) { t.Error(err) }); err != nil {
		t.Fatal(err)
	}
	dial(t, ls.Address().String())
	until(t, l, "the first is taken in", func() bool { return came == 1 })
	ls.Pause()
	for range 5 {
		dial(t, ls.Address().String())
	}
	for range 100 {
		l.Step()
	}
	if came != 1 {
		t.Errorf("%d came while it pauses", came-1)
	}
	if err := ls.Resume(); err != nil {
		t.Fatal(err)
	}
	until(t, l, "all are taken in", func() bool { return came == 6 })
}
