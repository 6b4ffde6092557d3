package reactor

import (
	"runtime"
	"sync"
	"time"

	"github.com/heliosproxy/heliosproxy/dataplane/reactor/watch"
)

// goroutines is the engine for platforms without epoll: at each descriptor goroutines wait, and tell the loop.
type goroutines struct {
	wake  chan struct{} // holds one: there is something for the loop
	timer *time.Timer
	mu    sync.Mutex
	told  []event // since the last wait
	heard []event // until then; the loop's
}

type event struct {
	w    *watched
	what watch.Event
}

// watched is an endpoint or a listener with its goroutines. All is the loop's.
type watched struct {
	*watch.Watch
	e    *Endpoint
	ls   *Listener
	over bool // nothing is delivered any more
}

func newGoroutines() engine {
	g := &goroutines{wake: make(chan struct{}, 1), timer: time.NewTimer(time.Hour)}
	g.timer.Stop()
	return g
}

func (g *goroutines) close() { g.timer.Stop() }

func (g *goroutines) wakeUp() {
	select {
	case g.wake <- struct{}{}:
	default:
	}
}

// tell leaves an event for the loop. Any thread may call it.
func (g *goroutines) tell(w *watched, what watch.Event) {
	g.mu.Lock()
	g.told = append(g.told, event{w, what})
	g.mu.Unlock()
	g.wakeUp()
}

func (g *goroutines) wait(timeout int) {
	switch {
	case timeout == 0:
		runtime.Gosched() // a loop that never sleeps leaves those a processor who watch
	case timeout < 0:
		<-g.wake
	default:
		g.timer.Reset(time.Duration(timeout) * time.Millisecond)
		select {
		case <-g.wake:
			g.timer.Stop()
		case <-g.timer.C:
		}
	}
	g.mu.Lock()
	g.told, g.heard = g.heard[:0], g.told
	g.mu.Unlock()
}

func (g *goroutines) deliver() {
	for _, ev := range g.heard {
		w := ev.w
		switch {
		case w.over: // who has the descriptor now has a watch of his own
		case w.ls == nil:
			w.e.note(edges(ev.what))
		case w.ls.accept() || !w.Emptied():
			g.tell(w, watch.Readable) // as in the next turn there may be another client
		}
	}
	clear(g.heard) // it keeps no endpoint alive
}

func edges(what watch.Event) (edges uint8) {
	if what&(watch.Readable|watch.End) != 0 {
		edges = readable
	}
	if what&watch.End != 0 {
		edges |= hungUp
	}
	return edges
}

func (g *goroutines) add(e *Endpoint) (err error) {
	e.watch, err = g.watch(int(e.fd), &watched{e: e})
	if err == nil && e.wantOut {
		e.watch.Sending()
	}
	return err
}

func (g *goroutines) room(e *Endpoint) {
	switch {
	case !e.wantOut:
		e.wantOut = true
		e.watch.Sending()
	case !e.watch.Filled():
		g.tell(e.watch, watch.Room) // there has been some since: the next turn sends
	}
}

func (g *goroutines) remove(e *Endpoint) {
	e.watch.stop()
	e.watch = nil
}

func (g *goroutines) listen(ls *Listener) (err error) {
	ls.watch, err = g.watch(ls.fd, &watched{ls: ls})
	return err
}

func (g *goroutines) ignore(ls *Listener) {
	ls.watch.stop()
	ls.watch = nil
}

func (g *goroutines) watch(fd int, w *watched) (_ *watched, err error) {
	if w.Watch, err = watch.Start(fd, func(what watch.Event) { g.tell(w, what) }); err != nil {
		return nil, err
	}
	return w, nil
}

// stop is for who closes the descriptor, or gives it away; w is nil with another engine.
func (w *watched) stop() {
	if w != nil && !w.over {
		w.over = true
		w.Stop()
	}
}
