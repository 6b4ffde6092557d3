package lookup

import (
	"sync/atomic"
	"time"

	"github.com/heliosproxy/heliosproxy/dataplane/backend"
	"github.com/heliosproxy/heliosproxy/dataplane/reactor"
)

// ApplicationName is what pg_stat_activity shows of the connections that read catalogues.
const ApplicationName = "heliosproxy catalog"

// open opens a connection and waits for it. Its lease is t's.
func (r *Reader) open(t *reactor.Task) (*backend.Conn, error) {
	r.conn, r.err, r.opening = nil, nil, true
	target := *r.target.Load()
	target.ApplicationName = ApplicationName
	backend.Open(t.Loop(), &target, r)
	for r.conn == nil && r.err == nil {
		if err := t.Park(); err != nil {
			r.opening = false
			if r.conn != nil { // it came at the last moment
				r.conn.Retire()
				r.conn = nil
			}
			return nil, err
		}
	}
	r.opening = false
	return r.conn, r.err
}

// Opened implements [backend.Owner].
func (r *Reader) Opened(c *backend.Conn) {
	if !r.opening { // nobody waits any more
		c.Retire()
		return
	}
	c.Lease(&r.Task)
	r.conn = c
	r.Wake()
}

// Failed implements [backend.Owner].
func (r *Reader) Failed(_ *backend.Conn, err error) {
	r.err = err
	r.Wake()
}

// Lost implements [backend.Owner].
func (r *Reader) Lost(*backend.Conn) {}

// Closed implements [backend.Owner].
func (r *Reader) Closed(*backend.Conn) {}

// Changed implements [backend.Owner].
func (r *Reader) Changed(*backend.Conn) {}

var _ backend.Owner = (*Reader)(nil)

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
