package reactor

import (
	"errors"
	"net"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/heliosproxy/heliosproxy/dataplane/reactor/sys"
)

// TestMoveTask takes tasks to another loop that are queued on theirs, or are about to return from Serve: each
// runs on the loop that it has come to, and not on the one that it has left.
func TestMoveTask(t *testing.T) {
	g, err := NewGroup(2, Options{})
	if err != nil {
		t.Fatal(err)
	}
	from, to := g.Loops()[0], g.Loops()[1]
	for name, move := range map[string]func(b *body, arrive func()){
		"at rest": func(b *body, arrive func()) { b.Move(to, arrive) },
		"queued": func(b *body, arrive func()) {
			b.Wake()
			b.Move(to, arrive)
		},
		"queued by another task, having run in this turn": func(b *body, arrive func()) {
			b.Wake()
			other := task(from, func(*Task) {
				b.Wake()
				b.Move(to, arrive)
			})
			other.Wake()
		},
		"queued for the next turn": func(b *body, arrive func()) {
			b.queued = true
			from.again = append(from.again, &b.Task)
			b.Move(to, arrive)
		},
		"at work": func(b *body, arrive func()) {
			serve := b.serve
			b.serve = func(*Task) {
				b.serve = serve
				b.Move(to, arrive)
				to.Step() // the other thread must not get it while it is at work here
			}
			b.Wake()
		},
	} {
		var ran []*Loop
		arrived := false
		b := task(from, nil)
		b.serve = func(t *Task) { ran = append(ran, t.Loop()) }
		move(b, func() { arrived = true; b.Wake() })
		from.Step()
		if name == "queued by another task, having run in this turn" {
			if len(ran) != 1 || ran[0] != from {
				t.Errorf("%s: it ran %d times before", name, len(ran))
			}
			ran = nil
		}
		if len(ran) > 0 || arrived {
			t.Errorf("%s: it ran %d times on the loop that it left, arrived %v", name, len(ran), arrived)
		}
		to.Step()
		if from.Step(); len(ran) != 1 || ran[0] != to {
			t.Errorf("%s: it ran %d times on the loop that it came to", name, len(ran))
		}
	}
}

// TestLateOutcome drops what a goroutine brings after its task has stopped to wait for it.
func TestLateOutcome(t *testing.T) {
	g := group(t, 1, Options{Blocking: 1})
	l := g.Loops()[0]
	release, waits := make(chan struct{}), make(chan error, 1)
	var woken atomic.Int32
	l.Post(func() {
		b := task(l, nil)
		b.serve = func(t *Task) {
			if woken.Add(1) > 1 {
				return
			}
			t.SetDeadline(l.Now() + 1)
			v, err := Offload(t, func() (int, error) { <-release; return 7, nil })
			if v != 0 {
				err = errors.New("a result all the same")
			}
			waits <- err
		}
		b.Wake()
	})
	if err := <-waits; !errors.Is(err, ErrDeadline) {
		t.Errorf("%v, want %v", err, ErrDeadline)
	}
	close(release)
	// The late outcome wakes the task, which is at rest: a hint like any other.
	eventually(t, "the goroutine's place is free", func() bool { return woken.Load() == 2 && len(g.blocked) == 0 })
}

// TestNoDescriptor lets a client come when there is no descriptor for it: it is turned away instead of being
// reported for ever, and the next one is taken in when there are descriptors again.
func TestNoDescriptor(t *testing.T) { conform(t, testNoDescriptor) }

func testNoDescriptor(t *testing.T, o Options) {
	l := still(t, o)
	a, err := ParseAddress("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ls, err := Listen(a, Share{})
	if err != nil {
		t.Fatal(err)
	}
	defer ls.Close()
	taken, refused := 0, 0
	var why error
	if err := ls.Accept(l, func(e *Endpoint, _ Address) { taken++; e.Close() }, func(err error) { refused++; why = err }); err != nil {
		t.Fatal(err)
	}
	first := dial(t, ls.Address().String())
	var was unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &was); err != nil {
		t.Fatal(err)
	}
	restore := func() {
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &was); err != nil {
			t.Fatal(err)
		}
	}
	defer restore()
	// The limit is a bound on the number of the next descriptor, which is the lowest that is free: there must be
	// none below that of the spare one.
	next := -1
	for next < ls.spare {
		if next, err = unix.Dup(0); err != nil {
			t.Fatal(err)
		}
		defer sys.Close(next)
	}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: uint64(next + 1), Max: was.Max}); err != nil {
		t.Fatal(err)
	}
	until(t, l, "the client is refused", func() bool { return refused > 0 || taken > 0 })
	for range 5 {
		l.Step()
	}
	restore()
	if taken != 0 || refused != 1 || !errors.Is(why, unix.EMFILE) {
		t.Errorf("%d taken in, %d refused (%v); want 0 and 1", taken, refused, why)
	}
	if _, err := first.Read(make([]byte, 1)); err == nil || errors.Is(err, net.ErrClosed) {
		t.Errorf("the client reads %v, want its end", err)
	}
	dial(t, ls.Address().String())
	until(t, l, "the next client is taken in", func() bool { return taken > 0 })
	if taken != 1 || refused != 1 {
		t.Errorf("afterwards %d are taken in, %d refused; want 1 and 1", taken, refused)
	}
}
