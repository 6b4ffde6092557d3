package session

import (
	"slices"
	"strings"

	"github.com/heliosproxy/heliosproxy/dataplane/query"
	"github.com/heliosproxy/heliosproxy/dataplane/state/catalog"
	"github.com/heliosproxy/heliosproxy/dataplane/state/pin"
	"github.com/heliosproxy/heliosproxy/dataplane/state/residue"
	"github.com/heliosproxy/heliosproxy/dataplane/state/serverstate"
	"github.com/heliosproxy/heliosproxy/dataplane/state/settings"
	"github.com/heliosproxy/heliosproxy/pkg/pgwire"
	"github.com/heliosproxy/heliosproxy/pkg/sqlparse"
)

// Allow says whether the policy lets the statement through. It is asked before anything is sent.
func (s *Session) Allow(q *query.Query) query.Verdict {
	if q.Text == nil && !q.Opaque || s.Keeps || s.Policy == nil || !s.Policy.Restricts() {
		return query.Verdict{}
	}
	return q.Allowed(s.Policy, s.shares(q))
}

// note notes what a text that goes to the server now can reach.
func (s *Session) note(t residue.Text, srv *serverstate.Server) {
	f := t.Facts()
	reach := s.residue.Reach(t, f, s.Catalog, s.shared.Registry)
	if s.Keeps {
		return
	}
	if f == nil || f.Does&^sqlparse.Writes != 0 {
		s.reading = nil
	}
	if reach&catalog.Suspect != 0 {
		s.suspect(srv)
		s.residue.Blame(t)
	}
	if reach&catalog.Sequences != 0 {
		s.Sequences = srv.UseSequences(s.Sequences)
	}
	if reach&catalog.Sessions != 0 && s.Policy.Pinning == pin.Keep {
		s.Reasons.Have |= pin.Sequence
	}
	if s.Reasons.Have&pin.Found != 0 && pin.Releases(f) {
		s.residue.Suspect = true
	}
}

// suspect notes that the transaction may leave anything.
func (s *Session) suspect(srv *serverstate.Server) {
	s.residue.Suspect, s.reading = true, nil
	srv.Foreign |= settings.ForeignSettings
	s.Sequences = srv.UseSequences(s.Sequences)
}

// Doubtful says whether the server connection has to be looked through, now that the transaction is over.
func (s *Session) Doubtful() bool {
	return s.residue.Any() && s.residue.Doubtful(s.Catalog)
}

// Because says in words what the catalogue finds suspect in the transaction, "" where it is something else that is.
func (s *Session) Because() string { return s.residue.Because(s.Catalog) }

// Looked takes what was found on the server connection, whose settings are set: a session that may keep the connection does from now on, if there
// is something to keep. Otherwise dropped is what it loses. others are prepared statements that were made neither by SQL nor for everybody: those of a
// session that keeps the connection, or of one that may not, with texts that nobody has looked at.
func (s *Session) Looked(set settings.Set, holds pin.Set, others []string) (dropped pin.Set) {
	if slices.ContainsFunc(others, func(name string) bool { return !strings.HasPrefix(name, s.shared.Registry.Prefix()) }) {
		holds |= map[bool]pin.Set{true: pin.Prepared, false: pin.Unknown}[s.Policy.Pinning == pin.Keep]
	}
	s.Want = set
	s.Changes.Take()
	lost := s.residue.Maybe &^ pin.Found
	s.EndOfTransaction()
	if s.Policy.Pinning == pin.Keep {
		s.Reasons.Have = s.Reasons.Have&^pin.Found | holds
		return 0
	}
	s.Reasons.Have &^= pin.Found
	return holds | lost
}

// EndOfTransaction forgets what the transaction may have left.
func (s *Session) EndOfTransaction() {
	if s.residue.Any() {
		s.residue.End(s.shared.Registry)
	}
	s.reading = nil
}

// Unfollowed notes that what is set on the server connection cannot be found out: the session stays there.
func (s *Session) Unfollowed() {
	s.EndOfTransaction()
	s.Changes.Take()
	s.Reasons.Have |= pin.Unknown
}

// Owed returns, once, the ReadyForQuery that was held back until the connection is looked through, nil where none was.
func (s *Session) Owed() []byte {
	if !s.owes {
		return nil
	}
	s.owes = false
	return pgwire.AppendReady(nil, s.Status)
}

// leave notes what a text that goes to the server leaves there.
func (s *Session) leave(why pin.Set, srv *serverstate.Server) {
	s.residue.Maybe |= why & pin.Found
	if lasting := why & pin.Lasting; lasting != 0 {
		srv.Spoiled = true
		if s.Policy.Pinning == pin.Keep {
			s.Reasons.Have |= lasting
		} else {
			s.residue.Maybe |= lasting
		}
	}
}
