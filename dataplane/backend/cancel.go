package backend

import (
	"time"

	"github.com/heliosproxy/heliosproxy/dataplane/reactor"
	"github.com/heliosproxy/heliosproxy/pkg/pgwire"
)

// cancelLimit is how long a cancel may take before the connection that it is for is given up.
const cancelLimit = 5 * time.Second

// canceler carries one CancelRequest to the server of a connection, over a connection of its own, and
// waits until the server has closed that: then the signal is sent, and what comes after it is safe.
type canceler struct {
	reactor.Task
	conn *Conn
	done func()
	over bool
}

// Cancel asks the server to cancel what the connection does. The connection is not passed on until
// that is through. done, which may be nil, is called then, on the loop of the connection.
func (c *Conn) Cancel(done func()) {
	c.cancels++
	k := &canceler{conn: c, done: done}
	k.Init(c.Loop(), k)
	k.Wake()
}

// Cancelling says whether a cancel is under way.
func (c *Conn) Cancelling() bool { return c.cancels > 0 }

// Serve sends the request and waits for its end.
func (k *canceler) Serve(t *reactor.Task) {
	t.SetDeadline(t.Loop().Now() + int64(cancelLimit))
	err := k.deliver(t)
	k.finish(err == nil)
}

func (k *canceler) deliver(t *reactor.Task) error {
	ep, err := reactor.Dial(t, addressOf(k.conn.route))
	if err != nil {
		return err
	}
	defer ep.Close()
	ep.Attach(&k.Task)
	if k.conn.secured {
		if _, err := secure(t, ep, k.conn.Target.TLS, k.conn.route.Host); err != nil {
			return err
		}
	}
	if err := ep.Send(pgwire.AppendCancel(nil, k.conn.PID, k.conn.secret)); err != nil {
		return err
	}
	for {
		if _, err := ep.Recv(t); err != nil {
			if t.Expired() {
				return err
			}
			return nil // closed by the server
		}
	}
}

// Panicked counts as a cancel that did not get through.
func (k *canceler) Panicked(*reactor.Task, any, []byte) { k.finish(false) }

func (k *canceler) finish(delivered bool) {
	if k.over {
		return
	}
	k.over = true
	k.End()
	c := k.conn
	c.cancels--
	if k.done != nil {
		k.done()
	}
	switch {
	case c.phase == cleaning:
		c.Wake()
	case c.phase == leased:
		c.EP.Wake() // whoever has the lease may have waited for that
	case c.phase != held || c.cancels > 0:
	case delivered:
		c.phase = free
		c.Since = c.Loop().Now()
		c.owner.Opened(c)
	default:
		c.Retire()
	}
}
