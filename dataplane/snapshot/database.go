package snapshot

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/heliosproxy/heliosproxy/dataplane/backend"
	"github.com/heliosproxy/heliosproxy/dataplane/pool"
	"github.com/heliosproxy/heliosproxy/dataplane/state/admission"
	"github.com/heliosproxy/heliosproxy/dataplane/state/keyring"
	"github.com/heliosproxy/heliosproxy/dataplane/state/pin"
	"github.com/heliosproxy/heliosproxy/dataplane/state/settings"
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

func (a Asked) compare(b Asked) int {
	return cmp.Or(cmp.Compare(a.Database, b.Database), cmp.Compare(a.Server, b.Server))
}

// database is what clients that ask for a name, by some host names or any, get.
type database struct {
	name, server, cluster string
	profile               pool.Profile
	mode                  heliosv1.PoolMode
	modes                 map[heliosv1.PoolMode]*mode
	safe                  []string
	lost                  string // the payload of a notification that some were lost
	connect               time.Duration
	clients               int // that may be in it at once; 0: what is said for all
	query                 *AuthQuery
	forced                string          // whom all clients are at the server; empty: each himself
	secret                *backend.Secret // of forced; nil: that of the user with that name
	times                 Times
	ignore                []string
	parameters            []settings.Pair
	addHost               bool
	onConnect             string // SQL
	most                  int    // server connections, of all pools; 0: what is said for all
}

// mode is what a database says to sessions of one pool mode.
type mode struct {
	keeps   bool
	listens bool // sessions listen by a connection that listens for all
	policy  pin.Policy
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
	Times   Times
	// Ignore are the names of parameters that are dropped at log-in, and Parameters are those that a client has who asks for no others. AddHost says that the client's address is in its application_name.
	Ignore     []string
	Parameters []settings.Pair
	AddHost    bool
}

// Times are how long sessions may take for what they do. 0 is no bound.
type Times struct {
	Query, Transaction          time.Duration
	IdleTransaction, ClientIdle time.Duration
}

// AuthQuery is where users are looked up that the configuration does not name.
type AuthQuery struct {
	User, Password, Query string
	Database              string // empty: the one that the client wants
	Cluster               string // empty: the database's own
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
	a := &AuthQuery{User: q.GetUser(), Password: q.GetPassword().GetValue(), Query: q.GetQuery(), Database: q.GetDatabase(), Cluster: q.GetCluster(), Good: authQueryGood}
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
			Max: int(prof.GetMaxConnections()), Min: int(prof.GetMinConnections()),
			Reserve: int(prof.GetReserveConnections()), ReserveAfter: prof.GetReserveTimeout().AsDuration(),
			Opening: int(prof.GetMaxOpening()), Retry: prof.GetLoginRetry().AsDuration(),
			Idle: prof.GetIdleTimeout().AsDuration(), Lifetime: prof.GetMaxLifetime().AsDuration(),
			Acquire: prof.GetAcquireTimeout().AsDuration(), Notice: prof.GetWaitNotice().AsDuration(), InTurn: prof.GetServerRoundRobin(),
		},
		mode: prof.GetMode(), modes: map[heliosv1.PoolMode]*mode{},
		clients: int(d.GetMaxClients()),
		connect: prof.GetConnectTimeout().AsDuration(),
		query:   authQuery(d.GetAuthQuery()),
		safe:    prof.GetSafeFunctions(),
		lost:    prof.GetListenLost(),
		forced:  d.GetServerUser(),
		most:    int(d.GetMaxServerConnections()),
		ignore:  prof.GetIgnoreStartupParameters(), addHost: prof.GetApplicationNameAddHost(), onConnect: prof.GetConnectQuery(),
		times: Times{
			Query: prof.GetQueryTimeout().AsDuration(), Transaction: prof.GetTransactionTimeout().AsDuration(),
			IdleTransaction: prof.GetIdleTransactionTimeout().AsDuration(), ClientIdle: prof.GetClientIdleTimeout().AsDuration(),
		},
	}
	for _, name := range slices.Sorted(maps.Keys(d.GetParameters())) {
		c.parameters = append(c.parameters, settings.Pair{Name: name, Value: d.GetParameters()[name]})
	}
	if p := d.GetServerPassword().GetValue(); p != "" {
		c.secret = backend.NewSecret(c.forced, p)
	}
	for _, m := range []heliosv1.PoolMode{heliosv1.PoolMode_POOL_MODE_SESSION, heliosv1.PoolMode_POOL_MODE_TRANSACTION, heliosv1.PoolMode_POOL_MODE_STATEMENT} {
		keeps := m == heliosv1.PoolMode_POOL_MODE_SESSION
		c.modes[m] = &mode{
			keeps:   keeps,
			listens: prof.GetListen() == heliosv1.Listen_LISTEN_SHARED && !keeps,
			policy: pin.Policy{
				Guard: guards[prof.GetLeakGuard()], Pinning: pinnings[prof.GetPin()],
				OneStatement: m == heliosv1.PoolMode_POOL_MODE_STATEMENT,
				DeferBegin:   prof.GetDeferredBegin() && m == heliosv1.PoolMode_POOL_MODE_TRANSACTION,
			},
		}
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
	as, secret := s.identity(d, n, db, name)
	t := s.target(d, n, db, as, secret)
	t.ConnectQuery = d.onConnect
	m, prof, times := d.modes[d.mode], d.profile, d.times
	if u := s.users[name]; u != nil {
		if u.pool.mode != heliosv1.PoolMode_POOL_MODE_UNSPECIFIED {
			m = d.modes[u.pool.mode]
		}
		if d.forced == "" {
			u.pool.apply(&prof)
		}
		u.pool.limit(&times)
	}
	prof.Limits = pool.Limits{Node: int(n.GetMaxConnections()), Database: cmp.Or(d.most, s.most.Database), User: cmp.Or(s.mostOf[as], s.most.User)}
	return Route{
		Alias: pool.Alias{Database: db, Server: server, User: name}, Counts: admission.Database{Resource: d.name, Name: db},
		Target: t, Profile: &prof, Keeps: m.keeps, Policy: &m.policy, Safe: d.safe, Listens: m.listens, Lost: d.lost, Times: times,
		Ignore: d.ignore, Parameters: d.parameters, AddHost: d.addHost,
	}, true
}

// Ready yields what clients would ask for, and the user, of each pool that keeps connections open before a client has come: that of a
// database whose clients are one user at the server. Who else will come is not known, and a server has no places for all who might.
func (s *Snapshot) Ready(yield func(asked Asked, user string) bool) {
	for _, asked := range slices.SortedFunc(maps.Keys(s.databases), Asked.compare) {
		d := s.databases[asked]
		if asked.Database == resource.AnyDatabase || d.profile.Min == 0 || d.forced == "" || s.primaries[d.cluster] == nil {
			continue
		}
		if !yield(asked, d.forced) {
			return
		}
	}
}

// identity returns who name is at the servers of d, and what proves it to node n.
func (s *Snapshot) identity(d *database, n *heliosv1.Node, db, name string) (as string, secret *backend.Secret) {
	if d.forced != "" {
		if d.secret != nil {
			return d.forced, d.secret
		}
		name = d.forced
	}
	as, secret = s.self(d, db, name)
	if d.forced != "" {
		as = d.forced
	}
	return as, s.elsewhere(n, s.users[name], secret)
}

// self returns who name is at the servers of d where all clients are themselves, and what proves it unless its password lives elsewhere.
func (s *Snapshot) self(d *database, db, name string) (as string, secret *backend.Secret) {
	u := s.users[name]
	switch {
	case d.query != nil && (u == nil || u.brings(name)):
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
		Node: n.GetName(), Host: n.GetHost(), Port: int(n.GetPort()), Server: s.links[n.GetName()].server, Database: cmp.Or(d.server, db), User: as, Secret: secret,
		TLS: s.machine.Links[n.GetName()], Binding: s.links[n.GetName()].binding, Timeout: d.connect, UserTimeout: s.userTimeout,
		MaxStatements: s.maxHeld, MaxStatementBytes: s.Limits.StatementBytes,
	}
}

// place is where users of d are looked up by a client that wants db.
func (s *Snapshot) place(d *database, db string) users.Place {
	return users.Place{Cluster: cmp.Or(d.query.Cluster, d.cluster), Database: cmp.Or(d.query.Database, d.server, db), Query: d.query.Query, As: d.query.User}
}

// brings says whether what a database knows of him, or what he proves there, is all that opens servers for the user of this name.
func (u *user) brings(name string) bool {
	return u.looked && !u.said && u.passwords == nil && u.server == name
}

// Inquiry is where a user is looked up who has no secret in the configuration.
type Inquiry struct {
	For    string // the database that the client has named
	Place  users.Place
	Target *backend.Target
	Query  string
	Good   time.Duration // how long an answer is good
	Owner  keyring.Owner // whose the key is that the user proves to have
}

// Inquiry says where the user of a client is looked up; ok is false if nowhere.
func (s *Snapshot) Inquiry(asked Asked, name string) (q Inquiry, ok bool) {
	d := s.inquired(asked)
	if u := s.users[name]; d == nil || d.query == nil || u != nil && !u.looked {
		return Inquiry{}, false
	}
	n := s.primaries[cmp.Or(d.query.Cluster, d.cluster)]
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
	q = Inquiry{For: asked.Database, Place: s.place(d, asked.Database), Query: d.query.Query, Good: d.query.Good, Owner: keyring.Owner{Cluster: d.cluster, User: name}}
	t := s.target(d, n, asked.Database, d.query.User, secret)
	t.Database = q.Place.Database
	q.Target = t
	return q, true
}

// Owner says whose key it is that a client proves to have at log-in; ok is false where it opens no server.
func (s *Snapshot) Owner(asked Asked, name string) (o keyring.Owner, ok bool) {
	d, _ := s.choose(asked)
	u := s.users[name]
	if d == nil || u != nil && !u.proves && !u.brings(name) || d.query == nil && (u == nil || u.looked) {
		return keyring.Owner{}, false
	}
	return keyring.Owner{Cluster: d.cluster, User: name}, true
}
