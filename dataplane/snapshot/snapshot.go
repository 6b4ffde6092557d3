// Package snapshot is a configuration compiled into what the walk uses: immutable, swapped whole. It never does I/O and never owns a connection.
package snapshot

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/heliosproxy/heliosproxy/dataplane/auth"
	"github.com/heliosproxy/heliosproxy/dataplane/backend"
	"github.com/heliosproxy/heliosproxy/dataplane/judge"
	"github.com/heliosproxy/heliosproxy/dataplane/pipeline"
	"github.com/heliosproxy/heliosproxy/dataplane/pipeline/classify"
	"github.com/heliosproxy/heliosproxy/dataplane/pipeline/route"
	"github.com/heliosproxy/heliosproxy/dataplane/pool"
	"github.com/heliosproxy/heliosproxy/dataplane/session"
	"github.com/heliosproxy/heliosproxy/dataplane/state/admission"
	"github.com/heliosproxy/heliosproxy/dataplane/state/keyring"
	"github.com/heliosproxy/heliosproxy/dataplane/state/pin"
	"github.com/heliosproxy/heliosproxy/dataplane/state/users"
	"github.com/heliosproxy/heliosproxy/pkg/passwords"
	"github.com/heliosproxy/heliosproxy/pkg/pgmd5"
	"github.com/heliosproxy/heliosproxy/pkg/resource"
	"github.com/heliosproxy/heliosproxy/pkg/scram"
	"github.com/heliosproxy/heliosproxy/pkg/tlsconf"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// Snapshot is a compiled configuration.
type Snapshot struct {
	Generation uint64
	Listeners  map[string]*Listener
	Pipeline   *pipeline.Runner
	Limits     session.Limits
	Admission  Admission
	Console    Console

	maxHeld   int
	databases map[string]*database
	users     map[string]*user
	primaries map[string]*heliosv1.Node // by cluster
	links     map[string]*link          // by node
	sources   []Source
	machine   Machine
}

// link is how connections to a node are made.
type link struct {
	tls       tlsconf.ClientSpec
	binding   scram.ChannelBinding
	passwords []*heliosv1.PasswordSource // the node's and its cluster's
}

// Machine is what a configuration needs that is the machine's, and outlives configurations.
type Machine struct {
	Links map[string]*tlsconf.Client // TLS towards nodes, by name; what is not there is without
	Ring  *keyring.Ring              // what users have proved to have
	Users *users.Book                // what databases say of their users
	// Passwords finds those that live elsewhere.
	Passwords *passwords.Finder
	// Programs judge what clients give for a proof.
	Programs *judge.Programs
}

// Links yields the TLS of all nodes that are connected to.
func (s *Snapshot) Links(yield func(node string, spec tlsconf.ClientSpec) bool) {
	for _, n := range s.primaries {
		if l := s.links[n.GetName()]; !yield(n.GetName(), l.tls) {
			return
		}
	}
}

// Equip gives the snapshot what it needs of the machine, before it is used.
func (s *Snapshot) Equip(m Machine) {
	s.machine = m
	for _, l := range s.Listeners {
		if l.Program != nil {
			l.Door.Judge = m.Programs.Judge(*l.Program)
		}
	}
}

// Admission is who has to wait outside.
type Admission struct {
	LoginTimeout time.Duration
	Patience     admission.Patience
	Waiting      int              // log-ins that may wait for a place to compute
	bounds       admission.Bounds // where the database and the user say nothing
}

// Bounds are how many clients may be in at once, for one that wants to be user name in db.
func (s *Snapshot) Bounds(db, name string) admission.Bounds {
	b := s.Admission.bounds
	if d := s.database(db); d != nil && d.clients > 0 {
		b.Database = d.clients
	}
	if u := s.users[name]; u != nil && u.clients > 0 {
		b.User = u.clients
	}
	return b
}

// Listener is a door and its rule.
type Listener struct {
	Name    string
	Address string
	Door    *auth.Door
	TLS     tlsconf.ServerSpec
	Program *judge.Spec // that judges passwords; nil: there is none
}

// database is a name that clients connect to.
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

// AuthQuery is where users are looked up that the configuration does not name.
type AuthQuery struct {
	User, Password, Query string
	Database              string // empty: the one that the client wants
	Good                  time.Duration
}

type user struct {
	auth      *users.User
	clients   int // that may be him at once; 0: what is said for all
	server    string
	secret    *backend.Secret          // that opens servers: a password or an md5 hash
	proves    bool                     // there is none: what the client proves to have opens servers
	said      bool                     // the secret is said for servers, and goes before what clusters and nodes say
	passwords *heliosv1.PasswordSource // goes before that too; nil: there is none
}

// Route is where the statements of a database and user go.
type Route struct {
	Target  *backend.Target
	Profile *pool.Profile
	Keeps   bool // pool mode session
	Policy  *pin.Policy
	Safe    []string // functions that are declared to leave nothing behind
	// Listens says that sessions listen by a connection that listens for all, and Lost is the payload of the notification by
	// which they are told that some were lost; empty: there is none.
	Listens bool
	Lost    string
}

// Compile compiles a validated set.
func Compile(set *resource.Set, generation uint64) (*Snapshot, error) {
	s := &Snapshot{
		Generation: generation,
		Listeners:  map[string]*Listener{},
		Pipeline:   pipeline.New(&classify.Stage{}, &route.Stage{}),
		databases:  map[string]*database{},
		users:      map[string]*user{},
		primaries:  map[string]*heliosv1.Node{},
		links:      map[string]*link{},
	}
	l := set.Limits[resource.LimitsName]
	s.Limits = session.Limits{
		Statements:     int(l.GetMaxPreparedStatements()),
		StatementBytes: int(l.GetMaxPreparedBytes()),
		TextBytes:      int(l.GetMaxStatementBytes()),
	}
	s.Admission = admissionOf(l)
	s.Console = consoleOf(set.Consoles[resource.ConsoleName])
	s.maxHeld = int(l.GetMaxPreparedPerServer())
	for name, x := range set.Listeners {
		rules, maps, problems := resource.Rules(x)
		if len(problems) > 0 {
			return nil, fmt.Errorf("Listener %q: %s", name, problems[0])
		}
		spec := resource.TowardsClients(x.GetTls())
		s.Listeners[name] = &Listener{
			Name: name, Address: x.GetAddress(), TLS: spec,
			Door:    &auth.Door{Method: methods[x.GetAuth()], Rules: rules, Maps: maps, Named: spec.Mode == tlsconf.VerifyFull},
			Program: programOf(x.GetProgram()),
		}
	}
	for _, n := range set.Nodes {
		if n.GetRole() == heliosv1.NodeRole_NODE_ROLE_PRIMARY && (n.Enabled == nil || n.GetEnabled()) {
			s.primaries[n.GetCluster()] = n
		}
		l := &link{}
		l.tls, l.binding = resource.TowardsServers(set.Clusters[n.GetCluster()], n)
		l.passwords = []*heliosv1.PasswordSource{n.GetPasswords(), set.Clusters[n.GetCluster()].GetPasswords()}
		s.links[n.GetName()] = l
	}
	for name, d := range set.Databases {
		prof := set.PoolProfiles[d.GetPoolProfile()]
		if prof == nil {
			return nil, fmt.Errorf("Database %q: there is no PoolProfile %q", name, d.GetPoolProfile())
		}
		s.databases[name] = &database{
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
	}
	for name, u := range set.Users {
		cu, err := compileUser(u)
		if err != nil {
			return nil, fmt.Errorf("user %q: %w", name, err)
		}
		s.users[name] = cu
	}
	s.sources = sources(set, s.primaries)
	return s, nil
}

func admissionOf(l *heliosv1.Limits) Admission {
	return Admission{
		LoginTimeout: l.GetLoginTimeout().AsDuration(),
		Patience:     admission.Patience{Max: int(l.GetMaxFailedLogins()), Within: l.GetFailedLoginWindow().AsDuration()},
		Waiting:      int(l.GetMaxWaitingLogins()),
		bounds: admission.Bounds{
			All: int(l.GetMaxClients()), Address: int(l.GetMaxClientsPerAddress()),
			Database: int(l.GetMaxClientsPerDatabase()), User: int(l.GetMaxClientsPerUser()),
		},
	}
}

var methods = map[heliosv1.AuthMethod]auth.Method{
	heliosv1.AuthMethod_AUTH_METHOD_UNSPECIFIED: auth.LocalOnly,
	heliosv1.AuthMethod_AUTH_METHOD_TRUST:       auth.Trust,
	heliosv1.AuthMethod_AUTH_METHOD_PASSWORD:    auth.Password,
	heliosv1.AuthMethod_AUTH_METHOD_MD5:         auth.MD5,
	heliosv1.AuthMethod_AUTH_METHOD_SCRAM:       auth.SCRAM,
	heliosv1.AuthMethod_AUTH_METHOD_SCRAM_PLUS:  auth.SCRAMPlus,
	heliosv1.AuthMethod_AUTH_METHOD_CERT:        auth.Cert,
	heliosv1.AuthMethod_AUTH_METHOD_PEER:        auth.Peer,
	heliosv1.AuthMethod_AUTH_METHOD_PROGRAM:     auth.Judged,
}

func programOf(x *heliosv1.Program) *judge.Spec {
	if x == nil {
		return nil
	}
	return &judge.Spec{Command: slices.Clone(x.GetCommand()), Timeout: resource.ProgramTimeout(x)}
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

func compileUser(u *heliosv1.User) (*user, error) {
	secret := u.GetSecret().GetValue()
	a, err := users.New(u.GetName(), secret)
	if err != nil {
		return nil, err
	}
	c, opens := &user{auth: a, server: u.GetServerUser(), clients: int(u.GetMaxClients()), passwords: u.GetServerPasswords()}, u.GetServerPassword().GetValue()
	c.said = opens != ""
	if c.server == "" {
		c.server = u.GetName()
	}
	if opens == "" && !scram.IsVerifier(secret) && (c.server == u.GetName() || !pgmd5.IsHash(secret)) {
		opens = secret
	}
	c.proves = opens == "" && scram.IsVerifier(secret) && c.server == u.GetName()
	c.secret = backend.NewSecret(u.GetName(), opens)
	return c, nil
}

// Inherit takes over what old knows of users whose secret is the same: the keys of a password take milliseconds to make.
func (s *Snapshot) Inherit(old *Snapshot) {
	for name, u := range s.users {
		if o := old.users[name]; o != nil && o.auth.Secret() == u.auth.Secret() {
			u.auth = o.auth
		}
	}
}

// Unstretched yields the users who have a password whose keys are not made yet. Any thread may call it.
func (s *Snapshot) Unstretched(yield func(*users.User) bool) {
	for _, u := range s.users {
		if u.auth.Secret() != "" && !u.auth.HasMD5() && u.auth.Keys() == nil && !yield(u.auth) {
			return
		}
	}
}

// User returns who may log in under the name; nil if nobody may.
func (s *Snapshot) User(name string) *users.User {
	if u := s.users[name]; u != nil {
		return u.auth
	}
	return nil
}

// Database says whether clients may connect to the database.
func (s *Snapshot) Database(name string) bool { return s.database(name) != nil }

func (s *Snapshot) database(name string) *database {
	if resource.IsConsole(name) {
		return nil
	}
	if d := s.databases[name]; d != nil {
		return d
	}
	return s.databases["*"]
}

// Route returns where statements of user in database go; ok is false where the database is not there.
func (s *Snapshot) Route(db, name string) (r Route, ok bool) {
	d := s.database(db)
	if d == nil {
		return Route{}, false
	}
	n := s.primaries[d.cluster]
	if n == nil {
		return Route{}, false
	}
	as, secret := s.identity(d, db, name)
	return Route{
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
	at := db
	if d.server != "" {
		at = d.server
	}
	return &backend.Target{
		Node: n.GetName(), Host: n.GetHost(), Port: int(n.GetPort()), Database: at, User: as, Secret: secret,
		TLS: s.machine.Links[n.GetName()], Binding: s.links[n.GetName()].binding, Timeout: d.connect,
		MaxStatements: s.maxHeld, MaxStatementBytes: s.Limits.StatementBytes,
	}
}

// place is where users of d are looked up by a client that wants db.
func (s *Snapshot) place(d *database, db string) users.Place {
	if d.query.Database != "" {
		db = d.query.Database
	} else if d.server != "" {
		db = d.server
	}
	return users.Place{Cluster: d.cluster, Database: db, Query: d.query.Query, As: d.query.User}
}

// Inquiry is where a user is looked up that the configuration does not name.
type Inquiry struct {
	Place  users.Place
	Target *backend.Target
	Query  string
	Good   time.Duration // how long an answer is good
	Owner  keyring.Owner // whose the key is that the user proves to have
}

// Inquiry says where the user of a client that wants db is looked up; ok is false if nowhere.
func (s *Snapshot) Inquiry(db, name string) (q Inquiry, ok bool) {
	d := s.asked(db)
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
	q = Inquiry{Place: s.place(d, db), Query: d.query.Query, Good: d.query.Good, Owner: keyring.Owner{Cluster: d.cluster, User: name}}
	t := s.target(d, n, db, d.query.User, secret)
	t.Database = q.Place.Database
	q.Target = t
	return q, true
}

// Owner says whose key it is that a client proves to have at log-in; ok is false where it opens no server.
func (s *Snapshot) Owner(db, name string) (o keyring.Owner, ok bool) {
	d, u := s.database(db), s.users[name]
	if d == nil || u == nil && d.query == nil || u != nil && !u.proves {
		return keyring.Owner{}, false
	}
	return keyring.Owner{Cluster: d.cluster, User: name}, true
}

// Lacks says whether a user or a database of an older snapshot is not in this one.
func (s *Snapshot) Lacks(old *Snapshot) bool {
	for name := range old.users {
		if s.users[name] == nil {
			return true
		}
	}
	for name := range old.databases {
		if s.databases[name] == nil {
			return true
		}
	}
	return false
}

// Primaries yields name, host and port of each cluster's primary.
func (s *Snapshot) Primaries(yield func(name, host, port string)) {
	for _, n := range s.primaries {
		yield(n.GetName(), n.GetHost(), strconv.Itoa(int(n.GetPort())))
	}
}

// NewSecret makes a secret that mock salts are derived from.
func NewSecret() string {
	var b [32]byte
	rand.Read(b[:])
	return hex.EncodeToString(b[:])
}
