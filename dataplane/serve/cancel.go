package serve

import (
	"github.com/heliosproxy/heliosproxy/dataplane/reactor"
)

// carryCancel takes a CancelRequest to the session that its key belongs to, and ends the connection that
// brought it when the request has been through: that is how its client knows. A key that nobody has is
// answered with silence, as PostgreSQL does.
func (c *Conn) carryCancel(t *reactor.Task, pid uint32, secret []byte) error {
	of, ok := c.hub.Keys.Find(pid, secret)
	if !ok {
		c.hub.CancelElsewhere(pid, secret)
		return errGone
	}
	c.local.Meter.Cancels++
	c.carries = true
	through, here := false, t.Loop()
	report := func() {
		here.Post(func() {
			through = true
			t.Wake()
		})
	}
	of.Loop().Post(func() { of.cancel(report) })
	for !through {
		if err := t.Park(); err != nil {
			return errGone
		}
	}
	return errGone
}

// Cancel cancels what the session does that has a key, of a client that has shown it to another process. Any thread may call it.
func (h *Hub) Cancel(pid uint32, secret []byte) {
	if of, ok := h.Keys.Find(pid, secret); ok {
		of.Loop().Post(func() { of.cancel(func() {}) })
	}
}

// cancel cancels what the session does, and nobody else's: a statement that waits is taken out of the
// queue; one that runs is cancelled at the server that the session has, which no other session gets before
// that is through; a session that does nothing is left alone.
func (c *Conn) cancel(done func()) {
	switch {
	case c.phase != serving:
	case c.waiting:
		c.canceled = true
		c.Wake()
	case c.lease != nil && (c.stream != nil && c.stream.Busy() || c.stream == nil && !c.session.Quiet()):
		c.lease.Cancel(done)
		return
	}
	done()
}
