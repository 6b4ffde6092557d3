package serve

import (
	"errors"
	"time"

	"go.uber.org/zap"

	"github.com/heliosproxy/heliosproxy/dataplane/backend"
	"github.com/heliosproxy/heliosproxy/dataplane/console"
	"github.com/heliosproxy/heliosproxy/dataplane/pool"
	"github.com/heliosproxy/heliosproxy/dataplane/query"
	"github.com/heliosproxy/heliosproxy/dataplane/reactor"
	"github.com/heliosproxy/heliosproxy/dataplane/relay"
	"github.com/heliosproxy/heliosproxy/dataplane/replication"
	"github.com/heliosproxy/heliosproxy/dataplane/serve/clock"
	"github.com/heliosproxy/heliosproxy/dataplane/session"
	"github.com/heliosproxy/heliosproxy/dataplane/snapshot"
	"github.com/heliosproxy/heliosproxy/dataplane/state/admission"
	"github.com/heliosproxy/heliosproxy/dataplane/state/cancelkeys"
	"github.com/heliosproxy/heliosproxy/dataplane/state/meter"
	"github.com/heliosproxy/heliosproxy/dataplane/state/pin"
	"github.com/heliosproxy/heliosproxy/pkg/pgerr"
	"github.com/heliosproxy/heliosproxy/pkg/pgwire"
	"github.com/heliosproxy/heliosproxy/pkg/proxyproto"
)

// phase is where a connection is.
type phase uint8

const (
	greeting  phase = iota // nobody knows yet who it is
	proving                // has to prove it
	serving                // logged in
	given                  // to the process that takes this one's place, which has not said yet that it has it
	lingering              // was told why it ends, and gets time to read that
	over
)

// Conn is a client's connection. At rest it is data; its Task is at work while there is something to do.
type Conn struct {
	reactor.Task
	local   *Local
	hub     *Hub
	ep      *reactor.Endpoint
	peer    reactor.Address
	relayed bool // the peer is who passes the connection on, or whom that one names
	door    *Door
	phase   phase
	fate    Fate
	place   admission.Place
	pos     int // in local.conns
	id      uint64
	since   int64 // when it came, and
	last    int64 // when a statement began last, in the time of the loop

	login   *login // until logged in
	session *session.Session
	stream  *replication.Stream // in a session's place, for a client of replication
	console *console.Session    // in a session's place, for an administrator
	trusted bool                // of an administrator: he has proved nothing
	more    bool                // bytes of the client are in the session and nobody has looked at them
	snap    *snapshot.Snapshot  // of the transaction
	seen    *snapshot.Snapshot  // what was looked at last while the session rested on a server connection
	named   bool                // its user is one of the configuration, which had to be known
	name    string              // of user
	asked   snapshot.Asked
	at      string // the Database resource that it was admitted to
	account *meter.Account
	in, out uint64 // bytes that are counted
	watch   meter.Watch
	lost    string // the payload of a notification that some may be lost
	key     cancelkeys.Key

	pool     *pool.Pool
	lease    *backend.Conn
	waiter   pool.Waiter
	waiting  bool
	gated    bool         // until an administrator lets the database's clients go on
	pins     pin.Set      // why it keeps its server connection, as was counted
	awaited  bool         // the catalogue had its time to be read
	settling bool         // the server is asked what the transaction has left, or
	bringing bool         // brought to what the session has set
	canceled bool         // while waiting
	carries  bool         // a CancelRequest
	clock    *clock.Clock // ends what takes too long; nil: nothing may
}

// Accept begins the walk of a connection, on the thread of its loop.
func Accept(h *Hub, ep *reactor.Endpoint, peer reactor.Address, door *Door) {
	c := enter(h, ep, peer, door)
	c.login = &login{}
	c.offer()
	if c.relayed = door.Senders.Trusts(c.address()); c.relayed {
		c.login.header = &proxyproto.Reader{}
	}
	c.SetDeadline(ep.Loop().Now() + int64(h.loginTimeout()))
	c.turnAway()
}

// enter makes a connection one of its loop's.
func enter(h *Hub, ep *reactor.Endpoint, peer reactor.Address, door *Door) *Conn {
	l := ep.Loop()
	lo := l.Local.(*Local)
	c := &Conn{local: lo, hub: h, ep: ep, peer: peer, door: door, id: h.Statements.Serial(), since: l.Now()}
	c.Init(l, c)
	c.pos = len(lo.conns)
	lo.conns = append(lo.conns, c)
	l.AddLoad(1)
	ep.Attach(&c.Task)
	if s := h.Current(); s != nil && !peer.IsUnix() {
		ep.SetUserTimeout(s.Admission.ClientTimeout)
	}
	return c
}

// Serve walks on from where the connection is. It returns when there is nothing to do.
func (c *Conn) Serve(t *reactor.Task) {
	if c.phase == over || c.phase == given {
		return
	}
	if c.phase == lingering {
		c.linger(t)
		return
	}
	if err := c.walk(t); err != nil {
		c.end(err)
	}
}

func (c *Conn) walk(t *reactor.Task) error {
	for c.phase < serving {
		if t.Expired() {
			return pgerr.New(pgerr.LoginTimeout, c.hub.loginTimeout())
		}
		if went, err := c.logIn(t); err != nil || !went {
			return err
		}
	}
	if c.stream != nil {
		return c.replicate(t)
	}
	if c.console != nil {
		return c.administer(t)
	}
	for {
		if err := t.Killed(); err != nil {
			return err
		}
		if c.lease == nil || c.session.Quiet() && c.session.Status == pgwire.Idle {
			if gone, err := c.pause(); gone || err != nil {
				return err
			}
		}
		var p []byte
		var copied bool
		if c.lease == nil {
			if !c.ep.Drained() || !c.ep.Readable() && !c.more {
				return c.ep.Fault()
			}
			var err error
			if p, copied, err = c.statement(t); err != nil {
				return err
			}
		} else {
			if !c.lease.EP.Readable() && (!c.ep.Readable() || !c.ep.Drained()) && !c.more {
				return c.ep.Fault()
			}
			if c.ep.Readable() || c.more {
				c.begins()
			}
		}
		if c.lease != nil {
			// It is called from here and nowhere deeper: each function more that waits for the server costs a query some 20 ns, as behind a
			// change of coroutines the processor does not know where to return to.
			err := relay.Run(t, c.ep, c.lease, c.machine(), c.ahead(p), &c.watch.Client)
			if copied {
				c.local.spare.Done(p)
			}
			if err == nil {
				err = c.answered(t)
			}
			if err != nil {
				return err
			}
		}
		c.clock.Rests()
	}
}

// pause is what has to be done while nothing is under way. The session is gone if another process has it.
func (c *Conn) pause() (gone bool, err error) {
	if c.fate != Stays {
		if gone, err = c.part(); gone || err != nil {
			return gone, err
		}
	}
	if c.lease == nil {
		err = c.renew()
	} else {
		err = c.keep()
	}
	if err == nil && c.session.News() {
		err = c.deliver()
	}
	return false, err
}

// Judge lets the pipeline of the configuration that the transaction runs under decide.
func (c *Conn) Judge(q *query.Query) query.Verdict {
	if v := c.snap.Pipeline.Judge(q); v.Action != query.Continue {
		return v
	}
	return c.session.Allow(q)
}

// Panicked ends the session whose walk went wrong, and nobody else's.
func (c *Conn) Panicked(_ *reactor.Task, v any, stack []byte) {
	c.local.Meter.Panics++
	c.hub.Log.Error("session panicked", zap.Any("panic", v), zap.ByteString("stack", stack), zap.String("user", c.name), zap.String("database", c.asked.Database))
	if c.lease != nil {
		c.lease.Lose()
		c.lease = nil
		if c.stream == nil {
			c.session.EndOfTransaction()
		}
	}
	if c.phase != over {
		c.end(pgerr.New(pgerr.InternalError))
	}
}

// end closes the connection. Whoever is told why gets a moment to read it.
func (c *Conn) end(err error) {
	c.Pardon()
	c.SetDeadline(0)
	defer c.clock.Stop()
	var words []byte
	var pe *pgerr.Error
	var se *pgwire.ServerError
	var unsaid *handshakeError
	switch {
	case c.deaf(err), c.mute():
	case errors.Is(err, session.ErrTerminated), errors.Is(err, relay.ErrClient), errors.Is(err, reactor.ErrStopped), errors.Is(err, errGone), errors.Is(err, console.ErrTerminated):
	case errors.As(err, &unsaid):
		errors.As(err, &pe)
	case errors.As(err, &pe):
		words = pgwire.AppendError(nil, pe.AsFatal())
	case errors.As(err, &se): // also where it has come between transactions, as the answer to what the proxy has asked
		words = pgwire.AppendServerError(nil, se, pgerr.Fatal)
	case errors.Is(err, relay.ErrServer) && (c.stream != nil || !c.session.Fatal()):
		words = pgwire.AppendError(nil, pgerr.New(pgerr.ServerLost).Because(err))
	}
	c.release(err)
	c.logEnd(err)
	if c.session != nil {
		c.session.Ear.Leave()
	}
	if c.key.PID != 0 {
		c.hub.Keys.Revoke(c.key)
	}
	if c.phase < serving {
		c.local.Meter.Unadmit(pe, se)
	}
	c.leave()
	if len(words) > 0 || unsaid != nil {
		c.local.Meter.Refused++
		if c.ep.Send(words) == nil {
			c.phase = lingering
			c.ep.CloseWrite()
			c.SetDeadline(c.Loop().Now() + int64(lingerTime))
			return
		}
	}
	c.close()
}

// lingerTime is how long a client that was told why it is closed may take to close too.
const lingerTime = 2 * time.Second

// linger waits until the client has read what it was told: a close with bytes unread would take it away.
func (c *Conn) linger(t *reactor.Task) {
	for !t.Expired() {
		p, err := c.ep.TryRecv()
		if err != nil {
			break
		}
		if p == nil {
			return
		}
	}
	c.close()
}

func (c *Conn) close() {
	c.phase = over
	c.End()
	c.ep.Close()
}

// leave takes the connection out of its loop's list.
func (c *Conn) leave() {
	lo := c.local
	n := len(lo.conns) - 1
	lo.conns[c.pos] = lo.conns[n]
	lo.conns[c.pos].pos = c.pos
	lo.conns[n] = nil
	lo.conns = lo.conns[:n]
	c.Loop().AddLoad(-1)
	c.hub.Clients.Leave(&c.place, c.address(), admission.Database{Resource: c.at, Name: c.asked.Database}, c.name)
	c.countBytes()
}

// release gives the server connection back, in whatever state the session leaves it.
func (c *Conn) release(err error) {
	s := c.lease
	if s == nil {
		return
	}
	if c.stream != nil {
		c.dismiss(err)
		return
	}
	c.lease = nil
	left, over := c.session.Left(), c.session.EndOfTransaction
	if errors.Is(err, relay.ErrServer) {
		s.Lose()
		over()
		return
	}
	if c.session.Keeps && c.session.Status != pgwire.Idle {
		s.Spoiled = true // what a client of pool mode session leaves open ends with its server connection, as without a proxy
	}
	s.Clean(backend.Mess{
		After: over,
		Owed:  left.Owed, Unsynced: left.Unsynced, Partial: left.Partial, CopyIn: left.CopyIn, Extended: left.Extended,
		Tail: left.Tail, Head: left.Head, Dirty: left.Dirty,
	})
}

// Who returns user, database and what the session does, for those who count.
func (c *Conn) Who() (user, db, state string) {
	switch {
	case c.phase < serving:
		state = "login"
	case c.console != nil:
		state = "console"
	case c.waiting:
		state = "waiting"
	case c.stream != nil:
		state = "replication"
	case c.lease != nil && !(c.session.Quiet() && c.session.Status == pgwire.Idle) || c.settling || c.bringing:
		state = "active"
	case c.lease != nil && !c.session.Keeps:
		state = "pinned"
	default:
		state = "idle"
	}
	return c.name, c.asked.Database, state
}

var _ reactor.Body = (*Conn)(nil)
