// Package changeover brings a server connection to what the session has set that has leased it, the session to what a transaction has set there, and the client to what the connection reports.
package changeover

import (
	"errors"
	"strings"

	"github.com/heliosproxy/heliosproxy/dataplane/backend"
	"github.com/heliosproxy/heliosproxy/dataplane/pool"
	"github.com/heliosproxy/heliosproxy/dataplane/reactor"
	"github.com/heliosproxy/heliosproxy/dataplane/session"
	"github.com/heliosproxy/heliosproxy/dataplane/state/pin"
	"github.com/heliosproxy/heliosproxy/dataplane/state/serverstate"
	"github.com/heliosproxy/heliosproxy/dataplane/state/settings"
	"github.com/heliosproxy/heliosproxy/pkg/pgwire"
)

// AtOnce says whether the session can go on with the server connection as it is, or with what has to be changed there sent ahead: values
// that the server has taken before, and cannot refuse now. What is sent behind that is carried out whatever becomes of it, so it is
// confirmed first where the session before has left the server so little time that even that might be cut off.
func AtOnce(m *session.Session, s *backend.Conn, l *pool.Learnt) bool {
	switch {
	case !m.Foreign(&s.Server):
		s.Owner = m.ID
	case settings.AllPlain(s.Settings, m.Want) && l.Accepted(m.Want) && !s.Settings.Hurries():
		m.Prelude()
	default:
		return false
	}
	return true
}

// patience is how often something is asked that the server was not let finish: mostly by the session's own statement_timeout, or that of
// the last one, of a millisecond or two. Each time has as good a chance as the first.
const patience = 20

// patiently asks until that is refused for another reason, or answered.
func patiently(ask func() (*pgwire.ServerError, error)) (refused *pgwire.ServerError, err error) {
	for range patience {
		if refused, err = ask(); err != nil || refused == nil || refused.SQLState != "57014" {
			break
		}
	}
	return refused, err
}

// hint is what a client can do whose settings are refused.
const hint = "This session has set it, and the server does not take it any more. Let go of it by RESET or DISCARD ALL, as a statement of its own outside a transaction."

// Bring changes on the server connection what is not as the session has it, and waits for the server's word. p is what the session is about to
// send, in whole or in part: where the server refuses a value that it had taken before, as what that names is gone, a statement that resets the
// parameter finds the connection as it will leave it. What is refused leaves the connection in need of a reset.
func Bring(t *reactor.Task, m *session.Session, s *backend.Conn, l *pool.Learnt, p []byte) (refused *pgwire.ServerError, err error) {
	foreign, owner := s.Server.Foreign, s.Owner
	bring := func(want settings.Set) (*pgwire.ServerError, error) {
		return patiently(func() (*pgwire.ServerError, error) {
			s.Server.Foreign, s.Owner = foreign, owner // a refusal has undone what was taken away
			return s.TakeOver(t, want, m.ID, m.Sequences)
		})
	}
	if s.Settings.Hurries() { // what follows may take longer than so small a change
		unhurried := s.Settings.Change([]settings.Pair{{Name: "statement_timeout", Value: "0"}}, nil)
		if refused, err = patiently(func() (*pgwire.ServerError, error) { return s.Apply(t, unhurried) }); err != nil || refused != nil {
			return refused, err
		}
	}
	if refused, err = bring(m.Want); err != nil {
		return nil, err
	}
	if refused == nil {
		l.Accept(m.Want)
		return nil, nil
	}
	if class := refused.SQLState[:min(2, len(refused.SQLState))]; class != "22" && class != "42" {
		return refused, nil // it was no value that was refused
	}
	if rest, ok := leaves(m.Want, m.Startup, p); ok && !m.Begun() {
		again, err := bring(rest)
		if err != nil || again == nil {
			return nil, err
		}
	}
	return refused.WithHint(hint), nil
}

// Learn asks the server what the transaction has left of the parameters that it may have changed: commit, rollback, savepoints and SET LOCAL
// have all had their say by then. dropped is what the session loses with the server connection. Where the server does not answer the question,
// that is refused.
func Learn(t *reactor.Task, m *session.Session, s *backend.Conn, l *pool.Learnt) (dropped pin.Set, refused *pgwire.ServerError, err error) {
	var set []settings.Pair
	var reset []string
	var holds pin.Set
	names := m.Changes.Take()
	refused, err = patiently(func() (refused *pgwire.ServerError, err error) {
		set, reset, holds, err = s.Ask(t, names)
		if errors.As(err, &refused) && refused.Severity == "ERROR" {
			err = nil
		}
		return refused, err
	})
	if err != nil || refused != nil {
		return 0, refused, err
	}
	m.Want = m.Want.Change(set, reset)
	s.Settings = s.Settings.Change(set, reset) // what the session wants, or less: see Bring
	l.Accept(s.Settings)
	return m.Reasons.Keep(holds, m.Policy.Pinning), nil, nil
}

// Look finds out what is on the server connection. Where the server does not answer the question, that is refused.
func Look(t *reactor.Task, m *session.Session, s *backend.Conn, l *pool.Learnt) (left backend.Residue, refused *pgwire.ServerError, err error) {
	refused, err = patiently(func() (refused *pgwire.ServerError, err error) {
		left, refused, err = s.Inspect(t, m.Custom(), m.HasSet)
		return refused, err
	})
	if err == nil && refused == nil {
		l.Accept(left.Settings)
	}
	return left, refused, err
}

// News returns, as messages for the client, what the server connection reports where nothing is set and the client was told otherwise: the
// defaults of a server change, and those of a connection are of the time at which it was opened. It is nil mostly. It is asked while nothing
// is under way and the connection's settings are known.
func News(m *session.Session, s *serverstate.Server) []byte {
	s.Learn()
	if m.Told == s.Defaults {
		return nil
	}
	return tell(m, s)
}

func tell(m *session.Session, s *serverstate.Server) (p []byte) {
	settings.Differences(m.Told, s.Defaults, func(name, value string, in bool) {
		if !in || m.Want.Has(name) || name == "is_superuser" && m.Want.Who() {
			return
		}
		for _, r := range s.Params {
			if strings.EqualFold(r.Name, name) {
				p = pgwire.AppendParameterStatus(p, r.Name, value)
			}
		}
	})
	m.Told = s.Defaults.Over(m.Told) // of what was set on a connection that came from another process no default is known yet
	return p
}
