// Package strays is what a client's unit has put on the server connection under the client's own names, and which is closed behind the unit.
package strays

import (
	"slices"

	"github.com/heliosproxy/heliosproxy/dataplane/session/compose"
	"github.com/heliosproxy/heliosproxy/dataplane/session/expect"
	"github.com/heliosproxy/heliosproxy/pkg/pgwire"
)

// Strays are those of one session. They belong to its loop.
type Strays struct{ names []string }

// Any says whether there are any.
func (s *Strays) Any() bool { return len(s.names) > 0 }

// Parse lets the server answer a Parse under a name that is taken as PostgreSQL does: by parsing under that very name, which is
// made to be taken at the server too. Any other error of the text comes first, as it would there. rest is what follows the name.
func (s *Strays) Parse(c *compose.Composer, q *expect.Queue, name string, rest []byte) {
	s.Close(c, q, name)
	c.Dst = pgwire.AppendParse(c.Dst, name, []byte{0, 0, 0})
	q.Push(expect.Answer{Kind: expect.Parse, Hidden: true, Name: name})
	c.Dst = pgwire.AppendParse(c.Dst, name, rest)
	q.Push(expect.Answer{Kind: expect.Parse, Name: name})
	s.names = append(s.names, name)
}

// Close closes what has the name, if it is one.
func (s *Strays) Close(c *compose.Composer, q *expect.Queue, name string) {
	if slices.Contains(s.names, name) {
		closes(c, q, name)
	}
}

// CloseAll closes and forgets all of them, in a unit of its own, which nothing that went wrong before can touch.
func (s *Strays) CloseAll(c *compose.Composer, q *expect.Queue) {
	for _, name := range s.names {
		closes(c, q, name)
	}
	c.Dst = pgwire.AppendSync(c.Dst)
	q.Push(expect.Answer{Kind: expect.Sync, Hidden: true})
	s.names = s.names[:0]
}

func closes(c *compose.Composer, q *expect.Queue, name string) {
	c.Dst = pgwire.AppendNamed(c.Dst, pgwire.Close, 'S', name)
	q.Push(expect.Answer{Kind: expect.Close, Hidden: true})
}
