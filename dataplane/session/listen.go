package session

import (
	"bytes"
	"slices"

	"github.com/heliosproxy/heliosproxy/dataplane/query"
	"github.com/heliosproxy/heliosproxy/dataplane/session/compose"
	"github.com/heliosproxy/heliosproxy/dataplane/session/stock"
	"github.com/heliosproxy/heliosproxy/dataplane/state/channels"
	"github.com/heliosproxy/heliosproxy/dataplane/state/effects"
	"github.com/heliosproxy/heliosproxy/dataplane/state/pin"
	"github.com/heliosproxy/heliosproxy/dataplane/state/residue"
	"github.com/heliosproxy/heliosproxy/dataplane/state/statement"
	"github.com/heliosproxy/heliosproxy/pkg/pgerr"
	"github.com/heliosproxy/heliosproxy/pkg/pgwire"
	"github.com/heliosproxy/heliosproxy/pkg/sqlparse"
	"github.com/heliosproxy/heliosproxy/pkg/sqltext"
)

// shares says whether the text is a LISTEN that is left to the connection that listens for all. One of a session whose server
// connection listens for it anyway is not.
func (s *Session) shares(q *query.Query) bool {
	if !s.Ear.Leaves(q.Facts.Flags) || (s.Reasons.Have|s.residue.Maybe)&pin.Listen != 0 {
		return false
	}
	_, ok := effects.Channel(s.text(q))
	return ok
}

// understood is understand for a text that is to be sent now. If that has to wait until a channel is listened to, the session waits.
// Where the listener will not listen, the server connection does.
func (s *Session) understood(c *compose.Composer, i int, q *query.Query, alone bool) (fx *statement.Effects, sent []byte, rewritten bool, v query.Verdict) {
	if effects.None(q.Facts.Flags, q.SQL()) && s.follows.Followable(s.Want) {
		return nil, q.Text, false, v
	}
	fx, sent, rewritten = s.understand(q, alone)
	switch s.Ear.Await(fx, s.alone()) {
	case channels.Asked:
		return nil, nil, false, v
	case channels.Refused:
		if s.Policy.Pinning == pin.Refuse {
			return nil, nil, false, query.Verdict{Action: query.Reject, Err: pgerr.New(pgerr.PinRefused, pin.Listen.String())}
		}
		s.Ear.Shares = false
		fx, sent, rewritten = s.understand(q, alone)
		s.Ear.Shares = true
	}
	return fx, sent, rewritten, s.listenHere(c, i, q.SQL())
}

// unheard says whether a Bind of the statement has to wait, or is refused: it listens to a channel that is not listened to, or asks what is.
func (s *Session) unheard(c *compose.Composer, i, end int, name []byte) bool {
	fx, f, _ := s.meant(name)
	refused := s.listenHere(c, i, f).Err
	switch s.Ear.Await(fx, s.alone()) {
	case channels.Asked:
		return true
	case channels.Refused:
		refused = pgerr.New(pgerr.ListenFailed)
	}
	if refused == nil {
		return false
	}
	s.refuseWhole(c, i, end, refused)
	return true
}

// meant returns what is known of the statement that the client calls name, and the body of its Parse.
func (s *Session) meant(name []byte) (fx *statement.Effects, f *sqlparse.Facts, body []byte) {
	if st := s.Names.Find(statement.Cut(name)); st != nil && len(name) > 0 {
		return st.Effects, st.SQL, []byte(st.Body)
	}
	if u := &s.Unnamed; len(name) == 0 && u.Shape != nil {
		return u.Effects, u.Shape.SQL, u.Body
	}
	return s.Kept[string(name)], nil, nil
}

// follow notes what a statement that is executed does to savepoints.
func (s *Session) follow(fx *statement.Effects, t residue.Text, name []byte) *statement.Effects {
	if f := t.Facts(); !s.Ear.Shares || f == nil || f.Does&sqlparse.Controls == 0 {
		return fx
	}
	_, _, body := s.meant(name)
	text, _, _ := bytes.Cut(body, []byte{0})
	return s.Ear.Follow(fx, sqltext.FlagTransactionControl, text, s.Want.StdStrings())
}

// listenHere makes the server connection listen to what the session listens to, if a text asks which channels these are, and keeps it.
func (s *Session) listenHere(c *compose.Composer, i int, f *sqlparse.Facts) query.Verdict {
	if s.Ear.Hears == nil || f == nil || s.Ear.Here || !slices.ContainsFunc(f.Functions, func(n sqlparse.Name) bool { return n.Name == "pg_listening_channels" }) {
		return query.Verdict{}
	}
	names := s.Ear.Hears.Names()
	switch {
	case len(names) == 0:
		return query.Verdict{}
	case !s.alone():
		return query.Verdict{Action: query.Reject, Err: pgerr.New(pgerr.ListeningChannels)}
	case s.Policy.Pinning != pin.Keep:
		return query.Verdict{Action: query.Reject, Err: pgerr.New(pgerr.PinRefused, pin.Listen.String())}
	}
	s.Reasons.Have |= pin.Listen
	s.Ear.Here = true
	c.UpTo(i)
	s.apart(c, func() {
		for _, name := range names {
			stock.Own(c, &s.queue, s.shared.Registry.Prefix()+"listen", sqltext.QuoteIdent([]byte("LISTEN "), name), nil, false)
		}
	})
	return query.Verdict{}
}

// News says whether notifications wait that can be delivered now.
func (s *Session) News() bool { return s.Ear.Hears != nil && s.hasNews() }

func (s *Session) hasNews() bool { return s.Ear.Waiting() && s.Status == pgwire.Idle && s.Quiet() }
