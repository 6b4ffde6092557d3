package reactor

import (
	"bytes"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// body is a task whose walk is a function.
type body struct {
	Task
	serve    func(t *Task)
	panicked any
	stack    []byte
}

func (b *body) Serve(t *Task)                      { b.serve(t) }
func (b *body) Panicked(_ *Task, v any, st []byte) { b.panicked, b.stack = v, st }

// task makes a task of l that runs f whenever it is woken.
func task(l *Loop, f func(t *Task)) *body {
	b := &body{serve: f}
	b.Init(l, b)
	return b
}

// engines are those of this platform.
func engines() []Engine {
	if Native.resolve() == Epoll {
		return []Engine{Epoll, Goroutines}
	}
	return []Engine{Goroutines}
}

// conform runs a test of what every engine has to do, with each of them.
func conform(t *testing.T, test func(t *testing.T, o Options)) {
	for _, e := range engines() {
		t.Run(e.String(), func(t *testing.T) { test(t, Options{Engine: e}) })
	}
}

// until steps l until ok: with goroutines, what the kernel knows already reaches the loop a little later.
func until(t testing.TB, l *Loop, what string, ok func() bool) {
	t.Helper()
	eventually(t, what, func() bool { l.Step(); return ok() })
}

// group runs n loops for the length of a test.
func group(t testing.TB, n int, o Options) *Group {
	t.Helper()
	g, err := NewGroup(n, o)
	if err != nil {
		t.Fatal(err)
	}
	g.Start()
	t.Cleanup(g.Stop)
	return g
}

// still is a loop that the test steps itself.
func still(t testing.TB, o Options) *Loop {
	t.Helper()
	g, err := NewGroup(1, o)
	if err != nil {
		t.Fatal(err)
	}
	l := g.Loops()[0]
	t.Cleanup(func() {
		l.unwind()
		l.engine.close()
	})
	return l
}

// listen accepts at a free port of l's group and gives each endpoint to f.
func listen(t testing.TB, l *Loop, f func(*Endpoint)) string {
	t.Helper()
	a, err := ParseAddress("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ls, err := Listen(a, Share{})
	if err != nil {
		t.Fatal(err)
	}
	l.PostWait(func() {
		if err := ls.Accept(l, func(e *Endpoint, _ Address) { f(e) }, func(err error) { t.Error(err) }); err != nil {
			t.Error(err)
		}
	})
	return ls.Address().String()
}

func dial(t testing.TB, addr string) *net.TCPConn {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	return c.(*net.TCPConn)
}

// echo sends back what arrives, with a task that rests in between.
func echo(e *Endpoint) {
	b := task(e.Loop(), nil)
	b.serve = func(t *Task) {
		for {
			if !e.Drained() {
				return
			}
			p, err := e.TryRecv()
			if err != nil {
				b.End()
				e.Close()
				return
			}
			if p == nil {
				return
			}
			if e.Send(p) != nil || b.Yield() != nil {
				b.End()
				e.Close()
				return
			}
		}
	}
	e.Attach(&b.Task)
}

// TestEcho moves 20 MB both ways through one endpoint, the client writing before it reads: a send that
// waited would stand still for ever.
func TestEcho(t *testing.T) { conform(t, testEcho) }

func testEcho(t *testing.T, o Options) {
	o.Poison = true
	g := group(t, 1, o)
	c := dial(t, listen(t, g.Loops()[0], echo))
	want := bytes.Repeat([]byte("0123456789abcdef"), 20<<20/16)
	go func() {
		if _, err := c.Write(want); err != nil {
			t.Error(err)
		}
		_ = c.CloseWrite()
	}()
	got := make([]byte, len(want))
	if _, err := io.ReadFull(c, got); err != nil || !bytes.Equal(got, want) {
		t.Errorf("echo differs: %v", err)
	}
}

// TestPoison uses bytes after a park, which is a fault: with Options.Poison it shows.
func TestPoison(t *testing.T) {
	for _, poison := range []bool{true, false} {
		l := still(t, Options{Poison: poison})
		e, m := l.NewMemory()
		var kept string
		b := task(l, func(t *Task) {
			p, _ := e.Recv(t)
			_ = t.Park()
			kept = string(p) // the planted fault
		})
		e.Attach(&b.Task)
		m.Feed([]byte("bytes"))
		l.Step()
		b.Wake()
		l.Step()
		if seen := kept != "bytes"; seen != poison {
			t.Errorf("poison %v: bytes used after a park are %q", poison, kept)
		}
	}
}

// TestWakeOnce wakes a task from a queue, by an event and by a timer at once: it runs once.
func TestWakeOnce(t *testing.T) {
	l := still(t, Options{})
	e, m := l.NewMemory()
	ran := 0
	b := task(l, func(*Task) { ran++ })
	e.Attach(&b.Task)
	b.Wake()
	m.Feed([]byte("x"))
	b.SetDeadline(l.Now())
	b.Wake()
	l.Step()
	if ran != 1 {
		t.Errorf("it ran %d times", ran)
	}
	b.End()
	b.Wake()
	l.Step()
	if ran != 1 {
		t.Error("it ran after its end")
	}
}

// TestHalfAndClose has clients that send a little and close while the loop is busy: each end is noticed.
func TestHalfAndClose(t *testing.T) { conform(t, testHalfAndClose) }

func testHalfAndClose(t *testing.T, o Options) {
	g := group(t, 1, o)
	l := g.Loops()[0]
	var ended atomic.Int32
	addr := listen(t, l, func(e *Endpoint) {
		b := task(e.Loop(), nil)
		b.serve = func(*Task) {
			for {
				p, err := e.TryRecv()
				if err != nil {
					ended.Add(1)
					b.End()
					e.Close()
					return
				}
				if p == nil {
					return
				}
			}
		}
		e.Attach(&b.Task)
	})
	const n = 50
	release := make(chan struct{})
	conns := make([]*net.TCPConn, n)
	for i := range conns {
		conns[i] = dial(t, addr)
	}
	l.Post(func() { <-release }) // the loop stands still
	for _, c := range conns {
		if _, err := c.Write([]byte("\x00\x00")); err != nil {
			t.Fatal(err)
		}
		c.Close()
	}
	close(release)
	eventually(t, "all ends are noticed", func() bool { return ended.Load() == n })
}

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	end := time.After(10 * time.Second)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-end:
			t.Fatalf("not in time: %s", what)
		case <-tick.C:
		}
	}
}

// TestFairness has a client that never stops sending: another one is served all the same.
func TestFairness(t *testing.T) { conform(t, testFairness) }

func testFairness(t *testing.T, o Options) {
	g := group(t, 1, o)
	addr := listen(t, g.Loops()[0], echo)
	greedy := dial(t, addr)
	_ = greedy.SetDeadline(time.Now().Add(5 * time.Second))
	go func() {
		block := make([]byte, 1<<20)
		for {
			if _, err := greedy.Write(block); err != nil {
				return
			}
		}
	}()
	go func() { _, _ = io.Copy(io.Discard, greedy) }()
	modest := dial(t, addr)
	for range 100 {
		var b [1]byte
		if _, err := modest.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(modest, b[:]); err != nil {
			t.Fatal(err)
		}
	}
	greedy.Close()
}

// TestYield makes a task that receives for ever give way.
func TestYield(t *testing.T) {
	l := still(t, Options{})
	e, m := l.NewMemory()
	m.Feed(bytes.Repeat([]byte{1}, 40*chunkSize))
	rounds, others := 0, 0
	b := task(l, func(t *Task) {
		for {
			p, err := e.TryRecv()
			if p == nil || err != nil {
				return
			}
			rounds++
			e.ready |= readable
			if t.Yield() != nil {
				return
			}
		}
	})
	e.Attach(&b.Task)
	other := task(l, func(*Task) { others++ })
	e.ready |= readable
	b.Wake()
	other.Wake()
	l.Step()
	if rounds != share || others != 1 {
		t.Errorf("in the first turn the greedy task received %d chunks, want %d, and the other ran %d times", rounds, share, others)
	}
}

// TestPanicInTask lets a walk panic: the loop goes on, the trace shows where it was.
func TestPanicInTask(t *testing.T) {
	l := still(t, Options{})
	b := task(l, faultyWalk)
	b.Wake()
	l.Step()
	if b.panicked != "planted" || !strings.Contains(string(b.stack), "faultyWalk") {
		t.Errorf("panic %v with stack\n%s", b.panicked, b.stack)
	}
	ran := false
	task2 := task(l, func(*Task) { ran = true })
	task2.Wake()
	l.Step()
	if !ran {
		t.Error("the loop does not go on")
	}
}

func faultyWalk(*Task) { panic("planted") }

// TestCloseWrite ends the output behind what the far side has not taken yet.
func TestCloseWrite(t *testing.T) {
	l := still(t, Options{})
	e, m := l.NewMemory()
	m.Limit = 4
	if err := e.Send([]byte("ten bytes.")); err != nil {
		t.Fatal(err)
	}
	e.CloseWrite()
	got := ""
	for range 2 {
		if m.Closed() {
			t.Fatalf("it ends behind %q", got)
		}
		got += string(m.Sent)
		m.Take()
	}
	if got += string(m.Sent); got != "ten bytes." || !m.Closed() {
		t.Errorf("sent %q, ended %v", got, m.Closed())
	}
	e, m = l.NewMemory()
	if e.CloseWrite(); !m.Closed() {
		t.Error("nothing waits, and it does not end")
	}
}
