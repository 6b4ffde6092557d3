package session

import (
	"github.com/heliosproxy/heliosproxy/dataplane/session/compose"
	"github.com/heliosproxy/heliosproxy/dataplane/session/stock"
	"github.com/heliosproxy/heliosproxy/dataplane/state/pin"
	"github.com/heliosproxy/heliosproxy/dataplane/state/serverstate"
	"github.com/heliosproxy/heliosproxy/dataplane/state/settings"
	"github.com/heliosproxy/heliosproxy/pkg/pgwire"
)

// unsure says whether what is set on the server connection is not known now.
func (s *Session) unsure(srv *serverstate.Server) bool {
	return s.Dirty() || s.residue.Suspect || srv.Tainted
}

// stay keeps a statement, which is parsed next, on its server connection. name is the statement's at the server. It says whether the
// server has to be asked then what it was parsed under: behind the Parse, which is refused as it would be without the question.
func (s *Session) stay(u stock.Unsure, name string) (asks bool) {
	s.Reasons.Add(name, pin.Unknown)
	if s.Status == pgwire.InFailed {
		return false // the server refuses both
	}
	if asks = s.reading == nil; asks {
		s.reading = new([]byte)
	}
	u.Under = s.reading
	s.unsures.Add(u)
	return asks
}

// askUnder asks for what parsing reads; awaited says that the client's next message waits for that.
func (s *Session) askUnder(c *compose.Composer, srv *serverstate.Server, awaited bool) {
	stock.CloseStale(c, &s.queue, srv.Held) // a question may be left there of which the end was skipped
	stock.Own(c, &s.queue, s.shared.Registry.Prefix()+"under", settings.AppendPlanner(nil), s.reading, awaited)
}

// Unsure says whether there are statements of which it may be found out now what they were parsed under.
func (s *Session) Unsure() bool { return len(s.unsures) > 0 }

// Sure takes what parsing reads now that the transaction is over and what is set is known.
func (s *Session) Sure(now []byte) {
	for u := range s.unsures.Known(now) {
		st := u.Statement
		if st == nil {
			if s.Unnamed.ID == u.Unnamed {
				s.Unnamed.Unknown, s.Unnamed.Planner = false, s.Want.Planner()
				s.Reasons.Remove("")
			}
			continue
		}
		st.Planner = s.Want.Planner()
		if s.Reasons.Remove(st.Name); u.Moment && s.Names.Of(st) != "" {
			s.Reasons.Add(st.Name, pin.Moment)
		}
	}
}
