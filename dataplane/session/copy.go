package session

import (
	"errors"

	"github.com/heliosproxy/heliosproxy/dataplane/session/compose"
	"github.com/heliosproxy/heliosproxy/dataplane/session/expect"
	"github.com/heliosproxy/heliosproxy/pkg/pgwire"
)

// beginCopy deals with CopyInResponse.
func (s *Session) beginCopy(e *expect.Answer) {
	s.copyIn, s.copies = true, true
	ended, ignored := s.queue.BeginCopy()
	s.copyIn = !ended
	s.unsynced = s.unsynced || ignored && e.Kind == expect.Execute
}

// probe asks the server for an answer that ends the doubt: it closes a statement that nobody has. A session that ends has asked for nothing more: the server may
// even skip to a Sync that the client has not sent, and gets one.
func (s *Session) probe(c *compose.Composer) {
	s.doubt.Asks = false
	if !s.doubt.Open || s.pass > 0 || s.ending == nil && (s.skips || !s.queue.Syncs(s.queue.N)) { // else an answer comes anyway
		return
	}
	c.Use()
	if s.ending != nil {
		if s.unsynced { // or the Sync would commit what the client has not
			c.Dst = pgwire.AppendNamed(c.Dst, pgwire.Describe, 'S', s.shared.Registry.Prefix()+"none")
			s.queue.Push(expect.Answer{Kind: expect.Describe, Hidden: true})
		}
		c.Dst = pgwire.AppendSync(c.Dst)
		s.queue.Push(expect.Answer{Kind: expect.Sync, Hidden: true, Doubt: true})
	}
	c.Dst = pgwire.AppendNamed(c.Dst, pgwire.Close, 'S', s.shared.Registry.Prefix()+"none")
	c.Dst = pgwire.Append(c.Dst, pgwire.Flush, nil)
	s.queue.Push(expect.Answer{Kind: expect.Close, Hidden: true, Probe: s.ending != nil})
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
	s.doubt.Asks = s.doubt.Open && s.asks()
}

// asks says whether a session that ends has to ask the server what it will still answer. Of a client that has said goodbye
// nobody wants to know.
func (s *Session) asks() bool { return s.ending != nil && !errors.Is(s.ending, ErrTerminated) }
