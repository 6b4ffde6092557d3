package serve

import (
	"github.com/heliosproxy/heliosproxy/dataplane/reactor"
	"github.com/heliosproxy/heliosproxy/dataplane/serve/later"
	"github.com/heliosproxy/heliosproxy/dataplane/startup"
	"github.com/heliosproxy/heliosproxy/dataplane/state/meter"
	"github.com/heliosproxy/heliosproxy/pkg/pgwire"
)

// carryCancel takes a CancelRequest to the session that its key belongs to, here or at another proxy, and ends the connection
// that brought it when the request has been through: that is how its client knows. A key that nobody has is answered with silence, as
// PostgreSQL does; only a proxy that passes one on is told.
func (c *Conn) carryCancel(t *reactor.Task, k *startup.Cancel) error {
	how := c.bringCancel(t, k)
	c.local.Meter.Cancels[how]++
	if how == meter.CancelUnknown {
		c.hub.Peers.Wrong(t.Loop().Now(), c.address(), k.Forwarded)
	}
	if k.Forwarded {
		answer := byte(pgwire.ForwardUnknown)
		if how == meter.CancelServed {
			answer = pgwire.ForwardServed
		}
		_ = c.ep.Send([]byte{answer}) // else it is gone
	}
	return errGone
}

// bringCancel is carryCancel without the answer.
func (c *Conn) bringCancel(t *reactor.Task, k *startup.Cancel) meter.Cancel {
	if c.hub.Peers.Barred(t.Loop().Now(), c.address(), k.Secret, k.Forwarded) {
		return meter.CancelLimited
	}
	c.carries = true
	of, ok := c.hub.Keys.Find(k.PID, k.Secret)
	if !ok {
		c.hub.CancelBefore(k.PID, k.Secret)
	}
	if !ok && k.Forwarded {
		return meter.CancelUnknown
	}
	if !ok {
		return c.hub.Peers.Forward(t, c.address(), k.PID, k.Secret)
	}
	through, here := false, t.Loop()
	report := func() {
		here.Post(func() {
			through = true
			t.Wake()
		})
	}
	of.Loop().Post(func() { of.cancel(report) })
	for !through && t.Park() == nil {
	}
	return meter.CancelServed
}

// Cancel cancels what the session does that has a key, of a client that has shown it to another process. Any thread may call it.
func (h *Hub) Cancel(pid uint32, secret []byte) {
	if of, ok := h.Keys.Find(pid, secret); ok {
		of.Loop().Post(func() { of.cancel(func() {}) })
	}
}

// cancel cancels what the session does, and nobody else's: a statement that waits is taken out of the queue; one that runs is cancelled at the
// server that the session has, which no other session gets before that is through; one for which the server connection is made ready still when
// it is there; a session that does nothing is left alone.
func (c *Conn) cancel(done func()) {
	if c.phase == serving && c.Unready() && (!c.settling || c.ep.Readable()) {
		later.Cancel(c, done)
		return
	}
	c.CancelNow(done)
}

// Unready implements [later.Client].
func (c *Conn) Unready() bool {
	return c.bringing || c.settling || c.lease != nil && c.stream == nil && c.session.Preparing()
}

// Began implements [later.Client].
func (c *Conn) Began() (at int64, ok bool) { return c.last, c.running() }

// running says whether something of the client's is under way at the server.
func (c *Conn) running() bool {
	return c.phase == serving && c.lease != nil && (c.stream != nil && c.stream.Busy() || c.stream == nil && !c.session.Quiet())
}

// CancelNow implements [later.Client].
func (c *Conn) CancelNow(done func()) {
	switch {
	case c.phase == serving && c.waiting:
		c.canceled = true
		c.Wake()
	case c.running() || c.phase == serving && c.bringing:
		c.lease.Cancel(done)
		return
	}
	done()
}

var _ later.Client = (*Conn)(nil)
