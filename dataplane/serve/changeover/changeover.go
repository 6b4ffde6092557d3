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
// that the server has taken before, and cannot refuse now.
func AtOnce(m *session.Session, s *backend.Conn, l *pool.Learnt) bool {
	switch {
	case !m.Foreign(&s.Server):
		s.Owner = m.ID
	case settings.AllPlain(s.Settings, m.Want) && l.Accepted(m.Want):
		m.Prelude()
	default:
		return false
	}
	return true
}

// hint is what a client can do whose settings are refused.
const hint = "This session has set it, and the server does not take it any more. Set it anew: SET, RESET or DISCARD ALL, as a statement of its own outside a transaction."

// Bring changes on the server connection what is not as the session has it, and waits for the server's word. p is what the session is about to
// send, in whole or in part: where the server refuses a value that it had taken before, as what that names is gone, a statement that sets the
// parameter anew is let through without it. What is refused leaves the connection in need of a reset.
func Bring(t *reactor.Task, m *session.Session, s *backend.Conn, l *pool.Learnt, p []byte) (refused *pgwire.ServerError, err error) {
	foreign, owner := s.Server.Foreign, s.Owner
	refused, err = s.TakeOver(t, m.Want, m.ID, m.Sequences)
	if err != nil {
		return nil, err
	}
	if refused == nil {
		l.Accept(m.Want)
		return nil, nil
	}
	if rest, ok := without(m.Want, p); ok {
		s.Server.Foreign, s.Owner = foreign, owner // the refusal has undone what was taken away
		again, err := s.TakeOver(t, rest, m.ID, m.Sequences)
		if err != nil || again == nil {
			return nil, err
		}
	}
	return refused.WithHint(hint), nil
}

// Learn asks the server what the transaction has left of the parameters that it may have changed: commit, rollback, savepoints and SET LOCAL
// have all had their say by then. dropped is what the session loses with the server connection. Where the server does not answer the question,
// under a short statement_timeout, that is refused.
func Learn(t *reactor.Task, m *session.Session, s *backend.Conn, l *pool.Learnt) (dropped pin.Set, refused *pgwire.ServerError, err error) {
	set, reset, holds, err := s.Ask(t, m.Changes.Take())
	if errors.As(err, &refused) && refused.Severity == "ERROR" {
		return 0, refused, nil
	}
	if err != nil {
		return 0, nil, err
	}
	m.Want = m.Want.Change(set, reset)
	s.Settings = s.Settings.Change(set, reset) // what the session wants, or less: see Bring
	l.Accept(s.Settings)
	return m.Reasons.Keep(holds, m.Policy.Pinning), nil, nil
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
