package session

import (
	"errors"

	"github.com/heliosproxy/heliosproxy/dataplane/session/compose"
	"github.com/heliosproxy/heliosproxy/dataplane/session/expect"
	"github.com/heliosproxy/heliosproxy/dataplane/state/serverstate"
)

// beginCopy deals with CopyInResponse.
func (s *Session) beginCopy(e *expect.Answer) {
	s.copyIn, s.copies = true, true
	ended, ignored := s.queue.BeginCopy()
	s.copyIn = !ended
	s.unsynced = s.unsynced || ignored && e.Kind == expect.Execute
}

// probe asks the server for an answer that ends the doubt: it closes a statement that nobody has. Where the client's messages are held
// back until it is known, or the session ends, the server may even skip to a Sync that the client has not sent, and gets one.
func (s *Session) probe(c *compose.Composer) {
	asks := s.asks()
	s.doubt.Asks = false
	if !s.doubt.Open || s.pass > 0 || !asks && s.ending == nil && (s.skips || !s.queue.Syncs(s.queue.N)) { // else an answer comes anyway
		return
	}
	s.doubt.Ask(c, &s.queue, s.shared.Registry.Prefix()+"none", asks, asks && s.unsynced)
}

// inDoubt takes what a message of the server, of type t at i, says of the doubt.
func (s *Session) inDoubt(c *compose.Composer, t byte, i int, srv *serverstate.Server) {
	if !s.doubt.Tells(&s.queue, t) {
		return
	}
	s.undoAll(s.queue.Skipped(t), false, srv)
	if s.doubt.Answered(&s.queue, c, i) {
		s.skips = s.ending == nil
	}
}

// probeAlone is probe for a session of which nothing else is sent, and that may have no doubt.
func (s *Session) probeAlone() []byte {
	if !s.doubt.Asks {
		return nil
	}
	c := compose.New(nil, *s.shared.Scratch)
	s.probe(&c)
	return c.Output(s.shared.Scratch)
}

// failCopy notes that a COPY, if there is one, has failed.
func (s *Session) failCopy() {
	if s.copies { // the Syncs among the data that came too late for it are answered
		s.copies = false
		s.doubt.Begin(&s.queue)
	}
	s.copyIn = false
	s.doubt.Asks = s.doubt.Open && s.asks() && !s.doubt.Asked
}

// asks says whether the server has to be asked what it will still answer: for a message that is held back, and at the end of a session.
// Of a client that has said goodbye nobody wants to know.
func (s *Session) asks() bool {
	return s.held && !s.open() || s.ending != nil && !errors.Is(s.ending, ErrTerminated)
}

// open says whether a unit of the client has no Sync yet, and must not get one. A Query does not end it if it fails.
func (s *Session) open() bool { return s.unsynced || s.queue.Open(s.queue.N) }

// undecided says whether it can't be found out now which Syncs the server has ignored.
func (s *Session) undecided() bool { return s.doubt.Open && !s.doubt.Asked && s.open() }

// keepBack keeps the client's next message back, and what follows it.
func (s *Session) keepBack() {
	s.held = true
	s.doubt.Asks = s.doubt.Open && !s.doubt.Asked && !s.open()
}
