package reactor

import "time"

// epoch is what the loops' clocks count from.
var epoch = time.Now()

// Timer calls its owner when a time has come. It belongs to a loop while it runs.
type Timer struct {
	owner interface{ Fire(*Timer) }
	at    int64
	pos   int // in the heap, from 1 on; 0 when it does not run
}

// Init says whom the timer calls.
func (m *Timer) Init(owner interface{ Fire(*Timer) }) { m.owner = owner }

// Running says whether the timer will fire.
func (m *Timer) Running() bool { return m.pos != 0 }

// Start makes m fire at the given time of l (see Loop.Now), and not at the one it had.
func (m *Timer) Start(l *Loop, at int64) { l.startTimer(m, at) }

// Stop makes m not fire.
func (m *Timer) Stop(l *Loop) { l.stopTimer(m) }

// timers is a heap, the next to fire first. The position in a timer is one more than its index.
type timers []*Timer

func (h timers) place(i int, m *Timer) {
	h[i] = m
	m.pos = i + 1
}

func (h timers) up(i int) {
	m := h[i]
	for i > 0 {
		p := (i - 1) / 2
		if h[p].at <= m.at {
			break
		}
		h.place(i, h[p])
		i = p
	}
	h.place(i, m)
}

func (h timers) down(i int) {
	m := h[i]
	for {
		c := 2*i + 1
		if c >= len(h) {
			break
		}
		if c+1 < len(h) && h[c+1].at < h[c].at {
			c++
		}
		if m.at <= h[c].at {
			break
		}
		h.place(i, h[c])
		i = c
	}
	h.place(i, m)
}

func (l *Loop) startTimer(m *Timer, at int64) {
	if m.pos == 0 {
		l.timers = append(l.timers, m)
		m.at, m.pos = at, len(l.timers)
		l.timers.up(len(l.timers) - 1)
		return
	}
	i := m.pos - 1
	later := at > m.at
	m.at = at
	if later {
		l.timers.down(i)
	} else {
		l.timers.up(i)
	}
}

func (l *Loop) stopTimer(m *Timer) {
	if m.pos == 0 {
		return
	}
	i, n := m.pos-1, len(l.timers)-1
	last := l.timers[n]
	l.timers[n] = nil
	l.timers = l.timers[:n]
	m.pos = 0
	if i == n {
		return
	}
	l.timers.place(i, last)
	l.timers.up(i)
	l.timers.down(last.pos - 1)
}

func (l *Loop) fireTimers() {
	for len(l.timers) > 0 && l.timers[0].at <= l.now {
		m := l.timers[0]
		l.stopTimer(m)
		m.owner.Fire(m)
	}
}
