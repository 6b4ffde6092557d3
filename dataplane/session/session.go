// Package session is the protocol machine of one client: it reads both directions of the stream and says which bytes go where. It never does I/O, never waits and never chooses a server.
//
// What a client sends is turned into what the server connection is sent by FromClient, and back by
// FromServer. Most bytes go through as they came: the machine looks at message headers, and at the
// content of those few messages that name prepared statements, hold SQL, or tell a status. For each
// message that the server will answer it keeps an expectation, so that every answer is known to be for
// the client or for the proxy.
package session

import (
	"github.com/heliosproxy/heliosproxy/dataplane/query"
	"github.com/heliosproxy/heliosproxy/dataplane/state/meter"
	"github.com/heliosproxy/heliosproxy/dataplane/state/settings"
	"github.com/heliosproxy/heliosproxy/dataplane/state/statement"
	"github.com/heliosproxy/heliosproxy/pkg/pgwire"
)

// Limits bound what a session may hold.
type Limits struct {
	Statements     int // prepared statements
	StatementBytes int // of their text together
	TextBytes      int // of one Query or Parse; what is longer is relayed unseen
}

// Judge decides about a statement before it goes on: the pipeline.
type Judge interface {
	Judge(q *query.Query) query.Verdict
}

// Shared is what the sessions of a loop use in turn.
type Shared struct {
	Registry *statement.Registry
	Meter    *meter.Loop
	Scratch  *[]byte // where bytes are put together; their content is dead at the next park

	spare []*before
}

// Session is the machine. It belongs to the loop of its client.
type Session struct {
	shared *Shared
	judge  Judge
	Limits *Limits

	// Keeps says that the session keeps its server connection between transactions: pool mode session.
	// The server then has the client's own statements and settings, and the machine changes nothing of them.
	Keeps bool
	// Pool is where the session's statements are prepared, as statement.Key has it.
	Pool string
	// Startup is what the client asked for when it logged in: what RESET goes back to.
	Startup settings.Set
	// Want is what is set in the session now, outside a transaction that changes it.
	Want settings.Set
	// Status is the transaction status that the client was told last.
	Status byte
	// Terminated says that the client has said goodbye.
	Terminated bool

	// The client's stream.
	input    []byte // the beginning of a message that has to be seen whole
	pass     int    // bytes of the message under way that go on unseen
	drop     int    // bytes of the message under way that go nowhere
	skipping bool   // up to the next Sync, which the proxy answers: a unit was refused
	unsynced bool   // extended messages went to the server, and no Sync behind them
	prelude  bool   // the settings go ahead of what comes next
	first    query.Query
	judged   bool // first is about the message that comes next

	// The server's stream.
	part    []byte // the beginning of a message that has to be seen whole
	through int    // bytes of the message under way that go on to the client
	swallow int    // bytes of it that go nowhere

	queue  queue
	skips  bool // the server skips to the next Sync, which the client has not sent
	copyIn bool // the server waits for copy data
	fault  error
	fatal  bool // the server has told the client a fatal error

	statements map[string]*statement.Statement
	kept       map[string]*statement.Effects // in pool mode session: of statements with steps
	bytes      int                           // of their text
	unnamed    unnamed
	portals    map[string]*statement.Effects // of portals whose execution has one
	portal     *statement.Effects            // of the unnamed portal

	readFor        settings.Set // the settings that readable is about
	readable, read bool         // texts can be read byte by byte

	strays    []string // names that are not the proxy's and that this unit has put on the server connection
	surprised bool     // see Surprised
	touched   []string // parameters that the transaction may have changed
	pins      int      // reasons to keep the server connection until the end
	pinned    map[string]struct{}
}

// unnamed is the session's unnamed statement.
type unnamed struct {
	id      uint64 // of the Parse that made it; 0: there is none
	body    []byte // as in statement.Key
	planner settings.Set
	effects *statement.Effects
	unknown bool // parsed under settings that are not known any more
}

// before is the unnamed statement that a Parse has replaced, and whose the server connection had.
type before struct {
	unnamed
	held uint64
}

// New makes the machine of a client that has just logged in.
func New(sh *Shared, j Judge, lim *Limits, startup settings.Set) *Session {
	return &Session{shared: sh, judge: j, Limits: lim, Startup: startup, Want: startup, Status: pgwire.Idle}
}

// Quiet says whether nothing is under way: no answer is owed, no message is in pieces on its way, no
// unit is open.
func (s *Session) Quiet() bool {
	return s.queue.n == 0 && s.pass == 0 && s.drop == 0 && !s.unsynced && !s.skips && !s.copyIn &&
		s.through == 0 && s.swallow == 0 && len(s.part) == 0
}

// Free says whether the session has no use for its server connection now.
func (s *Session) Free() bool { return s.Status == pgwire.Idle && !s.Keeps && s.pins == 0 }

// Room says whether more may be read from the client. What was sent and is not answered is bounded,
// well above what a server keeps back before it flushes by itself.
func (s *Session) Room() bool { return s.queue.n < 1<<14 }

// Fatal says whether the server has told the client a fatal error, so that the client knows why the
// connection ends.
func (s *Session) Fatal() bool { return s.fatal }

// Touched returns the parameters that the transaction may have changed, and forgets them.
func (s *Session) Touched() []string {
	t := s.touched
	s.touched = nil
	return t
}

// Dirty says whether the transaction may have changed parameters.
func (s *Session) Dirty() bool { return len(s.touched) > 0 }

// Surprised says, once, whether the server has told of a new value of a parameter that nothing in the
// transaction is known to have set: its configuration may be another one.
func (s *Session) Surprised() bool {
	was := s.surprised
	s.surprised = false
	return was
}

// touch notes that a parameter may have changed.
func (s *Session) touch(name string) {
	for _, t := range s.touched {
		if t == name {
			return
		}
	}
	s.touched = append(s.touched, name)
}

// touchAll notes that any parameter that the session is known to have may have changed.
func (s *Session) touchAll() {
	for n := range s.Want.All() {
		s.touch(n)
	}
	for n := range s.Startup.All() {
		s.touch(n)
	}
}

// Left is what a client that is gone has left on its server connection.
type Left struct {
	Owed     int    // ReadyForQuery messages that the server owes
	Unsynced bool   // extended messages without a Sync
	Partial  bool   // the beginning of a message
	CopyIn   bool   // the server waits for copy data
	Extended bool   // what it answers is of the extended protocol
	Tail     int    // bytes that are to come of a message that the client was being sent
	Head     []byte // the beginning of a message of the server
	Dirty    bool   // what is set on the connection is not known
}

// Left says what the client has left, on the server connection srv.
func (s *Session) Left() Left {
	return Left{
		Owed:     s.queue.owed(),
		Unsynced: s.unsynced || s.skips,
		Partial:  s.pass > 0,
		CopyIn:   s.copyIn,
		Extended: s.queue.n > 0 && s.queue.front().kind != simple,
		Tail:     s.through + s.swallow,
		Head:     s.part,
		Dirty:    s.Dirty() || s.Keeps || s.pins > 0 || s.queue.hidden(),
	}
}

// forgetStatements forgets all prepared statements and portals, as DEALLOCATE ALL and DISCARD ALL do.
func (s *Session) forgetStatements() {
	clear(s.statements)
	s.bytes, s.unnamed.id = 0, 0
	s.portal = nil
	clear(s.portals)
}
