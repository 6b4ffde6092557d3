// Package backend is one connection to a PostgreSQL server: opening it, logging in, asking it small questions, cancelling what it does, bringing it back to a clean state, closing it. It never decides who may use the connection: that is the pool's.
package backend

import (
	"sync"
	"time"

	"github.com/heliosproxy/heliosproxy/dataplane/reactor"
	"github.com/heliosproxy/heliosproxy/dataplane/state/hosts"
	"github.com/heliosproxy/heliosproxy/dataplane/state/keyring"
	"github.com/heliosproxy/heliosproxy/dataplane/state/serverstate"
	"github.com/heliosproxy/heliosproxy/dataplane/state/statement"
	"github.com/heliosproxy/heliosproxy/pkg/passwords"
	"github.com/heliosproxy/heliosproxy/pkg/pgwire"
	"github.com/heliosproxy/heliosproxy/pkg/scram"
	"github.com/heliosproxy/heliosproxy/pkg/tlsconf"
)

// Target is a server, and as whom to log in where at it. It is immutable.
type Target struct {
	Node string // the node's name, for words and metrics
	Host string // names, IP addresses, directories of unix sockets: as the configuration has it
	Port int
	// Server is where that is. nil: at the host itself, which is no name.
	Server   *hosts.Server
	Database string
	User     string
	Secret   *Secret
	// TLS is how the connection is encrypted; nil is not at all. Unix sockets never are.
	TLS *tlsconf.Client
	// Binding is whether SCRAM is bound to the TLS connection.
	Binding scram.ChannelBinding
	// ApplicationName is what pg_stat_activity shows of a connection that is no session's; empty for all others.
	ApplicationName string
	// ConnectQuery is run on a connection for sessions when it is new, and when it was reset; empty: nothing is.
	ConnectQuery string
	// Startup are further parameters of the StartupMessage. Only a connection for replication has any: it is its client's from
	// dial to close.
	Startup []pgwire.Parameter
	// Timeout is how long opening a connection may take, log-in included.
	Timeout time.Duration
	// UserTimeout is how long the server may leave unacknowledged what it was sent; 0 leaves it to the kernel.
	UserTimeout time.Duration
	// MaxStatements is how many prepared statements a connection holds, MaxStatementBytes how much of their text.
	MaxStatements, MaxStatementBytes int
}

// Secret is what proves to a server who logs in: a password, an md5 hash of one ("md5" and 32 hex digits), or a key that a
// client has proved to have; the empty secret is none. It remembers the keys that it stretched the password to, so
// any thread may use it.
type Secret struct {
	For      string // whose it is, for words
	password string
	found    bool          // it comes from elsewhere: what looks like an md5 hash is none
	ring     *keyring.Ring // where there is no password
	owner    keyring.Owner

	// A password that lives elsewhere is found when a server asks for one. Where it is not, rest is what proves it.
	finder  *passwords.Finder
	sources []passwords.Source
	rest    *Secret

	derive func(password string, salt []byte, iterations int) (scram.Keys, scram.ClientKey) // nil: scram.Derive

	mu    sync.Mutex
	have  *stretched // what the password was stretched to last; nil: it was not yet
	under *stretched // what it is being stretched to; nil: nothing
	last  *Secret    // what was found last
}

// NewSecret makes the secret of user.
func NewSecret(user, password string) *Secret { return &Secret{For: user, password: password} }

// Proved makes the secret of an owner who logs in to the proxy by SCRAM: what it proves there opens servers.
func Proved(ring *keyring.Ring, owner keyring.Owner) *Secret {
	return &Secret{For: owner.User, ring: ring, owner: owner}
}

// Proved says whether s may be a key that the user proves to have at each log-in, and so another one from one to the next.
func (s *Secret) Proved() bool { return s.ring != nil || s.rest != nil && s.rest.Proved() }

// Is says whether s is made of this password.
func (s *Secret) Is(password string) bool { return s.password == password }

// String hides the secret.
func (s *Secret) String() string { return "[redacted]" }

// Owner is the pool as a connection sees it. All calls are made on the thread of the connection's loop.
type Owner interface {
	// Opened is called when c is logged in and free, and again whenever it has become free by itself: cleaned, or no longer awaiting a cancel.
	Opened(c *Conn)
	// Failed is called when c could not be opened. There is no connection then.
	Failed(c *Conn, err error)
	// Lost is called when c, which was free, is no longer of use. Closed follows.
	Lost(c *Conn)
	// Closed is called when the server has closed c.
	Closed(c *Conn)
	// Changed is called when the server has told c, which was free, that a parameter has another value now.
	Changed(c *Conn)
}

// phase is where a connection is in its life.
type phase uint8

const (
	opening  phase = iota
	free           // logged in, nobody's
	leased         // a session's
	cleaning       // being brought back from what a lost client left
	held           // done, but a cancel for it is still under way
	retiring       // said goodbye; the server has not closed it yet
	closed
)

var phaseNames = [...]string{"opening", "idle", "active", "cleaning", "cancelling", "closing", "closed"}

// Conn is a server connection. It belongs to the loop that it is on; while it is leased, its endpoint
// wakes the task that has the lease.
type Conn struct {
	reactor.Task
	serverstate.Server
	Target *Target
	EP     *reactor.Endpoint
	PID    uint32
	secret []byte

	// Since is when the connection became free last, Born when it was dialled, Ready when it was logged in, in the time of its loop.
	Since, Born, Ready int64

	owner   Owner
	phase   phase
	cancels int // under way
	mess    Mess
	in      []byte // received, not yet looked at: between login and the first lease, and in an exchange
	inAt    int

	overheard []byte        // see Overheard
	route     hosts.Route   // that it leads by
	routes    []hosts.Route // to try while it is opened, that one first; nil: none was asked for
	end       int64         // of the time for opening it; 0: there is none
	secured   bool          // it speaks TLS
	plain     bool          // it does not, as the server does not
	endPoint  []byte        // what SCRAM binds to; empty: nothing
	bound     bool          // the exchange is bound to it
	proof     *Secret       // what was found for the target's secret; nil: the server has not asked yet
	renewed   bool          // another one was looked for, as the server has refused the first
}

// Open begins to open a connection on l. The owner hears of the outcome.
func Open(l *reactor.Loop, t *Target, o Owner) *Conn {
	c := &Conn{Target: t, owner: o}
	c.Held = statement.NewHeld(t.MaxStatements, t.MaxStatementBytes)
	c.Init(l, c)
	c.Born = l.Now()
	c.Wake()
	return c
}

// State is the phase of the connection in a word.
func (c *Conn) State() string {
	if c.phase == leased && c.Target.Startup != nil {
		return "replication"
	}
	return phaseNames[c.phase]
}

// Serve does what the connection has to do by itself.
func (c *Conn) Serve(t *reactor.Task) {
	switch c.phase {
	case opening:
		c.open(t)
	case free, held:
		c.watch(t)
	case cleaning:
		c.clean(t)
	case retiring:
		c.awaitEnd(t)
	}
}

// Panicked gives the connection up.
func (c *Conn) Panicked(*reactor.Task, any, []byte) {
	switch c.phase {
	case opening:
		c.fail(errPanicked)
		return
	case free:
		c.owner.Lost(c)
	}
	c.drop()
}

// Lease hands the connection to t: events wake t from now on.
func (c *Conn) Lease(t *reactor.Task) {
	c.phase = leased
	c.EP.Attach(t)
}

// Free takes the connection back from whoever had the lease. It must be idle and clean. Where a cancel
// for it is under way it becomes free later: the answer is false, and Opened will be called.
func (c *Conn) Free() bool {
	c.EP.Attach(&c.Task)
	if c.cancels > 0 {
		c.phase = held
		return false
	}
	c.phase = free
	c.Since = c.Loop().Now()
	if c.EP.Readable() { // the end of the server, or a word from it, that the lease has not read
		c.Wake()
	}
	return true
}

// Move takes the free connection to another loop, whose thread then calls arrive. It is called on the
// thread of the loop that has it.
func (c *Conn) Move(to *reactor.Loop, arrive func()) {
	now := c.Loop().Now()
	c.EP.Detach()
	c.Task.Move(to, func() {
		c.Born += to.Now() - now
		c.Ready += to.Now() - now
		if err := to.Adopt(c.EP); err != nil {
			c.EP.Close()
			c.phase = closed
			c.owner.Closed(c)
			return
		}
		c.EP.Attach(&c.Task)
		arrive()
	})
}

// Quiet says whether nothing has arrived on the free connection that was not looked at.
func (c *Conn) Quiet() bool { return !c.EP.Readable() && !c.EP.HungUp() && len(c.in) == c.inAt }

// Look reads what has arrived on the free connection and says whether it is still of use. It receives,
// so chunks of the loop are dead afterwards.
func (c *Conn) Look() bool {
	c.watch(&c.Task)
	return c.phase == free && len(c.in) == c.inAt
}

// watch reads what a server says to a connection that nobody has.
func (c *Conn) watch(*reactor.Task) {
	for {
		typ, _, err := c.tryMessage()
		if err == errNothing {
			return
		}
		if err == nil { // a notice, or a parameter, which tryMessage has noted
			if typ == pgwire.ParameterStatus {
				c.owner.Changed(c)
			}
			continue
		}
		if was := c.phase; was == free {
			c.phase = closed
			c.owner.Lost(c)
		}
		c.drop()
		return
	}
}

// Retire says goodbye to the server. The connection counts until the server has closed it too.
func (c *Conn) Retire() {
	if c.phase == closed || c.phase == retiring {
		return
	}
	c.phase = retiring
	c.EP.Attach(&c.Task)
	c.Pardon()
	c.SetDeadline(0)
	if !c.mess.Partial { // within a message it would be taken as a part of that
		_ = c.EP.Send([]byte{'X', 0, 0, 0, 4})
	}
	if c.EP.Drained() {
		c.EP.CloseWrite()
	}
	c.Wake()
}

// awaitEnd reads and drops until the server has closed the connection.
func (c *Conn) awaitEnd(t *reactor.Task) {
	for {
		p, err := c.EP.TryRecv()
		if err != nil {
			c.drop()
			return
		}
		if p == nil {
			return // at rest until there is more
		}
	}
}

// drop closes the connection at once.
func (c *Conn) drop() {
	c.phase = closed
	c.End()
	if c.EP != nil {
		c.EP.Close()
		c.owner.Closed(c)
	}
}

// Lose gives up a leased connection that has failed.
func (c *Conn) Lose() {
	if c.phase != closed {
		c.drop()
	}
}

// Dismiss closes a leased connection that nobody else may have: what runs is cancelled. partial says that the
// server was sent the beginning of a message.
func (c *Conn) Dismiss(busy, partial bool) {
	c.mess = Mess{Partial: partial}
	if busy {
		c.Cancel(nil)
	}
	c.Retire()
}

var _ reactor.Body = (*Conn)(nil)

// Same says whether connections to t and o are interchangeable.
func (t *Target) Same(o *Target) bool {
	return t.Host == o.Host && t.Port == o.Port && t.server().Spreads() == o.server().Spreads() && t.Database == o.Database && t.User == o.User &&
		t.Secret.same(o.Secret) && t.TLS == o.TLS && t.Binding == o.Binding && t.MaxStatements == o.MaxStatements && t.MaxStatementBytes == o.MaxStatementBytes && t.Timeout == o.Timeout && t.ConnectQuery == o.ConnectQuery && t.UserTimeout == o.UserTimeout
}
