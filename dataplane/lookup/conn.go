package lookup

import (
	"sync/atomic"
	"time"

	"github.com/heliosproxy/heliosproxy/dataplane/backend"
	"github.com/heliosproxy/heliosproxy/dataplane/reactor"
)

// ApplicationName is what pg_stat_activity shows of the connections that read catalogues.
const ApplicationName = "heliosproxy catalog"

// line is the connection of a task that asks on one of its own. It belongs to the task's loop.
type line struct {
	task    *reactor.Task
	conn    *backend.Conn // nil: there is none
	opening bool
	open    int // connections, from dial to close
	err     error
}

// dial opens a connection to a target and waits for it, as t, which is the line's task. Its lease is t's. The server shows it
// under name.
func (l *line) dial(t *reactor.Task, to *backend.Target, name string) error {
	l.conn, l.err, l.opening = nil, nil, true
	target := *to
	target.ApplicationName = name
	l.open++
	backend.Open(t.Loop(), &target, l)
	for l.conn == nil && l.err == nil {
		if err := t.Park(); err != nil {
			l.opening = false
			if l.conn != nil { // it came at the last moment
				l.conn.Retire()
				l.conn = nil
			}
			return err
		}
	}
	l.opening = false
	return l.err
}

// lose gives the connection up, in whatever state it is.
func (l *line) lose() {
	if l.conn != nil {
		l.conn.Lose()
		l.conn = nil
	}
}

// Opened implements [backend.Owner].
func (l *line) Opened(c *backend.Conn) {
	if !l.opening { // nobody waits any more
		c.Retire()
		return
	}
	c.Lease(l.task)
	l.conn = c
	l.task.Wake()
}

// Failed implements [backend.Owner].
func (l *line) Failed(_ *backend.Conn, err error) {
	l.open--
	l.err = err
	l.task.Wake()
}

// Lost implements [backend.Owner].
func (l *line) Lost(*backend.Conn) {}

// Closed implements [backend.Owner].
func (l *line) Closed(*backend.Conn) { l.open-- }

// Changed implements [backend.Owner].
func (l *line) Changed(*backend.Conn) {}

var _ backend.Owner = (*line)(nil)

// counts is what a reader has counted. Whoever asks may be on any thread.
type counts struct {
	looks, readings, failures atomic.Uint64
	took                      atomic.Int64 // nanoseconds, the last reading
}

// Stats is what a reader has done.
type Stats struct {
	Looks    uint64 // at the catalogue
	Readings uint64 // of it, as it had changed
	Failures uint64
	Took     time.Duration // the last reading, from the dial on
	Bytes    int           // what is kept of it in memory
	Known    bool          // it is not the case that everything is suspect
}

// Stats returns what the reader has done. Any thread may call it.
func (r *Reader) Stats() Stats {
	s := Stats{
		Looks: r.counts.looks.Load(), Readings: r.counts.readings.Load(), Failures: r.counts.failures.Load(),
		Took: time.Duration(r.counts.took.Load()),
	}
	s.Bytes, s.Known = r.Handle.Known()
	return s
}
