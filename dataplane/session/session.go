// Package session is the protocol machine of one client: it reads both directions of the stream and says which bytes go where. It never does I/O, never waits and never chooses a server.
//
// What a client sends is turned into what the server connection is sent by FromClient, and back by FromServer. Most bytes go through as
// they came: the machine looks at message headers, and at the content of those few messages that name prepared statements, hold SQL, or
// tell a status. For each message that the server will answer it keeps an expectation, so that every answer is known to be for the client
// or for the proxy.
package session

import (
	"github.com/heliosproxy/heliosproxy/dataplane/query"
	"github.com/heliosproxy/heliosproxy/dataplane/session/compose"
	"github.com/heliosproxy/heliosproxy/dataplane/session/doubt"
	"github.com/heliosproxy/heliosproxy/dataplane/session/expect"
	"github.com/heliosproxy/heliosproxy/dataplane/session/names"
	"github.com/heliosproxy/heliosproxy/dataplane/session/portals"
	"github.com/heliosproxy/heliosproxy/dataplane/session/stock"
	"github.com/heliosproxy/heliosproxy/dataplane/session/strays"
	"github.com/heliosproxy/heliosproxy/dataplane/state/catalog"
	"github.com/heliosproxy/heliosproxy/dataplane/state/channels"
	"github.com/heliosproxy/heliosproxy/dataplane/state/facts"
	"github.com/heliosproxy/heliosproxy/dataplane/state/meter"
	"github.com/heliosproxy/heliosproxy/dataplane/state/pin"
	"github.com/heliosproxy/heliosproxy/dataplane/state/residue"
	"github.com/heliosproxy/heliosproxy/dataplane/state/serverstate"
	"github.com/heliosproxy/heliosproxy/dataplane/state/settings"
	"github.com/heliosproxy/heliosproxy/dataplane/state/statement"
	"github.com/heliosproxy/heliosproxy/pkg/pgwire"
	"github.com/heliosproxy/heliosproxy/pkg/planted"
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
	Account  *meter.Account // of sessions that have none of their own
	Known    *facts.Cache
	Scratch  *[]byte // where bytes are put together; their content is dead at the next park

	spare expect.Spare
}

// Session is the machine. It belongs to the loop of its client.
type Session struct {
	shared *Shared
	judge  Judge
	Limits *Limits

	// Keeps says that the session keeps its server connection between transactions: pool mode session.
	// The server then has the client's own statements and settings, and the machine changes nothing of them.
	Keeps bool
	// ID is the session's own, among all of the proxy.
	ID uint64
	// Sequences is how often it may have used sequences, or forgotten them.
	Sequences uint64
	// Policy says what may be left on a server connection.
	Policy *pin.Policy
	// Catalog says what statements can reach; nil: as far as their text says.
	Catalog catalog.Judge
	// Pool is where the session's statements are prepared, as statement.Key has it.
	Pool string
	// Startup is what the client asked for when it logged in: what RESET goes back to.
	Startup settings.Set
	// Want is what is set in the session now, outside a transaction that changes it.
	Want settings.Set
	// Told is what the client was told last of the parameters that the server reports, where nothing is set.
	Told settings.Set
	// Ear is what the session has for LISTEN.
	Ear channels.Ear
	// Status is the transaction status that the client was told last.
	Status byte
	// Account is where the session's statements are counted.
	Account *meter.Account
	// Names are the client's prepared statements, for others to count.
	Names names.Names
	// Unnamed is the unnamed one.
	Unnamed expect.Unnamed
	// Kept is what executing statements does that are the server connection's own.
	Kept names.Kept
	// Reasons are why the session keeps its server connection.
	Reasons pin.Reasons
	// Changes are the parameters that the transaction may have changed.
	Changes settings.Touched

	// The client's stream.
	input    []byte // the beginning of a message that has to be seen whole
	pass     int    // bytes of the message under way that go on unseen
	drop     int    // bytes of the message under way that go nowhere
	skipping bool   // up to the next Sync, which the proxy answers: a unit was refused
	unsynced bool   // extended messages went to the server, and no Sync behind them
	prelude  bool   // the settings go ahead of what comes next
	ending   error  // the client has said goodbye, or something that it may not: nothing more of it counts
	mute     bool   // and nothing is answered any more that it has not asked for
	held     bool   // input is kept back until it is known which statement a name means
	first    query.Query
	judged   bool // first is about the message that comes next
	// The server's stream.
	part    []byte // the beginning of a message that has to be seen whole
	through int    // bytes of the message under way that go on to the client
	swallow int    // bytes of it that go nowhere
	queue   expect.Queue
	skips   bool // the server skips to the next Sync, which the client has not sent
	copyIn  bool // the server waits for copy data
	copies  bool // what is under way has waited for copy data
	data    bool // copy data was sent since the last Query or Execute
	doubt   doubt.Doubt
	unit    compose.Unit // that can be sent again
	fault   error
	fatal   bool   // the server has told the client a fatal error
	begun   []byte // a BEGIN that waits for the statement behind it
	portals portals.Portals
	follows settings.Reading // texts
	strays  strays.Strays    // names that are not the proxy's and that this unit has put on the server connection
	over    settings.Set     // what was set on the server connection when it was brought over
	reading *[]byte          // what parsing reads, as the server has said or will: nil once anything may have changed it
	unsures stock.Unsures    // statements that were parsed under settings that were not known
	residue residue.Residue  // what the transaction may leave there
	owes    bool             // a ReadyForQuery that waits until the connection is looked through
}

// New makes the machine of a client that has just logged in.
func New(sh *Shared, j Judge, lim *Limits, p *pin.Policy, startup settings.Set) *Session {
	return &Session{shared: sh, judge: j, Limits: lim, Policy: p, Startup: startup, Want: startup, Status: pgwire.Idle, Account: sh.Account}
}

// Quiet says whether nothing is under way: an answer, a message in pieces, a unit, or, behind a fatal error, the server connection's end.
func (s *Session) Quiet() bool {
	if s.ending != nil {
		return s.answered()
	}
	return s.queue.N == 0 && !s.fatal && !s.Ear.Waits && s.pass == 0 && s.drop == 0 && (!s.unsynced || planted.Is(planted.Unsynced)) && !s.skips && !s.copyIn &&
		s.through == 0 && s.swallow == 0 && len(s.part) == 0
}

// Rests says whether nothing is under way, on either side, and nothing is left to be found out.
func (s *Session) Rests() bool {
	return s.Quiet() && s.ending == nil && s.Status == pgwire.Idle && len(s.input) == 0 && !s.Begun() && !s.skipping && !s.judged && !s.owes &&
		!s.Asks() && !s.residue.Any() && !s.strays.Any()
}

// Ending returns why the session ends when it is quiet, and what the client has asked for before is answered.
func (s *Session) Ending() error { return s.ending }

// answered says whether the client has all answers that it has asked for.
func (s *Session) answered() bool {
	if s.mute {
		return s.pass == 0 && (s.queue.Asked == 0 || s.copyIn)
	}
	return s.pass == 0 && (s.queue.Asked == 0 || s.copyIn || s.doubt.Open && !s.asks() && s.queue.Syncs(s.queue.Asked)) && s.through == 0 && s.swallow == 0 && len(s.part) == 0
}

// Free says whether the session has no use for its server connection now, or one that has to be looked into.
func (s *Session) Free() bool {
	return s.ending != nil || s.Status == pgwire.Idle && !s.Keeps && (!s.Reasons.Any() || s.owes || s.Doubtful())
}

// Room says whether more may be read from the client. What was sent and is not answered is bounded,
// well above what a server keeps back before it flushes by itself.
func (s *Session) Room() bool { return s.queue.N < 1<<14 && !s.held && !s.Ear.Waits && s.ending == nil }

// Resume says, once, that FromClient has to be called: input which was kept back can go on, or the proxy has to ask something.
func (s *Session) Resume() bool {
	if s.Ear.Waits {
		return s.Ear.Resume()
	}
	if s.held && s.queue.Shapes == 0 && (s.undecided() || s.queue.Owed() == 0) {
		s.held = false
		return true
	}
	return s.doubt.Asks
}

// Lags says whether the server has nothing to do, or to answer, before more of the client comes.
func (s *Session) Lags() bool {
	return s.queue.N == 0 || s.copyIn || s.Receiving() || s.unsynced && s.queue.Asked < s.queue.N
}

// Receiving says whether a message of the client's has come in part.
func (s *Session) Receiving() bool { return s.pass > 0 || len(s.input) > 0 }

// Fatal says whether the server has told the client a fatal error, so that the client knows why the connection ends.
func (s *Session) Fatal() bool { return s.fatal }

// Asks says whether the server has to be asked what the transaction has left.
func (s *Session) Asks() bool { return len(s.unsures) > 0 || s.Dirty() || s.Doubtful() }

// Dirty says whether the transaction may have changed parameters.
func (s *Session) Dirty() bool { return s.Changes.Any() }

// Custom returns the names of custom parameters that the session may have set.
func (s *Session) Custom() []string {
	names := s.Changes.Customs(s.Want, s.Startup)
	if s.Catalog != nil {
		code, _ := s.Catalog.Parameters()
		names = append(names, code...)
	}
	return names
}

// HasSet says whether the session has set a parameter, or a text of the transaction says that it does.
func (s *Session) HasSet(name string) bool { return s.Want.Has(name) || s.Changes.Has(name) }

// Preparing says whether the server is still at what the proxy has sent ahead of the client's.
func (s *Session) Preparing() bool { return s.queue.Prepares() }

// Left says what the client has left, on the server connection srv.
func (s *Session) Left() serverstate.Left {
	return serverstate.Left{
		Owed:     s.queue.Owed(),
		Unsynced: s.unsynced || s.skips,
		Partial:  s.pass > 0,
		CopyIn:   s.copyIn,
		Extended: s.queue.N > 0 && s.queue.Front().Kind != expect.Query,
		Tail:     s.through + s.swallow,
		Head:     s.part,
		Dirty: s.Dirty() || s.Keeps || s.Reasons.Any() || s.residue.Suspect || s.residue.Maybe != 0 || s.queue.HasHidden() || s.queue.MaySkip() || s.strays.Any() ||
			s.Policy != nil && s.Policy.Guard == pin.Always,
	}
}

// forgetStatements forgets all named statements, as DEALLOCATE ALL and DISCARD ALL do, but for those whose Parse the
// server has not come to yet. The unnamed one stays.
func (s *Session) forgetStatements() {
	s.Names.Clear(s.queue.N > 1)
	s.Reasons.RemoveNamed()
	for i := 1; i < s.queue.N; i++ {
		switch e := s.queue.Get(i); {
		case e.Statement == nil || e.Hidden:
		case e.Kind == expect.Parse || e.Kind == expect.Virtual:
			s.Names.Add(e.Name, e.Statement)
		case e.Kind == expect.Close:
			if s.Names.All[e.Name] != e.Statement { // or it was parsed behind
				e.Statement = nil // and does not come back if the message is skipped
			}
			s.forget(e.Name)
		}
	}
}

// forgetPortals forgets what executing portals will do.
func (s *Session) forgetPortals() {
	s.portals.End()
	s.portals.BindUnnamed(0)
	s.Names.UntellAll()
}
