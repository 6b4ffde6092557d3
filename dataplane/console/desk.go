package console

import (
	"context"
	"time"
)

// Desk is the proxy as an administrator sees it. Its methods may wait, and several consoles call them at once. What is asked of a
// database that is not there is refused with a [*pgerr.Error]; the database "" is all of them.
type Desk interface {
	Databases() []Database
	Pools() []Pool
	Clients() []Client
	Servers() []Server
	Users() []User
	Stats() []Stats
	Settings() []Setting
	Lists() []Count
	Memory() []Memory
	Hosts() []Host
	Zones() []Zone
	Peers() []Peer
	// Known are those of whom the proxy has learnt something, or of one name.
	Known(user string) []Known
	State() State
	Version() string

	// Pause holds the clients of a database and waits until its server connections are closed. If it fails nothing is held that was
	// not before.
	Pause(ctx context.Context, db string) error
	// Suspend holds all clients and waits until nobody has a transaction open.
	Suspend(ctx context.Context) error
	Resume(db string) error
	Disable(db string, disable bool) error
	// Kill ends the clients of a database and its server connections at once, and holds who comes next.
	Kill(ctx context.Context, db string) error
	KillClient(id uint64) error
	// Reconnect lets server connections be closed as they become free.
	Reconnect(db string) error
	// WaitClose waits until those are.
	WaitClose(ctx context.Context, db string) error
	Reload(ctx context.Context) error
	Shutdown(how Shutdown) error
	Set(key, value string) error
	// Forget drops what is known of a name, and says how many answers and keys that were.
	Forget(user string) (answers, keys int)
}

// Shutdown is whom a proxy waits for that ends.
type Shutdown int

// The ways to end.
const (
	Immediately Shutdown = iota
	WaitForServers
	WaitForClients
)

// State is what all clients are held for.
type State struct{ Paused, Suspended bool }

// Database is a name that clients connect to.
type Database struct {
	Name, Host       string
	Port             int
	Database         string // at the server; that which the client names, if empty
	ForceUser        string
	PoolSize         int
	MinPoolSize      int
	ReservePoolSize  int
	ServerLifetime   time.Duration
	Mode             string
	MaxServers       int
	Servers          int
	MaxClients       int
	Clients          int
	Paused, Disabled bool
	Node             string
	LoadBalanceHosts string // empty: there is one
}

// Pool is the connections for the clients of a database who are one user at the server.
type Pool struct {
	Database, User              string
	ClientsActive, Waiting      int
	CancelsActive, CancelsWait  int
	Active, Cancelling          int // server connections
	BeingCancelled, Idle        int
	Tested, Login, Closing      int
	MaxWait                     time.Duration
	Mode, Node, ServerDatabase  string
	LoadBalanceHosts            string // empty: there is one
	Pinned, MaxServers, Servers int
}

// Client is a client connection.
type Client struct {
	ID                         uint64
	User, Database             string
	Replication, State         string
	Addr, LocalAddr            string
	Port, LocalPort            int
	Connected, Requested       time.Time // zero: nothing was requested
	Wait                       time.Duration
	Closing                    bool
	Self, Link                 string // what they are called in the program: "0x..."
	PID                        int    // of the process at the other end, if it is known
	TLS, Application, PinnedBy string
	Statements                 int
	Received, Sent             uint64
}

// Server is a server connection. Its fields have the same meaning.
type Server struct {
	Client
	Node string
}

// User is somebody who may log in.
type User struct {
	Name, Mode              string // empty: that of the database
	PoolSize, ReserveSize   int    // 0: as above
	MaxServers, Servers     int
	MaxClients, ClientsOpen int
}

// Counts are what has been counted of a database.
type Counts struct {
	Assignments, Transactions, Queries     uint64
	Received, Sent                         uint64
	TransactionTime, QueryTime, WaitTime   time.Duration
	ClientParses, ServerParses, ClientBind uint64
}

// Stats is what a database has seen since the start, and how that grew in the last period.
type Stats struct {
	Database string
	Total    Counts
	Last     Counts        // within Period
	Period   time.Duration // 0: none has passed
}

// Setting is a setting of the proxy.
type Setting struct {
	Key, Value, Default string
	Changeable          bool // by SET
}

// Count is a number of things.
type Count struct {
	What string
	N    int
}

// Memory is what a kind of thing takes.
type Memory struct {
	Name                    string
	Size, Used, Free, Bytes int
}

// Known is somebody of whom a database has said something when a client logged in, or who has proved to have a key.
type Known struct {
	Cluster, Database, User string // no database: only the key is known
	Secret                  string
	Asked, Until            time.Time // zero: never, and for ever
	Key                     bool
}

// Host is a name that was resolved.
type Host struct {
	Name      string
	TTL       time.Duration
	Addresses string
}

// Zone is a zone of names that were resolved.
type Zone struct {
	Name   string
	Serial uint32 // 0: it is not known
	Names  int
}

// Peer is another proxy, to which cancel requests are passed on.
type Peer struct {
	Number      int
	Host        string // or the path of a unix socket
	Port        int
	Max, Flying int // requests that may be on their way to it at once, and that are
	NodeID      string
}
