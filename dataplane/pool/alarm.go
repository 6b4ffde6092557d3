package pool

import (
	"sync/atomic"

	"github.com/heliosproxy/heliosproxy/dataplane/reactor"
)

// alarm calls due on its loop, at the earliest of the times that it was set to. Any thread may set it.
type alarm struct {
	loop  *reactor.Loop
	due   func(*reactor.Loop)
	at    atomic.Int64 // 0: not set
	timer reactor.Timer
}

func (a *alarm) init(l *reactor.Loop, due func(*reactor.Loop)) {
	a.loop, a.due = l, due
	a.timer.Init(a)
}

// set sets the alarm to a time as [reactor.Loop.Now] has it, unless it is set to an earlier one.
func (a *alarm) set(at int64) {
	for {
		old := a.at.Load()
		if old != 0 && old <= at {
			return
		}
		if a.at.CompareAndSwap(old, at) {
			break
		}
	}
	a.loop.Post(func() {
		if at := a.at.Load(); at != 0 {
			a.timer.Start(a.loop, at)
		}
	})
}

// Fire is called by the loop when the time has come.
func (a *alarm) Fire(*reactor.Timer) {
	for {
		at := a.at.Load()
		if at > a.loop.Now() {
			a.timer.Start(a.loop, at)
			return
		}
		if a.at.CompareAndSwap(at, 0) {
			break
		}
	}
	a.due(a.loop)
}
