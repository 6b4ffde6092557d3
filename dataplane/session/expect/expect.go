// Package expect is what the server will answer to what was sent, message by message and in order: so that every answer is known to be for the client or for the proxy.
package expect

import (
	"github.com/heliosproxy/heliosproxy/dataplane/state/facts"
	"github.com/heliosproxy/heliosproxy/dataplane/state/settings"
	"github.com/heliosproxy/heliosproxy/dataplane/state/statement"
	"github.com/heliosproxy/heliosproxy/pkg/pgerr"
	"github.com/heliosproxy/heliosproxy/pkg/pgwire"
)

// Kind is the message that an expectation is for.
type Kind uint8

// The kinds.
const (
	Parse Kind = iota
	Bind
	Describe
	Execute
	Close
	Sync
	Query
	Function // FunctionCall
	CopyEnd  // CopyDone or CopyFail: marks the place, has no answer
	Virtual  // a Parse that the proxy answers itself, in its turn
)

// Answer is what the server will answer to one message.
type Answer struct {
	Kind      Kind
	Hidden    bool  // the proxy's own message: its answer is not for the client
	Again     bool  // a Parse of what the server connection has already
	Probe     bool  // it ends a doubt, behind a Sync of the proxy's own
	Doubt     bool  // a Sync that the server may have ignored, as it was sent among copy data
	Bad       bool  // a Sync that the server refuses, if it does not ignore it
	Awaited   bool  // nothing of the client goes on before Into is there
	counts    uint8 // which of Queue.Named, Shapes, Risks, Turns and Doubts it is one of, and plain
	Ordinal   uint16
	Mark      uint32               // of a Bind: see names.Names.Mark
	Statement *statement.Statement // prepared, closed
	Name      string               // the client's name for it
	Effects   *statement.Effects   // of executing it; of a Parse that is the server connection's own, of what had its name before
	Refusal   *pgerr.Error         // stands for the error that comes
	Words     []byte               // the body of the error that stands for it, which comes of what was sent for this one's sake
	Made      uint64               // the unnamed statement that it made, 0 where there is none behind it, or that it describes
	Before    *Before              // what was the unnamed statement ahead of it, if it can be skipped
	Into      *[]byte              // gets what the proxy has asked for
}

// Does says whether the statement that the server answers now does so to the session. e may be nil.
func (e *Answer) Does(do statement.Action) bool {
	if e == nil || e.Effects == nil {
		return false
	}
	for i := range e.Effects.Steps {
		if step := &e.Effects.Steps[i]; step.Do == do && step.Ordinal == int(e.Ordinal) {
			return true
		}
	}
	return false
}

// names says whether the answer decides which statement a name means.
func (e *Answer) names() bool {
	if e.Name != "" && !e.Hidden && (e.Kind == Parse || e.Kind == Virtual || e.Kind == Close) {
		return true
	}
	if e.Effects != nil {
		for i := range e.Effects.Steps {
			if e.Effects.Steps[i].Do != statement.Nothing {
				return true
			}
		}
	}
	return false
}

// Unnamed is a session's unnamed statement.
type Unnamed struct {
	ID      uint64 // of the Parse that made it; 0: there is none
	Body    []byte // as in statement.Key
	Planner settings.Set
	Effects *statement.Effects
	Shape   *facts.Shape
	Unknown bool   // parsed under settings that are not known any more
	Told    uint64 // the shape of its result that the client was told; 0: none
	Seen    uint64 // the shape that it has on the server connection, where it was parsed again there
	Types   []byte // of its parameters, as the client was told them; nil: it was not
}

// HasShape says whether it may return rows.
func (u *Unnamed) HasShape() bool { return u.Shape == nil || u.Shape.SQL.HasShape() }

// Typed returns the body with the types that the client was told.
func (u *Unnamed) Typed() []byte {
	if u.Types == nil {
		return u.Body
	}
	return statement.WithTypes(u.Body, u.Types)
}

// IsAnalyzed says whether its text is analyzed when it is parsed, as far as is known.
func (u *Unnamed) IsAnalyzed() bool { return u.Shape == nil || u.Shape.SQL.IsAnalyzed() }

// Before is the unnamed statement that a message has replaced, and whose the server connection had.
type Before struct {
	Unnamed
	Held uint64
}

// Spare are Befores that nobody needs any more, so that none is made for every Parse.
type Spare struct{ free []*Before }

// Take returns one, whose content is of no account but for the room of its Body.
func (s *Spare) Take() *Before {
	n := len(s.free)
	if n == 0 {
		return &Before{}
	}
	b := s.free[n-1]
	s.free = s.free[:n-1]
	return b
}

// Give takes one back.
func (s *Spare) Give(b *Before) { s.free = append(s.free, b) }

// Replaced notes that the unnamed statement that e, which is skipped, had made, or had taken away, was not there for what came behind: was
// was. It says whether something there has replaced it, or ended it, whatever became of it before. What e is in a unit with is undone.
func (q *Queue) Replaced(e *Answer, was *Before) bool {
	for i := q.Unit(); i < q.N; i++ {
		switch x := q.Get(i); {
		case x.Before != nil && x.Before.ID == e.Made:
			x.Before.Unnamed, x.Before.Held = was.Unnamed, was.Held
			return true
		case x.Kind == Query && x.Before == nil:
			return true
		}
	}
	return false
}

// Queue is a ring of expectations, the oldest first.
type Queue struct {
	ring   []Answer // its length is a power of two
	at     int
	N      int // how many there are
	Asked  int // how many of the oldest the client has asked for, by a Sync, a Flush or a Query
	Shapes int // how many tell the proxy what the client's next message waits for: the shape of a statement, or what is set
	Named  int // how many decide which statement a name means
	Risks  int // how many decide whether the server connection has a statement
	Turns  int // how many have no answer of the server: see Settle
	unsure int // how many are Syncs that the server may ignore
}

const queueKeep = 64 // expectations that an idle session may keep room for

// Push adds the newest.
func (q *Queue) Push(e Answer) {
	n := q.slot()
	*n = e
	if n.names() {
		n.counts |= names
	}
	if n.shows() {
		n.counts |= shows
	}
	if n.risks() {
		n.counts |= risks
	}
	if n.turns() {
		n.counts |= turns
	}
	if n.Doubt {
		n.counts |= doubts
	}
	if n.counts != 0 {
		q.count(n.counts, 1)
	}
	q.asks(e.Kind)
}

// Plain adds the newest, of which nothing has to be known but what it is and of which statement. It is not for Parse, Bind, Close,
// CopyEnd and Virtual.
func (q *Queue) Plain(k Kind, st *statement.Statement) {
	n := q.slot()
	n.Kind, n.Statement, n.counts = k, st, plain
	q.asks(k)
}

// PushBind adds a Bind of the statement st, nil for one without a name, under the name with that mark.
func (q *Queue) PushBind(st *statement.Statement, mark uint32) {
	q.Plain(Bind, st)
	q.ring[(q.at+q.N-1)&(len(q.ring)-1)].Mark = mark
}

// PushSync adds a Sync of the client. doubt says that the server may ignore it, bad that it refuses it else.
func (q *Queue) PushSync(doubt, bad bool) {
	if doubt || bad {
		q.Push(Answer{Kind: Sync, Doubt: doubt, Bad: bad})
		return
	}
	q.Plain(Sync, nil)
}

// PushExecute adds an Execute of which the effects are fx, nil for most.
func (q *Queue) PushExecute(fx *statement.Effects) {
	if fx == nil {
		q.Plain(Execute, nil)
		return
	}
	q.Push(Answer{Kind: Execute, Effects: fx})
}

// slot makes room for the newest.
func (q *Queue) slot() *Answer {
	if q.N == len(q.ring) {
		q.grow()
	}
	q.N++
	return &q.ring[(q.at+q.N-1)&(len(q.ring)-1)]
}

func (q *Queue) grow() {
	ring := make([]Answer, max(8, 2*len(q.ring)))
	for i := range q.N {
		ring[i] = *q.Get(i)
	}
	q.ring, q.at = ring, 0
}

// asks notes that the client asks for the newest, if it is of a kind that says so.
func (q *Queue) asks(k Kind) {
	if ends>>k&1 != 0 {
		q.Asked = q.N
	}
}

// ends are the kinds to which the server answers with ReadyForQuery.
const ends = 1<<Sync | 1<<Query | 1<<Function

// What an answer counts as, as long as it is in the queue.
const (
	names = 1 << iota
	shows
	risks
	turns
	doubts
	plain // none of them: see Queue.Plain
)

// count adds by to the counts of which an answer is one.
func (q *Queue) count(counts uint8, by int) {
	q.Named += by * int(counts&names)
	q.Shapes += by * int(counts&shows) / shows
	q.Risks += by * int(counts&risks) / risks
	q.Turns += by * int(counts&turns) / turns
	q.unsure += by * int(counts&doubts) / doubts
}

// risks says whether the server connection has not the statement that it is taken to have, or has another unnamed one, if the
// message is skipped.
func (e *Answer) risks() bool {
	return e.Kind == Parse && e.Hidden && (e.Statement != nil || e.Name == "") || e.Before != nil && e.Before.ID != 0
}

// Risky says whether it is not known yet if the server connection has a statement, the unnamed one where st is nil, when it
// comes to a unit behind those that were sent.
func (q *Queue) Risky(st *statement.Statement) bool {
	if q.Risks == 0 {
		return false
	}
	later := false // than the last Sync
	for i := q.N - 1; i >= 0; i-- {
		e := q.Get(i)
		if later && e.counts&risks != 0 && e.Statement == st && (st != nil || e.Name == "") {
			return true
		}
		later = later || ends>>e.Kind&1 != 0
	}
	return false
}

// shows says whether the answer is the shape of a statement, for the proxy, or something else that the client's next message waits for.
func (e *Answer) shows() bool {
	return e.Awaited || e.Kind == Describe && e.Hidden && (e.Statement != nil || e.Made != 0)
}

// turns says whether no answer of the server is to come.
func (e *Answer) turns() bool { return e.Kind == Virtual || e.Kind == CopyEnd }

// Change returns the i-th expectation, for a caller that notes more of it.
func (q *Queue) Change(i int) *Answer {
	e := q.Get(i)
	e.counts &^= plain
	return e
}

// Newest is Change of the newest.
func (q *Queue) Newest() *Answer { return q.Change(q.N - 1) }

// Get returns the i-th expectation.
func (q *Queue) Get(i int) *Answer { return &q.ring[(q.at+i)&(len(q.ring)-1)] }

// Front returns the oldest expectation, nil where there is none.
func (q *Queue) Front() *Answer {
	if q.N == 0 {
		return nil
	}
	return &q.ring[q.at]
}

// Pop takes the oldest off.
func (q *Queue) Pop() {
	if q.N == 0 {
		return
	}
	if q.Asked > 0 {
		q.Asked--
	}
	if e := &q.ring[q.at]; e.counts == plain {
		e.Statement, e.Ordinal = nil, 0
	} else {
		q.count(e.counts, -1)
		*e = Answer{}
	}
	q.at = (q.at + 1) & (len(q.ring) - 1)
	if q.N--; q.N == 0 && len(q.ring) > queueKeep {
		*q = Queue{}
	}
}

// Ready takes off what a ReadyForQuery fulfils.
func (q *Queue) Ready() {
	for q.N > 0 {
		k := q.Front().Kind
		if q.Pop(); ends>>k&1 != 0 {
			return
		}
	}
}

// Settle takes off what has no answer of the server and whose turn it is, and appends the answers that the proxy gives itself.
func (q *Queue) Settle(dst []byte) []byte {
	if q.Turns == 0 {
		return dst
	}
	return q.settle(dst)
}

func (q *Queue) settle(dst []byte) []byte {
	for e := q.Front(); e != nil && e.turns(); e = q.Front() {
		if e.Kind == Virtual {
			dst = append(dst, pgwire.ParseComplete, 0, 0, 0, 4)
		}
		q.Pop()
	}
	return dst
}

// leaves keeps the counts for the i-th expectation, which goes.
func (q *Queue) leaves(i int) {
	if i < q.Asked {
		q.Asked--
	}
	if e := q.Get(i); e.counts != 0 {
		q.count(e.counts, -1)
	}
}

// Remove takes the i-th expectation out.
func (q *Queue) Remove(i int) {
	q.leaves(i)
	for ; i+1 < q.N; i++ {
		*q.Get(i) = *q.Get(i + 1)
	}
	*q.Get(q.N - 1) = Answer{}
	q.N--
}

// Owed counts the ReadyForQuery messages that are to come.
func (q *Queue) Owed() (n int) {
	for i := range q.N {
		if ends>>q.Get(i).Kind&1 != 0 {
			n++
		}
	}
	return n
}

// Open says whether extended messages are among the oldest n that may end in a unit which has no Sync yet: a Query behind
// one that fails is skipped too.
func (q *Queue) Open(n int) bool {
	for i := n - 1; i >= 0; i-- {
		switch q.Get(i).Kind {
		case Sync:
			return false
		case Query, Function, CopyEnd:
		default:
			return true
		}
	}
	return false
}

// Syncs says whether nothing but Syncs is among the oldest n.
func (q *Queue) Syncs(n int) bool {
	for i := range n {
		if k := q.Get(i).Kind; k != Sync && k != CopyEnd {
			return false
		}
	}
	return true
}

// Readies says whether a message is among them that is answered by ReadyForQuery.
func (q *Queue) Readies() bool {
	for i := range q.N {
		if ends>>q.Get(i).Kind&1 != 0 {
			return true
		}
	}
	return false
}

// Doubts says whether there is a Sync that the server may have ignored.
func (q *Queue) Doubts() bool { return q.unsure > 0 }

// Clients says whether an answer is to come that is for the client.
func (q *Queue) Clients() bool {
	for i := range q.N {
		if !q.Get(i).Hidden {
			return true
		}
	}
	return false
}

// HasHidden says whether an answer is to come that is for the proxy.
func (q *Queue) HasHidden() bool {
	for i := range q.N {
		if q.Get(i).Hidden {
			return true
		}
	}
	return false
}

// MaySkip says whether an answer is to come to a message that the server skips behind an error: until it has come it is not
// known which statements the server connection has.
func (q *Queue) MaySkip() bool {
	for i := range q.N {
		if k := q.Get(i).Kind; k != Query && k != Sync && k != CopyEnd {
			return true
		}
	}
	return false
}

// Rename puts the client's name of a statement that it closes in place of the server's, in the body of an error.
func (q *Queue) Rename(body []byte) []byte {
	for i := range q.N {
		if e := q.Get(i); e.Kind == Close && e.Statement != nil {
			body = e.Statement.Rename(body, e.Name)
		}
	}
	return body
}
