package session

import (
	"encoding/binary"

	"github.com/heliosproxy/heliosproxy/dataplane/session/compose"
	"github.com/heliosproxy/heliosproxy/dataplane/session/expect"
	"github.com/heliosproxy/heliosproxy/dataplane/state/pin"
	"github.com/heliosproxy/heliosproxy/dataplane/state/serverstate"
	"github.com/heliosproxy/heliosproxy/pkg/pgwire"
	"github.com/heliosproxy/heliosproxy/pkg/planted"
)

// call deals with a FunctionCall: which function it is only its OID says, so unless that is known to leave nothing behind the
// transaction may leave anything.
func (s *Session) call(c *compose.Composer, p []byte, i, end int, srv *serverstate.Server) (int, bool) {
	body := i + pgwire.HeaderSize
	if s.Keeps || end-body < 4 { // malformed: the server says so
		return s.called(p, i, end)
	}
	if len(p) < body+4 || len(p) < end && end-body <= s.Limits.TextBytes {
		return 0, false
	}
	oid := binary.BigEndian.Uint32(p[body:])
	if planted.Is(planted.Called) {
		return s.called(p, i, end)
	}
	leaves := pin.ByOID(oid)
	if s.Policy.Pinning == pin.Refuse {
		if err := s.Policy.Refuses(0, leaves); err != nil {
			s.refuseText(c, i, end, err, srv)
			return end - i, true
		}
	}
	if !pin.HarmlessOID(oid) {
		s.suspect(srv)
		s.Changes.Search(p[body:min(end, len(p))])
	}
	s.leave(leaves, srv)
	return s.called(p, i, end)
}

// called lets a FunctionCall pass.
func (s *Session) called(p []byte, i, end int) (int, bool) {
	s.Account.Queries++
	s.queue.Push(expect.Answer{Kind: expect.Function})
	return s.passes(p, i, end), true
}
