// Package serve is the corridor: the walk of a client's connection from its first byte to its last, and of each statement from client to server and back. It never looks into bytes and never opens a server connection: the rooms do.
//
// conn.go is the walk of a connection, statement.go that of a statement. Both are straight-line code
// in a coroutine of the client's loop: whatever has to be waited for parks it.
package serve

import (
	"net/netip"
	"time"

	"go.uber.org/zap"

	"github.com/heliosproxy/heliosproxy/dataplane/backend"
	"github.com/heliosproxy/heliosproxy/dataplane/console"
	"github.com/heliosproxy/heliosproxy/dataplane/listen"
	"github.com/heliosproxy/heliosproxy/dataplane/peers"
	"github.com/heliosproxy/heliosproxy/dataplane/pool"
	"github.com/heliosproxy/heliosproxy/dataplane/reactor"
	"github.com/heliosproxy/heliosproxy/dataplane/serve/inquiry"
	"github.com/heliosproxy/heliosproxy/dataplane/serve/ledger"
	"github.com/heliosproxy/heliosproxy/dataplane/serve/spare"
	"github.com/heliosproxy/heliosproxy/dataplane/session"
	"github.com/heliosproxy/heliosproxy/dataplane/snapshot"
	"github.com/heliosproxy/heliosproxy/dataplane/state/admission"
	"github.com/heliosproxy/heliosproxy/dataplane/state/cancelkeys"
	"github.com/heliosproxy/heliosproxy/dataplane/state/catalog"
	"github.com/heliosproxy/heliosproxy/dataplane/state/facts"
	"github.com/heliosproxy/heliosproxy/dataplane/state/gate"
	"github.com/heliosproxy/heliosproxy/dataplane/state/meter"
	"github.com/heliosproxy/heliosproxy/dataplane/state/statement"
	"github.com/heliosproxy/heliosproxy/pkg/resource"
	"github.com/heliosproxy/heliosproxy/pkg/tlsconf"
)

// Hub is what all connections of a proxy share. Its fields are set before the first connection.
type Hub struct {
	Log        *zap.Logger
	Pools      *pool.Registry
	Keys       *cancelkeys.Registry[*Conn]
	Peers      *peers.Peers // other proxies, who may have a key that is not here
	Statements *statement.Registry
	MockSecret func() string // salts of unknown users are made from it
	Clients    *admission.Clients
	Failures   *admission.Failures
	// Gates are the databases that an administrator holds shut, and Console is what he sees and does.
	Gates   gate.Gates
	Console console.Desk
	// Files is how many files the process may have open.
	Files int
	inquiry.Desk
	// Current returns the configuration in force; nil before there is one.
	Current func() *snapshot.Snapshot
	// Fate is what becomes of sessions that begin now, and Successor the process that they are given to.
	Fate      func() Fate
	Successor Successor
	// CancelBefore hears of a key that no session here has: it may be one of the process whose place this one takes.
	CancelBefore func(pid uint32, secret []byte)
	// Catalog returns what is known of the catalogue of a target's database, where the functions of safe leave nothing
	// behind. It is nil where nobody reads catalogues.
	Catalog func(t *backend.Target, safe []string) catalog.Judge
	// Listener returns the connection that listens for all sessions in a target's database. It is nil where there is none.
	Listener func(t *backend.Target) *listen.Listener
	// Spawn runs a function that takes long on a goroutine; nil: such things are done by the loop.
	Spawn func(func())
	// OSUser returns the name of a user of the operating system, Interfaces the addresses of the machine with the lengths of their networks'
	// masks, HostName the name that an address resolves to, if that resolves to the address again. They may block: no loop calls them.
	OSUser     func(uid uint32) (string, error)
	Interfaces func() ([]netip.Prefix, error)
	HostName   func(netip.Addr) string
}

// loginTimeout is how long a client may take to log in.
func (h *Hub) loginTimeout() time.Duration {
	if s := h.Current(); s != nil {
		return s.Admission.LoginTimeout
	}
	return resource.LoginTimeout
}

// Door is a listener at which clients come in.
type Door struct {
	*snapshot.Listener
	TLS *tlsconf.Server // nil: TLS is not spoken
}

// Local is what the connections of one loop share.
type Local struct {
	hub      *Hub
	shared   session.Shared
	conns    []*Conn
	Meter    meter.Loop
	Lag      meter.Histogram // how late the loop came to what was new
	accounts ledger.Ledger
	spare    spare.Buffers
	greeting []byte // what clients are told at log-in is put together here
}

// knownBytes bounds what a loop remembers of SQL texts.
const knownBytes = 8 << 20

// NewLocal makes the Local of l.
func NewLocal(h *Hub, l *reactor.Loop) *Local {
	lo := &Local{hub: h, accounts: ledger.Ledger{}}
	lo.shared = session.Shared{Registry: h.Statements, Account: &meter.Account{}, Known: facts.NewCache(knownBytes), Scratch: &l.Scratch}
	lo.shared.Known.Spawn, lo.shared.Known.Post = h.Spawn, l.Post
	l.Local = lo
	return lo
}

// Each calls yield for each connection. It is called on the loop's thread.
func (lo *Local) Each(yield func(*Conn)) {
	for _, c := range lo.conns {
		yield(c)
	}
}
