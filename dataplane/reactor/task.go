package reactor

import (
	"iter"
	"runtime/debug"
)

// Body is what a task does. Both methods run on the loop's thread.
type Body interface {
	// Serve does what there is to do and returns when the task may rest: when nothing is left unread of
	// what would wake it. It may park.
	Serve(t *Task)
	// Panicked is told what Serve panicked with, and where. The task is at rest then.
	Panicked(t *Task, value any, stack []byte)
}

// Task is something that a loop runs: data at rest, a coroutine at work. It is embedded in what it
// runs and belongs to its loop.
type Task struct {
	loop    *Loop
	body    Body
	co      *coroutine // nil at rest
	queued  bool       // in a queue of the loop: resumed from there only
	dead    bool
	expired bool // the deadline has passed
	cause   error
	timer   Timer
	chunks  int // received since the last park, for fairness
}

// share is how many chunks a task may receive before the others of its loop get their turn.
const share = 16

// Init makes t a task of l. It must be the first call.
func (t *Task) Init(l *Loop, b Body) {
	t.loop, t.body = l, b
	t.timer.Init(t)
}

// Loop returns the loop that runs t.
func (t *Task) Loop() *Loop { return t.loop }

// Wake makes the loop run t in this turn: Serve begins for a task at rest, Park returns in a parked
// one. Waking is a hint: whoever waits tests his condition again.
func (t *Task) Wake() {
	if t.queued || t.dead {
		return
	}
	t.queued = true
	t.loop.runs = append(t.loop.runs, t)
}

// Kill makes this and every later Park of t return err, and wakes t. The first cause stays.
func (t *Task) Kill(err error) {
	if t.cause == nil {
		t.cause = err
	}
	t.Wake()
}

// Killed returns what t was killed with, or nil.
func (t *Task) Killed() error { return t.cause }

// Pardon forgets a Kill, so that t can park while it cleans up.
func (t *Task) Pardon() { t.cause = nil }

// End says that t is never to run again, once the running Serve has returned.
func (t *Task) End() {
	t.dead = true
	t.loop.stopTimer(&t.timer)
}

// SetDeadline makes Park return ErrDeadline from at on (nanoseconds as Loop.Now has them); 0 is never.
// A task at rest is woken by it.
func (t *Task) SetDeadline(at int64) {
	t.expired = false
	if at == 0 {
		t.loop.stopTimer(&t.timer)
		return
	}
	t.loop.startTimer(&t.timer, at)
}

// Expired says whether the deadline has passed.
func (t *Task) Expired() bool { return t.expired }

// Fire is called by the loop when the deadline passes.
func (t *Task) Fire(*Timer) {
	t.expired = true
	t.Wake()
}

// Park gives the thread back to the loop until t is woken. Every chunk that was received is dead
// afterwards. It returns nil, what t was killed with, ErrDeadline or ErrStopped.
func (t *Task) Park() error {
	if err := t.woken(); err != nil {
		return err
	}
	l := t.loop
	if l.poison != nil {
		copy(l.buf, l.poison)
		copy(l.plain, l.poison)
		copy(l.Scratch[:cap(l.Scratch)], l.poison)
	}
	t.chunks = 0
	if !t.co.yield(struct{}{}) {
		return ErrStopped
	}
	return t.woken()
}

// woken returns why t must not wait.
func (t *Task) woken() error {
	switch {
	case t.cause != nil:
		return t.cause
	case t.expired:
		return ErrDeadline
	}
	return nil
}

// Yield lets the other tasks of the loop have their turn if t has had its share.
func (t *Task) Yield() error {
	if t.chunks < share {
		return nil
	}
	if !t.queued {
		t.queued = true
		t.loop.again = append(t.loop.again, t)
	}
	return t.Park()
}

// coroutine runs one task after another, one busy period of each.
type coroutine struct {
	t      *Task
	resume func() (struct{}, bool) // for the loop only
	stop   func()
	yield  func(struct{}) bool // for Park only
	pos    int                 // in the loop's list of all
}

// maxFree is how many coroutines a loop keeps for later.
const maxFree = 256

func (l *Loop) coroutine() *coroutine {
	if n := len(l.free); n > 0 {
		c := l.free[n-1]
		l.free = l.free[:n-1]
		return c
	}
	c := &coroutine{pos: len(l.all)}
	l.all = append(l.all, c)
	c.resume, c.stop = iter.Pull(func(yield func(struct{}) bool) {
		c.yield = yield
		for {
			c.serve()
			if len(l.free) >= maxFree {
				l.forget(c)
				return
			}
			l.free = append(l.free, c)
			if !yield(struct{}{}) {
				return
			}
		}
	})
	return c
}

// forget takes c, which is about to end, out of the list of all.
func (l *Loop) forget(c *coroutine) {
	n := len(l.all) - 1
	l.all[c.pos] = l.all[n]
	l.all[c.pos].pos = c.pos
	l.all[n] = nil
	l.all = l.all[:n]
}

// Coroutines returns how many coroutines the loop has, and how many of them wait for work.
func (l *Loop) Coroutines() (all, free int) { return len(l.all), len(l.free) }

// serve runs the task that the coroutine was lent to. A panic is caught here, inside the coroutine,
// because outside of it the stack of the fault would be gone.
func (c *coroutine) serve() {
	t, served := c.t, false
	defer func() {
		if !served {
			c.caught(t, recover())
		}
	}()
	t.body.Serve(t)
	t.co, c.t, served = nil, nil, true
}

// caught tells t what its Serve has panicked with; nil where the goroutine ends.
func (c *coroutine) caught(t *Task, v any) {
	var stack []byte
	if v != nil {
		stack = debug.Stack()
	}
	t.co, c.t = nil, nil
	if v != nil {
		t.body.Panicked(t, v, stack)
	}
}

// resumeAll runs the queue until it is empty; it may grow meanwhile.
func (l *Loop) resumeAll() {
	for i := 0; i < len(l.runs); i++ {
		t := l.runs[i]
		if t == nil {
			continue // moved
		}
		l.runs[i] = nil
		t.queued = false
		if t.co == nil {
			if t.dead {
				continue
			}
			t.co = l.coroutine()
			t.co.t = t
		}
		t.co.resume()
	}
	l.runs = l.runs[:0]
	if len(l.leaving) > 0 {
		l.sendOff()
	}
}

// sendOff lets those go who go to other loops.
func (l *Loop) sendOff() {
	for _, post := range l.leaving {
		post()
	}
	clear(l.leaving)
	l.leaving = l.leaving[:0]
}

// Move takes t, which is at rest or about to return from Serve, to the loop to, whose thread then calls
// arrive. What t was woken for on its old loop is forgotten, and nobody may wake it before it has arrived.
func (t *Task) Move(to *Loop, arrive func()) {
	l := t.loop
	if t.queued {
		t.queued = false
		for _, q := range [...][]*Task{l.runs, l.again} {
			for i := range q {
				if q[i] == t {
					q[i] = nil
				}
			}
		}
	}
	post := func() { to.Post(func() { t.loop = to; arrive() }) }
	if t.co != nil { // its coroutine is this loop's, and has not let go of it
		l.leaving = append(l.leaving, post)
		return
	}
	post()
}
