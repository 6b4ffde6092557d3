package serve

import (
	"errors"

	"github.com/heliosproxy/heliosproxy/dataplane/snapshot"
	"github.com/heliosproxy/heliosproxy/dataplane/state/channels"
	"github.com/heliosproxy/heliosproxy/pkg/pgerr"
	"github.com/heliosproxy/heliosproxy/pkg/pgwire"
)

// listen takes what the configuration says of LISTEN. A session that listens goes on where its database is now.
func (c *Conn) listen(r snapshot.Route) {
	e := &c.session.Ear
	e.Shares = r.Listens && c.hub.Listener != nil
	c.lost = r.Lost
	if e.Hears == nil {
		return
	}
	if now := c.hub.Listener(r.Target); !e.Hears.At(func(l channels.Listener) bool { return now.Has(l) }) {
		e.Hears.Move()
	}
}

// Listens says whether the session listens by the connection that listens for all.
func (c *Conn) Listens() bool { return c.session != nil && c.session.Ear.Hears != nil }

// Join implements [channels.Owner].
func (c *Conn) Join(l *channels.Listening) channels.Listener {
	return c.hub.Listener(c.pool.Target()).Join(c.Loop(), l)
}

// Busy implements [channels.Owner].
func (c *Conn) Busy() bool { return !c.session.Quiet() }

// Tell implements [channels.Owner]. What the client does not take waits for it in memory; that it is gone is seen where something
// is sent to it next.
func (c *Conn) Tell() {
	for c.Listens() && c.session.Ear.Waiting() {
		if c.deliverNext() != nil {
			return
		}
	}
}

// Encoding implements [channels.Owner].
func (c *Conn) Encoding() string {
	v, _ := c.session.Want.Get("client_encoding")
	return v
}

// mostNews is how many bytes of notifications are sent at once, or a little more.
const mostNews = 32 << 10

// deliver sends the notifications that wait, as far as the client takes them: what it does not take is sent when it does.
func (c *Conn) deliver() error {
	for c.session.Ear.Waiting() && c.ep.Drained() {
		if err := c.deliverNext(); err != nil {
			return err
		}
	}
	return nil
}

// deliverNext sends as many of them as are sent at once.
func (c *Conn) deliverNext() error {
	h, m := c.session.Ear.Hears, &c.local.Meter
	buf, n := h.Deliver(nil, mostNews, c.appendLost)
	m.Notified += uint64(n)
	m.Unnotified += h.Dropped
	h.Dropped = 0
	if err := c.ep.Send(buf); err != nil {
		return errors.Join(errGone, err)
	}
	return nil
}

// appendLost appends what a session is told whose notifications may have been lost.
func (c *Conn) appendLost(dst []byte) []byte {
	dst = pgwire.AppendNotice(dst, pgerr.New(pgerr.NotificationsLost))
	if c.lost != "" {
		dst = c.session.Ear.Hears.AppendLost(dst, c.lost)
	}
	return dst
}

var _ channels.Owner = (*Conn)(nil)
