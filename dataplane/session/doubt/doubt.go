// Package doubt is what becomes of the answers to a client while it is open which of its Syncs the server has ignored. It never decides when the server is asked.
//
// A COPY that fails leaves it open which of the Syncs among its data the server had read before, and so ignored. What it answers next
// tells, if that is anything but a ReadyForQuery.
package doubt

import (
	"github.com/heliosproxy/heliosproxy/dataplane/session/compose"
	"github.com/heliosproxy/heliosproxy/dataplane/session/expect"
	"github.com/heliosproxy/heliosproxy/pkg/pgwire"
)

// Doubt is that of one session, of which the answers that are to come are q. It belongs to the session's loop.
type Doubt struct {
	Open bool // there is a doubt
	Asks bool // the server is to be asked something, which ends it
	// Asked says that it was, with a Sync of the proxy's own.
	Asked bool

	readies []byte // the statuses of ReadyForQuery messages that are kept back while it is open which of them are the client's
	ready   bool   // the client has got one since the COPY
}

// Begin notes that a COPY has failed. What the server was asked behind it, for the sake of an earlier one, ends this doubt too.
func (d *Doubt) Begin(q *expect.Queue) { d.Open, d.Asked, d.ready = q.Doubts(), q.Probed(), false }

// Ask asks the server for what it answers however that is: to close a statement called none, which nobody has. sync says that a Sync
// of the proxy's own goes ahead of it, fails that what the client has not synced is made to fail before, as the Sync would commit it.
func (d *Doubt) Ask(c *compose.Composer, q *expect.Queue, none string, sync, fails bool) {
	c.Use()
	if fails {
		c.Dst = pgwire.AppendNamed(c.Dst, pgwire.Describe, 'S', none)
		q.Push(expect.Answer{Kind: expect.Describe, Hidden: true})
	}
	if d.Asked = sync; sync {
		c.Dst = pgwire.AppendSync(c.Dst)
		q.Push(expect.Answer{Kind: expect.Sync, Hidden: true})
	}
	c.Dst = pgwire.AppendNamed(c.Dst, pgwire.Close, 'S', none)
	c.Dst = pgwire.Append(c.Dst, pgwire.Flush, nil)
	q.Push(expect.Answer{Kind: expect.Close, Hidden: true, Probe: sync})
	q.Asked = q.N
}

// Tells says whether a message of the server, of type t, ends the doubt.
func (d *Doubt) Tells(q *expect.Queue, t byte) bool {
	switch t {
	case pgwire.ReadyForQuery, pgwire.NotificationResponse, pgwire.ParameterStatus:
		return false
	case pgwire.NoticeResponse: // to a Sync there is none
		return q.Speaks()
	}
	return true
}

// Answered ends the doubt, as something else than a Sync is answered, at i: what is ahead of it is off the queue. A session that has asked is given the ReadyForQuery messages that were kept back, of which the last is that of the proxy's own Sync. It says
// whether that was the only one that the server has not ignored: if it were not for it, the server would skip to the next one.
func (d *Doubt) Answered(q *expect.Queue, c *compose.Composer, i int) (skips bool) {
	d.Open = q.Doubts()
	d.Asks = d.Asks && d.Open
	n := len(d.readies)
	if n == 0 {
		return false
	}
	e := q.Front()
	probe := e != nil && e.Probe
	if probe {
		n--
	}
	d.give(c, n, i)
	return probe && !d.ready
}

// Ready deals with the status of a ReadyForQuery at i. It says whether that is kept back, which it is when the server was asked: it
// may be that of the proxy's own Sync. If there is no doubt any more, what was kept back goes ahead of it.
func (d *Doubt) Ready(q *expect.Queue, c *compose.Composer, status byte, i int) (kept bool) {
	d.Open = q.Readies() || d.Asked && q.N > 0 // else there is no other Sync that it could be the answer to
	d.Asks = d.Open && !d.Asked
	switch {
	case !d.Asked:
		d.ready = true
		return false
	case d.Open:
		d.readies = append(d.readies, status)
		return true
	}
	d.give(c, len(d.readies), i)
	d.ready = true
	return false
}

// give gives the client n of the messages that were kept back, ahead of what is at i, and forgets the others.
func (d *Doubt) give(c *compose.Composer, n, i int) {
	if len(d.readies) == 0 {
		return
	}
	c.UpTo(i)
	for _, status := range d.readies[:n] {
		c.Dst = pgwire.AppendReady(c.Dst, status)
	}
	d.readies, d.ready = nil, d.ready || n > 0
}
