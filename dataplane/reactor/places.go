package reactor

import (
	"runtime"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/heliosproxy/heliosproxy/dataplane/reactor/sys"
)

// places is how many goroutines may compute at once. Where the machine has not processors enough and loops serve somebody, a place
// stays empty for a while behind each who had one: loops, servers and clients want them too, and those who log in can wait.
type places struct {
	free    chan struct{}
	waiting atomic.Int32 // those who have not computed yet
	late    atomic.Int64 // nanoseconds that loops took of late to do what they were posted
	guards  func() bool  // whether loops serve somebody
}

// turn is one goroutine's time in a place.
type turn struct{ wall, cpu time.Duration }

// queue counts one who is going to enter. It is the loop that does, so that it sees at once how many there are.
func (p *places) queue() { p.waiting.Add(1) }

// enter takes a place for the first time, and again for who has waited for its peer meanwhile.
func (p *places) enter() turn {
	t := p.again()
	p.waiting.Add(-1)
	return t
}

func (p *places) again() turn {
	p.free <- struct{}{}
	runtime.LockOSThread() // whose time is taken
	return turn{wall: sys.Clock(unix.CLOCK_MONOTONIC), cpu: sys.Clock(unix.CLOCK_THREAD_CPUTIME_ID)}
}

// leave gives the place back.
func (p *places) leave(t turn) {
	rest := rest(sys.Clock(unix.CLOCK_MONOTONIC)-t.wall, sys.Clock(unix.CLOCK_THREAD_CPUTIME_ID)-t.cpu, time.Duration(p.late.Load()))
	runtime.UnlockOSThread()
	if rest > 0 && p.guards() {
		time.AfterFunc(rest, p.release)
		return
	}
	p.release()
}

func (p *places) release() { <-p.free }

const (
	little   = 200 * time.Microsecond // of waiting for a processor is no sign of others who want one
	latish   = 500 * time.Microsecond // what a loop with much to do may be late
	longRest = 20 * time.Millisecond
	serving  = 100 * time.Millisecond // how long a loop counts as one that serves somebody
)

// rest is how long a place stays empty whose last turn took so much time on the wall, and so much of a processor's, while loops are
// so late: twice what the turn had to wait, or they are late.
func rest(wall, cpu, late time.Duration) time.Duration {
	lost := wall - cpu
	if lost <= max(little, wall/4) {
		lost = 0
	}
	if late > latish {
		lost = max(lost, late)
	}
	return min(2*lost, longRest)
}

// did notes that a loop has done what it was posted at. What it took before fades.
func (p *places) did(posted time.Duration) {
	took := int64(sys.Clock(unix.CLOCK_MONOTONIC) - posted)
	p.late.Store(max(took, p.late.Load()*7/8))
}

// Compute runs f in one of the places, for a goroutine that is no loop's.
func (g *Group) Compute(f func()) {
	t := g.computing.again()
	defer func() { g.computing.leave(t) }()
	f()
}

// Waiting returns how many handshakes and computations wait for their first place. Any thread may call it.
func (g *Group) Waiting() int { return int(g.computing.waiting.Load()) }
