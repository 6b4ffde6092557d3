package snapshot

import (
	"cmp"
	"fmt"
	"time"

	"github.com/heliosproxy/heliosproxy/dataplane/backend"
	"github.com/heliosproxy/heliosproxy/dataplane/pool"
	"github.com/heliosproxy/heliosproxy/dataplane/state/admission"
	"github.com/heliosproxy/heliosproxy/dataplane/state/keyring"
	"github.com/heliosproxy/heliosproxy/dataplane/state/pin"
	"github.com/heliosproxy/heliosproxy/dataplane/state/users"
	"github.com/heliosproxy/heliosproxy/pkg/resource"
	"github.com/heliosproxy/heliosproxy/pkg/scram"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// Asked is what a client says of the database that it wants.
type Asked struct {
	Database string
	Server   string // the host name by which it comes, as it says in TLS (SNI), folded; empty: it says none
}

// database is what clients that ask for a name, by some host names or any, get.
type database struct {
	name, server, cluster string
	profile               pool.Profile
	keeps                 bool
	policy                pin.Policy
	safe                  []string
	listens               bool   // sessions listen by a connection that listens for all
	lost                  string // the payload of a notification that some were lost
	connect               time.Duration
	clients               int // that may be in it at once; 0: what is said for all
	query                 *AuthQuery
}

// Route is where the statements of a database and user go.
type Route struct {
	Target  *backend.Target
	Alias   pool.Alias         // what chooses the target; it leads there as long as it does for the client
	Counts  admission.Database // what the client counts for
	Profile *pool.Profile
	Keeps   bool // pool mode session
	Policy  *pin.Policy
	Safe    []string // functions that are declared to leave nothing behind
	// Listens says that sessions listen by a connection that listens for all, and Lost is the payload of the notification by
	// which they are told that some were lost; empty: there is none.
	Listens bool
	Lost    string
}

// AuthQuery is where users are looked up that the configuration does not name.
type AuthQuery struct {
	User, Password, Query string
	Database              string // empty: the one that the client wants
	Good                  time.Duration
}

// AuthQueryUnlessSet is what is asked where the configuration does not say it.
const AuthQueryUnlessSet = "SELECT rolname, rolpassword, rolvaliduntil FROM pg_authid WHERE rolname = $1 AND rolcanlogin"

// authQueryGood is how long an answer is good where the configuration does not say it.
const authQueryGood = 30 * time.Second

func authQuery(q *heliosv1.AuthQuery) *AuthQuery {
	if q == nil {
		return nil
	}
	a := &AuthQuery{User: q.GetUser(), Password: q.GetPassword().GetValue(), Query: q.GetQuery(), Database: q.GetDatabase(), Good: authQueryGood}
	if a.Query == "" {
		a.Query = AuthQueryUnlessSet
	}
	if q.GetCacheTime() != nil {
		a.Good = q.GetCacheTime().AsDuration()
	}
	return a
}

var guards = map[heliosv1.LeakGuard]pin.Guard{
	heliosv1.LeakGuard_LEAK_GUARD_TEXT:    pin.Text,
	heliosv1.LeakGuard_LEAK_GUARD_CATALOG: pin.Catalog,
	heliosv1.LeakGuard_LEAK_GUARD_ALWAYS:  pin.Always,
}

var pinnings = map[heliosv1.Pin]pin.Pinning{
	heliosv1.Pin_PIN_ON:    pin.Keep,
	heliosv1.Pin_PIN_ERROR: pin.Refuse,
	heliosv1.Pin_PIN_OFF:   pin.Drop,
}

// compileDatabase adds a database under what clients ask for to get it.
func (s *Snapshot) compileDatabase(name string, d *heliosv1.Database, set *resource.Set) error {
	prof := set.PoolProfiles[d.GetPoolProfile()]
	if prof == nil {
		return fmt.Errorf("Database %q: there is no PoolProfile %q", name, d.GetPoolProfile())
	}
	c := &database{
		name: name, server: d.GetServerName(), cluster: d.GetCluster(),
		profile: pool.Profile{
			Max:     int(prof.GetMaxConnections()),
			Idle:    prof.GetIdleTimeout().AsDuration(),
			Acquire: prof.GetAcquireTimeout().AsDuration(),
		},
		keeps:   prof.GetMode() == heliosv1.PoolMode_POOL_MODE_SESSION,
		clients: int(d.GetMaxClients()),
		connect: prof.GetConnectTimeout().AsDuration(),
		query:   authQuery(d.GetAuthQuery()),
		safe:    prof.GetSafeFunctions(),
		listens: prof.GetListen() == heliosv1.Listen_LISTEN_SHARED && prof.GetMode() != heliosv1.PoolMode_POOL_MODE_SESSION,
		lost:    prof.GetListenLost(),
		policy: pin.Policy{
			Guard: guards[prof.GetLeakGuard()], Pinning: pinnings[prof.GetPin()],
			OneStatement: prof.GetMode() == heliosv1.PoolMode_POOL_MODE_STATEMENT,
			DeferBegin:   prof.GetDeferredBegin() && prof.GetMode() == heliosv1.PoolMode_POOL_MODE_TRANSACTION,
		},
	}
	for _, server := range d.GetServerNames() {
		s.databases[Asked{resource.KnownAs(d), resource.FoldServerName(server)}] = c
	}
	if len(d.GetServerNames()) == 0 {
		s.databases[Asked{Database: resource.KnownAs(d)}] = c
	}
	return nil
}

// Bounds are how many clients may be in at once, for one that wants to be user name.
func (s *Snapshot) Bounds(asked Asked, name string) admission.Bounds {
	b := s.Admission.bounds
	if d, _ := s.choose(asked); d != nil && d.clients > 0 {
		b.Database = d.clients
	}
	if u := s.users[name]; u != nil && u.clients > 0 {
		b.User = u.clients
	}
	return b
}

// choose returns the database of a client, nil if there is none for it, and of its server names the one that fits the client's; empty where
// it has none. A database that is known by the name that is asked for goes before one that stands for any, and a server name before one
// with a "*", and that before none.
func (s *Snapshot) choose(asked Asked) (d *database, server string) {
	if resource.IsConsole(asked.Database) {
		return nil, ""
	}
	servers := [...]string{asked.Server, resource.WildcardOf(asked.Server), ""}
	for _, name := range [...]string{asked.Database, resource.AnyDatabase} {
		for _, server := range servers {
			if d := s.databases[Asked{name, server}]; d != nil {
				return d, server
			}
		}
	}
	return nil, ""
}

// Database says whether there is a database for a client.
func (s *Snapshot) Database(asked Asked) bool {
	d, _ := s.choose(asked)
	return d != nil
}

// Route returns where statements of user name go; ok is false where the database is not there.
func (s *Snapshot) Route(asked Asked, name string) (r Route, ok bool) {
	d, server := s.choose(asked)
	if d == nil {
		return Route{}, false
	}
	n := s.primaries[d.cluster]
	if n == nil {
		return Route{}, false
	}
	db := asked.Database
	as, secret := s.identity(d, db, name)
	return Route{
		Alias:   pool.Alias{Database: db, Server: server, User: name},
		Counts:  admission.Database{Resource: d.name, Name: db},
		Target:  s.target(d, n, db, as, s.elsewhere(n, s.users[name], secret)),
		Profile: &d.profile,
		Keeps:   d.keeps,
		Policy:  &d.policy,
		Safe:    d.safe,
		Listens: d.listens,
		Lost:    d.lost,
	}, true
}

// identity returns who name is at the servers of d, and what proves it unless its password lives elsewhere.
func (s *Snapshot) identity(d *database, db, name string) (as string, secret *backend.Secret) {
	u := s.users[name]
	switch {
	case u == nil && d.query != nil:
		if known := s.machine.Users.Secret(s.place(d, db), name); known != "" && !scram.IsVerifier(known) {
			return name, backend.NewSecret(name, known)
		}
		return name, backend.Proved(s.machine.Ring, keyring.Owner{Cluster: d.cluster, User: name})
	case u == nil:
		return name, backend.NewSecret(name, "")
	case u.proves && s.machine.Ring != nil:
		return u.server, backend.Proved(s.machine.Ring, keyring.Owner{Cluster: d.cluster, User: name})
	}
	return u.server, u.secret
}

// target is how a database at a node is reached.
func (s *Snapshot) target(d *database, n *heliosv1.Node, db, as string, secret *backend.Secret) *backend.Target {
	return &backend.Target{
		Node: n.GetName(), Host: n.GetHost(), Port: int(n.GetPort()), Database: cmp.Or(d.server, db), User: as, Secret: secret,
		TLS: s.machine.Links[n.GetName()], Binding: s.links[n.GetName()].binding, Timeout: d.connect,
		MaxStatements: s.maxHeld, MaxStatementBytes: s.Limits.StatementBytes,
	}
}

// place is where users of d are looked up by a client that wants db.
func (s *Snapshot) place(d *database, db string) users.Place {
	return users.Place{Cluster: d.cluster, Database: cmp.Or(d.query.Database, d.server, db), Query: d.query.Query, As: d.query.User}
}

// Inquiry is where a user is looked up that the configuration does not name.
type Inquiry struct {
	Place  users.Place
	Target *backend.Target
	Query  string
	Good   time.Duration // how long an answer is good
	Owner  keyring.Owner // whose the key is that the user proves to have
}

// Inquiry says where the user of a client is looked up; ok is false if nowhere.
func (s *Snapshot) Inquiry(asked Asked, name string) (q Inquiry, ok bool) {
	d := s.inquired(asked)
	if d == nil || d.query == nil || s.users[name] != nil {
		return Inquiry{}, false
	}
	n := s.primaries[d.cluster]
	if n == nil {
		return Inquiry{}, false
	}
	secret := backend.NewSecret(d.query.User, d.query.Password)
	if u := s.users[d.query.User]; d.query.Password == "" {
		if u != nil {
			secret = u.secret
		}
		secret = s.elsewhere(n, u, secret)
	}
	q = Inquiry{Place: s.place(d, asked.Database), Query: d.query.Query, Good: d.query.Good, Owner: keyring.Owner{Cluster: d.cluster, User: name}}
	t := s.target(d, n, asked.Database, d.query.User, secret)
	t.Database = q.Place.Database
	q.Target = t
	return q, true
}

// Owner says whose key it is that a client proves to have at log-in; ok is false where it opens no server.
func (s *Snapshot) Owner(asked Asked, name string) (o keyring.Owner, ok bool) {
	d, _ := s.choose(asked)
	u := s.users[name]
	if d == nil || u == nil && d.query == nil || u != nil && !u.proves {
		return keyring.Owner{}, false
	}
	return keyring.Owner{Cluster: d.cluster, User: name}, true
}
