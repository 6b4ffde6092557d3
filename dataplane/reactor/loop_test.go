package reactor

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
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
	return g.Loops()[0]
}

// listen accepts at a free port of l's group and gives each endpoint to f.
func listen(t testing.TB, l *Loop, f func(*Endpoint)) string {
	t.Helper()
	a, err := ParseAddress("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ls, err := Listen(a)
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
func TestEcho(t *testing.T) {
	g := group(t, 1, Options{Poison: true})
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

// TestStaleEvent gives a descriptor to another endpoint: an event for the first does not reach the second.
func TestStaleEvent(t *testing.T) {
	l := still(t, Options{})
	woken := 0
	b := task(l, func(*Task) { woken++ })
	old := &Endpoint{loop: l, fd: int32(l.poll.wake)} // any descriptor will do
	l.endpoints = make([]*Endpoint, l.poll.wake+1)
	fresh := &Endpoint{loop: l, fd: old.fd, gen: 8, task: &b.Task}
	l.endpoints[old.fd] = fresh
	ev := readEvent(old.fd, 7)
	l.event(&ev)
	l.resumeAll()
	if woken != 0 || fresh.Readable() {
		t.Error("an event for an earlier endpoint reached the one that has its descriptor now")
	}
	ev = readEvent(old.fd, 8)
	l.event(&ev)
	l.resumeAll()
	if woken != 1 {
		t.Error("its own event did not reach it")
	}
}

// TestHalfAndClose has clients that send a little and close while the loop is busy: each end is noticed.
func TestHalfAndClose(t *testing.T) {
	g := group(t, 1, Options{})
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
func TestFairness(t *testing.T) {
	g := group(t, 1, Options{})
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

var errKill = errors.New("killed")

// TestWaysOut ends each way of waiting by a kill, a deadline and the end of the loop.
func TestWaysOut(t *testing.T) {
	for name, wait := range map[string]func(t *Task, e *Endpoint) error{
		"park":    func(t *Task, _ *Endpoint) error { return t.Park() },
		"recv":    func(t *Task, e *Endpoint) error { _, err := e.Recv(t); return err },
		"flush":   func(t *Task, e *Endpoint) error { return e.Flush(t) },
		"offload": func(t *Task, _ *Endpoint) error { _, err := Offload(t, func() (int, error) { select {} }); return err },
	} {
		for want, end := range map[error]func(l *Loop, b *body){
			errKill:     func(_ *Loop, b *body) { b.Kill(errKill) },
			ErrDeadline: func(l *Loop, b *body) { b.SetDeadline(l.Now()) },
			ErrStopped:  func(l *Loop, _ *body) { l.unwind() },
		} {
			l := still(t, Options{})
			e, m := l.NewMemory()
			m.Limit = 1
			_ = e.Send([]byte("more than there is room for"))
			var got error
			b := task(l, func(t *Task) { got = wait(t, e) })
			b.Wake()
			l.Step()
			end(l, b)
			l.Step()
			if !errors.Is(got, want) {
				t.Errorf("%s: ended with %v, want %v", name, got, want)
			}
		}
	}
	l := still(t, Options{}) // killed before it waits: it does not begin to
	var got error
	b := task(l, func(t *Task) { got = t.Park() })
	b.Kill(errKill)
	l.Step()
	if got != errKill {
		t.Errorf("parking after a kill: %v", got)
	}
}

// TestOffload gets results from goroutines, never more of them than there are places.
func TestOffload(t *testing.T) {
	g := group(t, 1, Options{Blocking: 2})
	l := g.Loops()[0]
	var now, most, sum atomic.Int32
	done := make(chan int, 20)
	for i := range 20 {
		l.Post(func() {
			b := task(l, func(t *Task) {
				v, err := Offload(t, func() (int, error) {
					n := now.Add(1)
					for {
						if m := most.Load(); n <= m || most.CompareAndSwap(m, n) {
							break
						}
					}
					runtime.Gosched()
					now.Add(-1)
					return i, nil
				})
				if err == nil {
					sum.Add(int32(v))
				}
				done <- v
			})
			b.Wake()
		})
	}
	for range 20 {
		<-done
	}
	if sum.Load() != 190 || most.Load() > 2 {
		t.Errorf("sum %d, want 190; %d at once, want at most 2", sum.Load(), most.Load())
	}
}

// TestPostWakes posts to loops that sleep.
func TestPostWakes(t *testing.T) {
	for _, o := range []Options{{}, {NoRawWait: true}} {
		g := group(t, 2, o)
		for range 200 {
			for _, l := range g.Loops() {
				l.PostWait(func() {})
			}
		}
	}
}

// TestLeastLoaded sends new sessions where there are fewest.
func TestLeastLoaded(t *testing.T) {
	g, err := NewGroup(3, Options{})
	if err != nil {
		t.Fatal(err)
	}
	for range 30 {
		g.LeastLoaded().AddLoad(1)
	}
	for _, l := range g.Loops() {
		if l.Load() != 10 {
			t.Errorf("loop %d has %d of 30", l.ID, l.Load())
		}
	}
}

// TestMove takes an endpoint from loop to loop while its client talks.
func TestMove(t *testing.T) {
	g := group(t, 2, Options{})
	a, b := g.Loops()[0], g.Loops()[1]
	arrived := make(chan *Endpoint, 1)
	a.AddLoad(0)
	c := dial(t, listen(t, a, func(e *Endpoint) { arrived <- e }))
	e := <-arrived
	for i := range 20 {
		from, to := a, b
		if e.Loop() == b || i%2 == 1 {
			from, to = b, a
		}
		if i == 0 {
			from = e.Loop()
		}
		moved := make(chan error, 1)
		from.Post(func() {
			e.Detach()
			to.Post(func() { moved <- to.Adopt(e) })
		})
		if _, err := c.Write([]byte{byte(i)}); err != nil {
			t.Fatal(err)
		}
		if err := <-moved; err != nil {
			t.Fatal(err)
		}
		got := make(chan byte, 1)
		to.Post(func() {
			r := task(to, nil)
			r.serve = func(t *Task) {
				p, err := e.Recv(t)
				if err == nil {
					got <- p[0]
				}
				e.Attach(nil)
				r.End()
			}
			e.Attach(&r.Task)
			r.Wake()
		})
		if v := <-got; v != byte(i) {
			t.Fatalf("byte %d arrived as %d", i, v)
		}
	}
}

// TestStop ends loops with tasks parked in them, and leaves no goroutine.
func TestStop(t *testing.T) {
	before := runtime.NumGoroutine()
	g, err := NewGroup(2, Options{})
	if err != nil {
		t.Fatal(err)
	}
	g.Start()
	var unwound atomic.Int32
	for _, l := range g.Loops() {
		l.PostWait(func() {
			for range 10 {
				b := task(l, func(t *Task) {
					if errors.Is(t.Park(), ErrStopped) {
						unwound.Add(1)
					}
				})
				b.Wake()
			}
		})
		l.PostWait(func() {})
	}
	g.Stop()
	if unwound.Load() != 20 {
		t.Errorf("%d of 20 tasks were unwound", unwound.Load())
	}
	eventually(t, "no goroutine is left", func() bool { return runtime.NumGoroutine() <= before })
}

// TestListen binds what can be bound and says what is in the way.
func TestListen(t *testing.T) {
	dir := t.TempDir()
	plain := filepath.Join(dir, "plain")
	if err := os.WriteFile(plain, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Listen(Address{Path: plain}); err == nil || !strings.Contains(err.Error(), "not a socket") {
		t.Errorf("a plain file: %v", err)
	}
	sock := Address{Path: filepath.Join(dir, "s")}
	first, err := Listen(sock)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Listen(sock); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("a socket that is listened at: %v", err)
	}
	closeDescriptor(first.fd) // as a process that was killed leaves it
	second, err := Listen(sock)
	if err != nil {
		t.Errorf("a socket that nobody listens at: %v", err)
	} else {
		second.Close()
	}
	if _, err := os.Stat(sock.Path); !os.IsNotExist(err) {
		t.Errorf("the file is left: %v", err)
	}
}

// TestDialRefused dials a port that nobody listens at.
func TestDialRefused(t *testing.T) {
	l := still(t, Options{})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	a, _ := ParseAddress(ln.Addr().String())
	ln.Close()
	var got error
	b := task(l, func(t *Task) { _, got = Dial(t, a) })
	b.Wake()
	for range 5 {
		l.Step()
	}
	if got == nil || !strings.Contains(got.Error(), "refused") {
		t.Errorf("dial: %v", got)
	}
}

// TestCollector runs the collector beside loops that idle and loops that work, in processes that have one
// processor, or no asynchronous preemption: it always comes back, and soon.
func TestCollector(t *testing.T) {
	if os.Getenv("REACTOR_COLLECTOR") != "" {
		collect(t)
		return
	}
	for _, env := range []string{"GODEBUG=asyncpreemptoff=1", "GODEBUG=asyncpreemptoff=0", "GOMAXPROCS=1"} {
		c := exec.Command(os.Args[0], "-test.run=^TestCollector$", "-test.timeout=30s")
		c.Env = append(os.Environ(), "REACTOR_COLLECTOR=1", env)
		if out, err := c.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", env, err, out)
		}
	}
}

func collect(t *testing.T) {
	g := group(t, 1, Options{})
	c := dial(t, listen(t, g.Loops()[0], echo))
	worst := func() (d time.Duration) {
		for range 50 {
			began := time.Now()
			runtime.GC()
			d = max(d, time.Since(began))
		}
		return d
	}
	if d := worst(); d > 2*time.Second {
		t.Errorf("a collection beside an idle loop took %s", d)
	}
	stop := make(chan struct{})
	go func() {
		b := make([]byte, 100)
		for {
			select {
			case <-stop:
				return
			default:
			}
			if _, err := c.Write(b); err != nil {
				return
			}
			if _, err := io.ReadFull(c, b); err != nil {
				return
			}
		}
	}()
	if d := worst(); d > 2*time.Second {
		t.Errorf("a collection beside a busy loop took %s", d)
	}
	close(stop)
}
