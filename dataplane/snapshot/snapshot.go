// Package snapshot is a configuration compiled into what the walk uses: immutable, swapped whole. It never does I/O and never owns a connection.
package snapshot

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"strconv"
	"time"

	"github.com/heliosproxy/heliosproxy/dataplane/auth"
	"github.com/heliosproxy/heliosproxy/dataplane/backend"
	"github.com/heliosproxy/heliosproxy/dataplane/pipeline"
	"github.com/heliosproxy/heliosproxy/dataplane/pipeline/classify"
	"github.com/heliosproxy/heliosproxy/dataplane/pipeline/route"
	"github.com/heliosproxy/heliosproxy/dataplane/pool"
	"github.com/heliosproxy/heliosproxy/dataplane/session"
	"github.com/heliosproxy/heliosproxy/dataplane/state/pin"
	"github.com/heliosproxy/heliosproxy/pkg/pgmd5"
	"github.com/heliosproxy/heliosproxy/pkg/resource"
	"github.com/heliosproxy/heliosproxy/pkg/scram"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// Snapshot is a compiled configuration.
type Snapshot struct {
	Generation uint64
	Listeners  map[string]*Listener
	Pipeline   *pipeline.Runner
	Limits     session.Limits

	maxHeld   int
	databases map[string]*database
	users     map[string]*user
	primaries map[string]*heliosv1.Node // by cluster
}

// Listener is a door and its rule.
type Listener struct {
	Name    string
	Address string
	Auth    auth.Method
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
}

type user struct {
	auth   *auth.User
	server string
	secret *backend.Secret // that opens servers: a password or an md5 hash
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
	}
	l := set.Limits[resource.LimitsName]
	s.Limits = session.Limits{
		Statements:     int(l.GetMaxPreparedStatements()),
		StatementBytes: int(l.GetMaxPreparedBytes()),
		TextBytes:      int(l.GetMaxStatementBytes()),
	}
	s.maxHeld = int(l.GetMaxPreparedPerServer())
	for name, x := range set.Listeners {
		s.Listeners[name] = &Listener{Name: name, Address: x.GetAddress(), Auth: methods[x.GetAuth()]}
	}
	for _, n := range set.Nodes {
		if n.GetRole() == heliosv1.NodeRole_NODE_ROLE_PRIMARY && (n.Enabled == nil || n.GetEnabled()) {
			s.primaries[n.GetCluster()] = n
		}
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
			connect: prof.GetConnectTimeout().AsDuration(),
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
	return s, nil
}

var methods = map[heliosv1.AuthMethod]auth.Method{
	heliosv1.AuthMethod_AUTH_METHOD_UNSPECIFIED: auth.LocalOnly,
	heliosv1.AuthMethod_AUTH_METHOD_TRUST:       auth.Trust,
	heliosv1.AuthMethod_AUTH_METHOD_PASSWORD:    auth.Password,
	heliosv1.AuthMethod_AUTH_METHOD_MD5:         auth.MD5,
	heliosv1.AuthMethod_AUTH_METHOD_SCRAM:       auth.SCRAM,
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
	a, err := auth.NewUser(u.GetName(), secret)
	if err != nil {
		return nil, err
	}
	c, opens := &user{auth: a, server: u.GetServerUser()}, u.GetServerPassword().GetValue()
	if c.server == "" {
		c.server = u.GetName()
	}
	if opens == "" && !scram.IsVerifier(secret) && (c.server == u.GetName() || !pgmd5.IsHash(secret)) {
		opens = secret
	}
	c.secret = backend.NewSecret(u.GetName(), opens)
	return c, nil
}

// User returns who may log in under the name; nil if nobody may.
func (s *Snapshot) User(name string) *auth.User {
	if u := s.users[name]; u != nil {
		return u.auth
	}
	return nil
}

// Database says whether clients may connect to the database.
func (s *Snapshot) Database(name string) bool { return s.database(name) != nil }

func (s *Snapshot) database(name string) *database {
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
	at := db
	if d.server != "" {
		at = d.server
	}
	as := name
	var secret *backend.Secret
	if u := s.users[name]; u != nil {
		as, secret = u.server, u.secret
	} else {
		secret = backend.NewSecret(name, "")
	}
	return Route{
		Target: &backend.Target{
			Node: n.GetName(), Host: n.GetHost(), Port: int(n.GetPort()), Database: at, User: as,
			Secret: secret, Timeout: d.connect,
			MaxStatements: s.maxHeld, MaxStatementBytes: s.Limits.StatementBytes,
		},
		Profile: &d.profile,
		Keeps:   d.keeps,
		Policy:  &d.policy,
		Safe:    d.safe,
		Listens: d.listens,
		Lost:    d.lost,
	}, true
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
