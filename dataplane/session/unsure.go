package session

import (
	"bytes"
	"slices"

	"github.com/heliosproxy/heliosproxy/dataplane/session/compose"
	"github.com/heliosproxy/heliosproxy/dataplane/state/pin"
	"github.com/heliosproxy/heliosproxy/dataplane/state/serverstate"
	"github.com/heliosproxy/heliosproxy/dataplane/state/settings"
	"github.com/heliosproxy/heliosproxy/dataplane/state/statement"
	"github.com/heliosproxy/heliosproxy/pkg/pgwire"
)

// unsure is a statement that was parsed while what was set was not known. It stays on its server connection
// until the transaction is over: if what parsing reads is then as it was, it is known after all.
type unsure struct {
	st      *statement.Statement // nil for the unnamed one
	unnamed uint64               // its ID
	moment  bool
	under   *[]byte // what parsing read, as the server has said before
}

// unsure says whether what is set on the server connection is not known now.
func (s *Session) unsure(srv *serverstate.Server) bool {
	return s.Dirty() || s.residue.Suspect || srv.Tainted
}

// stay keeps a statement, which is parsed next, on its server connection. name is the statement's at the server. It says whether the
// server has to be asked then what it was parsed under: behind the Parse, which is refused as it would be without the question.
func (s *Session) stay(u unsure, name string) (asks bool) {
	s.Reasons.Add(name, pin.Unknown)
	if s.Status == pgwire.InFailed {
		return false // the server refuses both
	}
	if asks = s.reading == nil; asks {
		s.reading = new([]byte)
	}
	u.under = s.reading
	if u.st == nil { // the one before is of no account any more
		s.unsures = slices.DeleteFunc(s.unsures, func(u unsure) bool { return u.st == nil })
	}
	s.unsures = append(s.unsures, u)
	return asks
}

// askUnder asks for what parsing reads.
func (s *Session) askUnder(c *compose.Composer, srv *serverstate.Server) {
	s.closeStale(c, srv) // a question may be left there of which the end was skipped
	s.own(c, s.shared.Registry.Prefix()+"under", settings.AppendPlanner(nil), s.reading)
}

// Unsure says whether there are statements of which it may be found out now what they were parsed under.
func (s *Session) Unsure() bool { return len(s.unsures) > 0 }

// Sure takes what parsing reads now that the transaction is over and what is set is known.
func (s *Session) Sure(now []byte) {
	for _, u := range s.unsures {
		if !bytes.Equal(*u.under, now) {
			continue // it was parsed under something else, for good
		}
		if u.st == nil {
			if s.Unnamed.ID == u.unnamed {
				s.Unnamed.Unknown, s.Unnamed.Planner = false, s.Want.Planner()
				s.Reasons.Remove("")
			}
			continue
		}
		u.st.Planner = s.Want.Planner()
		s.Reasons.Remove(u.st.Name)
		if u.moment && s.Names.Of(u.st) != "" {
			s.Reasons.Add(u.st.Name, pin.Moment)
		}
	}
	s.unsures = s.unsures[:0]
}
