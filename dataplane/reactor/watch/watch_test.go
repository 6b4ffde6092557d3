package watch

import (
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// pair is two ends of a connection that do not wait, and what is told of the first.
func pair(t *testing.T) (near, far int, w *Watch, events chan Event) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range fds {
		if err := unix.SetNonblock(fd, true); err != nil {
			t.Fatal(err)
		}
	}
	events = make(chan Event, 1000)
	if w, err = Start(fds[0], func(e Event) { events <- e }); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		w.Stop()
		unix.Close(fds[0])
		unix.Close(fds[1])
	})
	return fds[0], fds[1], w, events
}

func next(t *testing.T, events chan Event) Event {
	t.Helper()
	select {
	case e := <-events:
		return e
	case <-time.After(20 * time.Second):
		t.Fatal("nothing is told")
		return 0
	}
}

func write(t *testing.T, fd int) {
	t.Helper()
	if _, err := unix.Write(fd, []byte("x")); err != nil {
		t.Fatal(err)
	}
}

// drain receives until nothing is left, and says how much that was.
func drain(fd int) (sum int) {
	b := make([]byte, 1<<16)
	for {
		n, err := unix.Read(fd, b)
		if n <= 0 || err != nil {
			return sum
		}
		sum += n
	}
}

// TestTold receives as a loop does, while somebody sends byte by byte: nothing of it is left behind unnoticed, and little is told in vain.
func TestTold(t *testing.T) {
	const size = 20_000
	near, far, w, events := pair(t)
	go func() {
		for range size {
			for {
				if _, err := unix.Write(far, []byte("x")); err != unix.EAGAIN {
					break
				}
				runtime.Gosched() // who receives is behind
			}
		}
	}()
	told := 0
	for got := 0; got < size; told++ {
		if e := next(t, events); e != Readable {
			t.Fatalf("told %d", e)
		}
		for more := true; more; more = !w.Emptied() {
			got += drain(near)
		}
	}
	if told > 2*size {
		t.Errorf("%d bytes, told %d times", size, told)
	}
}

// TestBehind sends just behind the last receive, when that has not been said yet: it is not forgotten. What is said of it in vain is
// no more than there were looks at the socket: one at first and one for each edge.
func TestBehind(t *testing.T) {
	const rounds = 100
	near, far, w, events := pair(t)
	vain := 0
	for range rounds {
		write(t, far)
		next(t, events)
		drain(near)
		write(t, far)
		for end := time.Now().Add(20 * time.Second); w.in.state.Load() != anew; runtime.Gosched() {
			if time.Now().After(end) {
				t.Fatal("nobody has noticed")
			}
		}
		if w.Emptied() {
			t.Fatal("there is something to receive, and nobody is told")
		}
		drain(near)
		for !w.Emptied() { // a look from before, of which is told only now
			vain++
		}
	}
	if vain += len(events); vain > 2*rounds+1 {
		t.Errorf("%d writes, told %d times in vain", 2*rounds, vain)
	}
}

// TestSide goes through what one side can be told, in the order that loses an edge where it is not kept.
func TestSide(t *testing.T) {
	var s side
	for i, step := range []struct {
		what func() bool
		want bool
	}{
		{s.usedUp, true},
		{s.happened, true},
		{s.usedUp, true},
		{s.happened, true},
		{s.happened, false},
		{s.happened, false},
		{s.usedUp, false},
		{s.usedUp, true},
		{s.happened, true},
	} {
		if got := step.what(); got != step.want {
			t.Errorf("step %d: %t", i, got)
		}
	}
}

// TestEnd: the end of a peer is told while bytes of it are there, and nothing is told in between.
func TestEnd(t *testing.T) {
	_, far, _, events := pair(t)
	write(t, far)
	if e := next(t, events); e != Readable {
		t.Errorf("told %d of bytes", e)
	}
	if err := unix.Shutdown(far, unix.SHUT_WR); err != nil {
		t.Fatal(err)
	}
	if e := next(t, events); e != Readable|End {
		t.Errorf("told %d of the end", e)
	}
}

// TestRoom: room is told once, and again when it was filled and made.
func TestRoom(t *testing.T) {
	near, far, w, events := pair(t)
	w.Sending()
	for range 20 {
		if e := next(t, events); e != Room {
			t.Fatalf("told %d", e)
		}
		p := make([]byte, 1<<20)
		for {
			if _, err := unix.Write(near, p); err != nil {
				break
			}
		}
		for !w.Filled() { // the goroutine has looked before it was
		}
		drain(far)
	}
}

// TestStop: behind it nothing is told, and the socket's own descriptor is as it was.
func TestStop(t *testing.T) {
	near, far, w, events := pair(t)
	w.Stop()
	write(t, far)
	if n, err := unix.Read(near, make([]byte, 10)); n != 1 || err != nil {
		t.Errorf("received %d bytes, %v", n, err)
	}
	if len(events) != 0 {
		t.Errorf("told %d", <-events)
	}
	if _, err := Start(1<<20, nil); err == nil {
		t.Error("a descriptor that is none is watched")
	}
	file, err := unix.Open(t.TempDir(), unix.O_RDONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(file)
	if _, err := Start(file, nil); err == nil {
		t.Error("a directory is watched")
	}
}
