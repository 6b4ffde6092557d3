package session

import (
	"bytes"

	"github.com/heliosproxy/heliosproxy/dataplane/query"
	"github.com/heliosproxy/heliosproxy/dataplane/session/compose"
	"github.com/heliosproxy/heliosproxy/dataplane/session/expect"
	"github.com/heliosproxy/heliosproxy/dataplane/state/effects"
	"github.com/heliosproxy/heliosproxy/dataplane/state/serverstate"
	"github.com/heliosproxy/heliosproxy/pkg/pgwire"
)

// deferBegin answers a BEGIN that waits for the statement behind it, if this is one. What follows it goes to a server as in any
// transaction, a second BEGIN too.
func (s *Session) deferBegin(reply []byte, q *query.Query) ([]byte, bool) {
	if !s.Policy.DeferBegin || s.Keeps || s.Status != pgwire.Idle || !effects.MayBegin(q.Text) {
		return reply, false
	}
	if v := s.judge.Judge(q); v.Action != query.Continue {
		return reply, false
	}
	tag, ok := effects.Begins(s.text(q))
	if !ok {
		return reply, false
	}
	s.begun = bytes.Clone(q.Text)
	s.Status = pgwire.InTransaction
	s.Unnamed.ID = 0 // as a Query does
	s.Reasons.Remove("")
	return pgwire.AppendReady(pgwire.AppendTag(reply, tag), s.Status), true
}

// Begun says whether a BEGIN waits for the statement behind it.
func (s *Session) Begun() bool { return s.begun != nil }

// beginNow sends the BEGIN that was deferred. If the transaction has failed since, as there was no server connection for it, it
// fails at the server too.
func (s *Session) beginNow(c *compose.Composer, srv *serverstate.Server) {
	c.Use()
	c.Dst = pgwire.AppendQuery(c.Dst, string(s.begun))
	s.queue.Push(expect.Answer{Kind: expect.Query, Hidden: true})
	if s.Status == pgwire.InFailed {
		c.Dst = pgwire.AppendQuery(c.Dst, ".") // an error in any state
		s.queue.Push(expect.Answer{Kind: expect.Query, Hidden: true, Words: []byte{}})
	}
	s.begun = nil
	srv.Held.Unnamed = 0
}
