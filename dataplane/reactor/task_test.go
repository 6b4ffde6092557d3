package reactor

import (
	"errors"
	"runtime"
	"sync/atomic"
	"testing"
)

var errKill = errors.New("killed")

// TestWaysOut ends each way of waiting by a kill, a deadline and the end of the loop.
func TestWaysOut(t *testing.T) {
	for name, wait := range map[string]func(t *Task, e *Endpoint) error{
		"park":    func(t *Task, _ *Endpoint) error { return t.Park() },
		"recv":    func(t *Task, e *Endpoint) error { _, err := e.Recv(t); return err },
		"flush":   func(t *Task, e *Endpoint) error { return e.Flush(t) },
		"offload": func(t *Task, _ *Endpoint) error { _, err := Offload(t, func() (int, error) { select {} }); return err },
		"await":   func(t *Task, _ *Endpoint) error { _, err := Await(t, func() (int, error) { select {} }); return err },
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

// TestAwait lets more tasks wait for one thing than there are places for those who work, and one of these work meanwhile.
func TestAwait(t *testing.T) {
	g := group(t, 1, Options{Blocking: 1})
	l := g.Loops()[0]
	release, done := make(chan struct{}), make(chan int, 3)
	for range 2 {
		l.Post(func() {
			task(l, func(t *Task) {
				v, _ := Await(t, func() (int, error) { <-release; return 7, nil })
				done <- v
			}).Wake()
		})
	}
	l.Post(func() {
		task(l, func(t *Task) {
			v, _ := Offload(t, func() (int, error) { return 1, nil })
			done <- v
		}).Wake()
	})
	if v := <-done; v != 1 {
		t.Errorf("the first to be done brings %d", v)
	}
	close(release)
	if a, b := <-done, <-done; a != 7 || b != 7 {
		t.Errorf("who waited has %d and %d", a, b)
	}
}

// TestAwaitWhile ends a wait when there is nobody any more who waits, which may be so before it begins.
func TestAwaitWhile(t *testing.T) {
	g := group(t, 1, Options{})
	l := g.Loops()[0]
	gone := errors.New("gone")
	for _, before := range []bool{false, true} {
		var left error
		release, done := make(chan struct{}), make(chan error, 1)
		var waits *body
		l.PostWait(func() {
			if before {
				left = gone
			}
			ended := false
			waits = task(l, func(t *Task) {
				if ended {
					return // what nobody waits for has come
				}
				_, err := AwaitWhile(t, func() error { return left }, func() (int, error) { <-release; return 7, nil })
				ended = true
				done <- err
			})
			waits.Wake()
		})
		if !before {
			l.PostWait(waits.Wake) // for nothing
			select {
			case err := <-done:
				t.Errorf("woken for nothing it ends with %v", err)
			default:
			}
			l.PostWait(func() { left = gone; waits.Wake() })
		}
		if err := <-done; !errors.Is(err, gone) {
			t.Errorf("gone before: %t: %v", before, err)
		}
		close(release)
	}
}

// TestPostWakes posts to loops that sleep.
func TestPostWakes(t *testing.T) { conform(t, testPostWakes) }

func testPostWakes(t *testing.T, o Options) {
	for _, o.NoRawWait = range []bool{false, true} {
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
func TestMove(t *testing.T) { conform(t, testMove) }

func testMove(t *testing.T, o Options) {
	g := group(t, 2, o)
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
func TestStop(t *testing.T) { conform(t, testStop) }

func testStop(t *testing.T, o Options) {
	before := runtime.NumGoroutine()
	g, err := NewGroup(2, o)
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
