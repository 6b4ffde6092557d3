// Package stock is the proxy's housekeeping on a server connection, in the midst of a client's messages: it closes prepared statements and runs queries of the proxy's own, and keeps which statements were parsed there in doubt. It never decides which.
package stock

import (
	"github.com/heliosproxy/heliosproxy/dataplane/session/compose"
	"github.com/heliosproxy/heliosproxy/dataplane/session/expect"
	"github.com/heliosproxy/heliosproxy/dataplane/state/statement"
	"github.com/heliosproxy/heliosproxy/pkg/pgwire"
)

// Hold makes room for st on the server connection that holds h: what is evicted for it is closed in the same write.
func Hold(c *compose.Composer, q *expect.Queue, h *statement.Held, st *statement.Statement) {
	CloseStale(c, q, h)
	for out := h.Evict(st); out != nil; out = h.Evict(st) {
		closes(c, q, out.Name)
	}
	h.Add(st)
}

// CloseStale closes what the server connection has under names that nobody means any more.
func CloseStale(c *compose.Composer, q *expect.Queue, h *statement.Held) {
	for _, name := range h.Stale {
		closes(c, q, name)
	}
	h.Stale = nil
}

// Own runs a query in the middle of an extended unit, with hidden messages under a name, which leave the client's unnamed statement and
// portal alone. See [expect.Queue.PushOwn].
func Own(c *compose.Composer, q *expect.Queue, name string, sql []byte, answer *[]byte, awaited bool) {
	c.Dst = pgwire.AppendOwn(c.Dst, name, append(sql, 0, 0, 0))
	q.PushOwn(name, answer, awaited)
}

func closes(c *compose.Composer, q *expect.Queue, name string) {
	c.Dst = pgwire.AppendNamed(c.Dst, pgwire.Close, 'S', name)
	q.Push(expect.Answer{Kind: expect.Close, Hidden: true, Name: name})
}
