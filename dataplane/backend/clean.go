package backend

import (
	"errors"
	"fmt"
	"time"

	"github.com/heliosproxy/heliosproxy/dataplane/reactor"
	"github.com/heliosproxy/heliosproxy/pkg/pgwire"
	"github.com/heliosproxy/heliosproxy/pkg/planted"
)

// cleanLimit is how long bringing a connection back may take before it is closed instead.
const cleanLimit = 5 * time.Second

// Mess is what a lost client has left on its server connection.
type Mess struct {
	Owed     int    // ReadyForQuery messages that the server still owes
	Unsynced bool   // extended messages without a Sync behind them
	Partial  bool   // a message of which only the beginning was sent
	CopyIn   bool   // the server waits for copy data
	Extended bool   // what it answers is of the extended protocol
	Tail     int    // bytes still to come of a message that the client was being sent
	Head     []byte // what was received of a server's message before that
	Dirty    bool   // what is set on the connection is not known
	After    func() // called when the transaction is over, in whatever way; may be nil
}

// Clean brings the connection back from what a lost client left: what runs is cancelled, the answers
// are read to their end, an open transaction is rolled back. The owner gets it back by Opened, or
// hears that it was Closed.
func (c *Conn) Clean(m Mess) {
	c.mess = m
	c.Tainted = c.Tainted || m.Dirty
	c.phase = cleaning
	c.EP.Attach(&c.Task)
	c.Wake()
}

// errSpoiled is why a connection is closed that could be reset.
var errSpoiled = errors.New("something was done that no reset undoes")

// clean runs on the connection's own task.
func (c *Conn) clean(t *reactor.Task) {
	t.SetDeadline(t.Loop().Now() + int64(cleanLimit))
	err := c.recover(t)
	t.SetDeadline(0)
	if c.mess.After != nil {
		c.mess.After()
		c.mess.After = nil
	}
	if err != nil {
		if c.mess.Owed > 0 || c.mess.Unsynced || c.mess.Partial {
			c.Cancel(nil)
		}
		c.Retire()
		return
	}
	if c.cancels > 0 {
		c.phase = held
		return
	}
	c.phase = free
	c.Since = t.Loop().Now()
	c.owner.Opened(c)
}

func (c *Conn) recover(t *reactor.Task) error {
	m := &c.mess
	if m.Owed > 0 || m.Unsynced || m.Partial {
		done := false
		c.Cancel(func() { done = true })
		for !done {
			if err := t.Park(); err != nil {
				return err
			}
		}
	}
	if m.Partial {
		return fmt.Errorf("the client was lost within a message")
	}
	var end []byte
	if m.CopyIn {
		end = pgwire.Append(end, pgwire.CopyFail, []byte("client was lost\x00"))
	}
	if m.Unsynced { // a Sync alone would commit what the client did not
		end = pgwire.AppendNamed(end, pgwire.Describe, 'S', "the client was lost")
		end = pgwire.AppendSync(end)
		m.Owed++
	}
	if len(end) > 0 {
		if err := c.EP.Send(end); err != nil {
			return err
		}
	}
	if err := c.drain(t); err != nil {
		return err
	}
	if c.Spoiled {
		return errSpoiled
	}
	if c.Tainted {
		return c.Reset(t)
	}
	if c.Status != pgwire.Idle && !planted.Is(planted.Unfinished) {
		if refused, err := c.Exchange(t, "ROLLBACK", nil); err != nil || refused != nil {
			return fmt.Errorf("roll back for a lost client: %w %v", err, refused)
		}
	}
	return nil
}

// drain reads until the server owes nothing. Messages go by however large they are.
func (c *Conn) drain(t *reactor.Task) error {
	d := drainer{skip: c.mess.Tail}
	d.feed(c, c.mess.Head)
	for c.mess.Owed > 0 || d.skip > 0 || len(d.head) > 0 {
		p, err := c.EP.Recv(t)
		if err != nil {
			return err
		}
		d.feed(c, p)
		if d.copyIn { // it came to COPY only now, and waits for data
			d.copyIn = false
			end := pgwire.Append(nil, pgwire.CopyFail, []byte("client was lost\x00"))
			if c.mess.Extended { // every Sync that was sent ahead is ignored meanwhile
				end = pgwire.AppendSync(end)
				c.mess.Owed = 1
			}
			if err := c.EP.Send(end); err != nil {
				return err
			}
		}
	}
	return nil
}

// drainer counts the ReadyForQuery messages in a stream that nobody wants.
type drainer struct {
	head []byte // of the message under way: its header, and the status of a ReadyForQuery
	skip int    // bytes that are left of it
	// copyIn says that a CopyInResponse has gone by.
	copyIn bool
}

func (d *drainer) feed(c *Conn, p []byte) {
	for len(p) > 0 {
		if d.skip > 0 {
			k := min(d.skip, len(p))
			p, d.skip = p[k:], d.skip-k
			continue
		}
		d.head = append(d.head, p[0])
		p = p[1:]
		switch n := len(d.head); {
		case n < pgwire.HeaderSize:
		case d.head[0] != pgwire.ReadyForQuery:
			d.copyIn = d.copyIn || d.head[0] == pgwire.CopyInResponse
			d.skip = max(0, pgwire.Body(d.head))
			d.head = d.head[:0]
		case n > pgwire.HeaderSize:
			c.Status = d.head[pgwire.HeaderSize]
			c.mess.Owed--
			d.head = d.head[:0]
		}
	}
}
