// Package showing shows server connections as the console does, in PgBouncer's words.
package showing

import (
	"fmt"
	"time"

	"github.com/heliosproxy/heliosproxy/dataplane/backend"
	"github.com/heliosproxy/heliosproxy/dataplane/console"
	"github.com/heliosproxy/heliosproxy/dataplane/pool"
	"github.com/heliosproxy/heliosproxy/dataplane/reactor"
)

// Server is a server connection as an administrator sees it, but for whose it is. It is called on the thread of the connection's loop.
func Server(p *pool.Pool, s *backend.Conn) console.Server {
	l := s.Loop()
	at := func(since int64) time.Time { return time.Now().Add(-time.Duration(l.Now() - since)) }
	x := console.Server{Node: p.Node, Client: console.Client{
		User: p.User, Database: p.Database, State: states()[s.State()], Connected: at(s.Born), Closing: p.Closing(s),
		Self: fmt.Sprintf("%p", s), PID: int(s.PID), Statements: s.Prepared(), ID: s.ID(),
	}}
	if s.Since != 0 {
		x.Requested = at(s.Since)
	}
	x.Addr, x.Port = Host(s.Address())
	if s.EP != nil {
		x.LocalAddr, x.LocalPort = Host(s.EP.LocalAddress())
		x.Received, x.Sent = s.EP.In, s.EP.Out
		x.TLS = s.EP.Cipher()
	}
	return x
}

// Host is an address as PgBouncer shows it: "unix" stands for all of those.
func Host(a reactor.Address) (string, int) {
	if a.IsUnix() {
		return "unix", 0
	}
	return a.IP.Addr().Unmap().String(), int(a.IP.Port())
}

// states are the states of server connections in PgBouncer's words, which has none for the last two.
func states() map[string]string {
	return map[string]string{
		"opening": "new", "idle": "idle", "active": "active", "replication": "active", "cleaning": "tested", "cancelling": "being_canceled",
		"closing": "closing", "closed": "closed",
	}
}
