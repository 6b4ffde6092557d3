// Package snapshot is a configuration compiled into what the walk uses: immutable, swapped whole. It never does I/O and never owns a connection.
package snapshot

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io/fs"
	"slices"
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
	"github.com/heliosproxy/heliosproxy/dataplane/state/hosts"
	"github.com/heliosproxy/heliosproxy/dataplane/state/keyring"
	"github.com/heliosproxy/heliosproxy/dataplane/state/users"
	"github.com/heliosproxy/heliosproxy/pkg/passwords"
	"github.com/heliosproxy/heliosproxy/pkg/pgmd5"
	"github.com/heliosproxy/heliosproxy/pkg/proxyproto"
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
	Resolver   Resolver

	maxHeld     int
	userTimeout time.Duration  // of servers
	most        pool.Limits    // where a database and a user say nothing
	mostOf      map[string]int // server connections of a user at the server
	databases   map[Asked]*database
	users       map[string]*user
	primaries   map[string]*heliosv1.Node // by cluster
	links       map[string]*link          // by node
	sources     []Source
	machine     Machine
}

// link is how connections to a node are made.
type link struct {
	tls       tlsconf.ClientSpec
	binding   scram.ChannelBinding
	passwords []*heliosv1.PasswordSource // the node's and its cluster's
	hosts     []resource.Host
	spread    bool          // connections over these
	server    *hosts.Server // where these are
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
	// Hosts knows where those of nodes are; nil: none of them is a name.
	Hosts *hosts.Book
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
	for _, l := range s.links {
		if m.Hosts == nil {
			l.server = hosts.Fixed(l.hosts, l.spread)
		} else {
			l.server = m.Hosts.Server(l.hosts, l.spread)
		}
	}
	for _, l := range s.Listeners {
		if l.Program != nil {
			l.Door.Judge = m.Programs.Judge(*l.Program)
		}
	}
}

// Admission is who has to wait outside.
type Admission struct {
	LoginTimeout time.Duration
	// ClientTimeout is how long a client may leave unacknowledged what it was sent; 0 leaves it to the kernel.
	ClientTimeout time.Duration
	Patience      admission.Patience
	Waiting       int              // log-ins that may wait for a place to compute
	bounds        admission.Bounds // where the database and the user say nothing
}

// Listener is a door and its rule.
type Listener struct {
	Name    string
	Address string
	Door    *auth.Door
	TLS     tlsconf.ServerSpec
	Program *judge.Spec        // that judges passwords; nil: there is none
	Senders proxyproto.Senders // who begin with a header of PROXY protocol
	Shared  bool               // other processes may listen there
	Mode    fs.FileMode        // of a unix socket; 0: nothing is said
	Group   string             // of a unix socket; empty: the process's
}

type user struct {
	auth      *users.User
	looked    bool // nobody logs in by this: a database knows him, or a method asks for no secret
	clients   int  // that may be him at once; 0: what is said for all
	server    string
	secret    *backend.Secret          // that opens servers: a password or an md5 hash
	proves    bool                     // there is none: what the client proves to have opens servers
	said      bool                     // the secret is said for servers, and goes before what clusters and nodes say
	passwords *heliosv1.PasswordSource // goes before that too; nil: there is none
	pool      overrides
	most      int // server connections, of all pools; 0: what is said for all
}

// Compile compiles a validated set.
func Compile(set *resource.Set, generation uint64) (*Snapshot, error) {
	s := &Snapshot{
		Generation: generation,
		Listeners:  map[string]*Listener{},
		Pipeline:   pipeline.New(&classify.Stage{}, &route.Stage{}),
		databases:  map[Asked]*database{},
		users:      map[string]*user{},
		mostOf:     map[string]int{},
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
	s.Resolver = resolverOf(set.Resolvers[resource.ResolverName])
	s.Console = consoleOf(set.Consoles[resource.ConsoleName])
	s.most = pool.Limits{Database: int(l.GetMaxServerConnectionsPerDatabase()), User: int(l.GetMaxServerConnectionsPerUser())}
	s.userTimeout = l.GetServerWriteTimeout().AsDuration()
	s.maxHeld = int(l.GetMaxPreparedPerServer())
	for name, x := range set.Listeners {
		rules, maps, problems := resource.Rules(x)
		if len(problems) > 0 {
			return nil, fmt.Errorf("Listener %q: %s", name, problems[0])
		}
		senders, err := proxyproto.ParseSenders(x.GetProxyProtocol())
		if err != nil {
			return nil, fmt.Errorf("Listener %q: proxy_protocol: %w", name, err)
		}
		mode, err := resource.SocketMode(x)
		if err != nil {
			return nil, fmt.Errorf("Listener %q: socket_mode: %w", name, err)
		}
		spec := resource.TowardsClients(x.GetTls())
		s.Listeners[name] = &Listener{
			Name: name, Address: x.GetAddress(), TLS: spec,
			Door:    &auth.Door{Method: methods[set.AuthOf(x)], Rules: rules, Maps: maps, Named: spec.Mode == tlsconf.VerifyFull},
			Program: programOf(x.GetProgram()), Senders: senders, Shared: x.GetSoReuseport(), Mode: mode, Group: x.GetSocketGroup(),
		}
	}
	for _, n := range set.Nodes {
		if n.GetRole() == heliosv1.NodeRole_NODE_ROLE_PRIMARY && (n.Enabled == nil || n.GetEnabled()) {
			s.primaries[n.GetCluster()] = n
		}
		l := &link{spread: n.GetLoadBalanceHosts() == heliosv1.LoadBalanceHosts_LOAD_BALANCE_HOSTS_ROUND_ROBIN}
		var err error
		if l.hosts, err = resource.Hosts(n.GetHost(), n.GetPort()); err != nil {
			return nil, fmt.Errorf("node %q: host: %w", n.GetName(), err)
		}
		l.tls, l.binding = resource.TowardsServers(set.Clusters[n.GetCluster()], n)
		l.passwords = []*heliosv1.PasswordSource{n.GetPasswords(), set.Clusters[n.GetCluster()].GetPasswords()}
		s.links[n.GetName()] = l
	}
	for name, d := range set.Databases {
		if err := s.compileDatabase(name, d, set); err != nil {
			return nil, err
		}
	}
	for name, u := range set.Users {
		cu, err := compileUser(u)
		if err != nil {
			return nil, fmt.Errorf("user %q: %w", name, err)
		}
		s.users[name] = cu
		if cu.most > 0 {
			s.mostOf[cu.server] = cu.most
		}
	}
	for _, l := range s.Listeners {
		l.Door.Hashes = s.hashes()
	}
	s.sources = sources(set, s.primaries)
	return s, nil
}

// hashes says whether users have secrets, and none of them a SCRAM verifier: then that is what those are taken to have who are not there.
func (s *Snapshot) hashes() (some bool) {
	for _, u := range s.users {
		switch {
		case u.auth.HasVerifier():
			return false
		case u.auth.Secret() != "":
			some = true
		}
	}
	return some
}

func admissionOf(l *heliosv1.Limits) Admission {
	return Admission{
		LoginTimeout:  l.GetLoginTimeout().AsDuration(),
		ClientTimeout: l.GetClientWriteTimeout().AsDuration(),
		Patience:      admission.Patience{Max: int(l.GetMaxFailedLogins()), Within: l.GetFailedLoginWindow().AsDuration()},
		Waiting:       int(l.GetMaxWaitingLogins()),
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

func compileUser(u *heliosv1.User) (*user, error) {
	secret := u.GetSecret().GetValue()
	a, err := users.New(u.GetName(), secret)
	if err != nil {
		return nil, err
	}
	c, opens := &user{auth: a, looked: u.GetLookedUp(), server: u.GetServerUser(), clients: int(u.GetMaxClients()), passwords: u.GetServerPasswords(), pool: overridesOf(u.GetPool()), most: int(u.GetMaxServerConnections())}, u.GetServerPassword().GetValue()
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

// User returns who may log in under the name by the configuration alone; nil if nobody may.
func (s *Snapshot) User(name string) *users.User {
	if u := s.users[name]; u != nil && !u.looked {
		return u.auth
	}
	return nil
}

// Lacks says whether a user or a database of an older snapshot is not in this one.
func (s *Snapshot) Lacks(old *Snapshot) bool {
	for name := range old.users {
		if s.users[name] == nil {
			return true
		}
	}
	for asked := range old.databases {
		if s.databases[asked] == nil {
			return true
		}
	}
	return false
}

// Primaries yields each cluster's primary, and where it is. The snapshot is equipped.
func (s *Snapshot) Primaries(yield func(name string, at *hosts.Server)) {
	for _, n := range s.primaries {
		yield(n.GetName(), s.links[n.GetName()].server)
	}
}

// Servers yields where each node is. The snapshot is equipped.
func (s *Snapshot) Servers(yield func(at *hosts.Server) bool) {
	for _, l := range s.links {
		if !yield(l.server) {
			return
		}
	}
}

// Resolver is how the names of hosts are looked up.
type Resolver struct {
	ResolvConf string // empty: the machine's own
	Policy     hosts.Policy
}

func resolverOf(x *heliosv1.Resolver) Resolver {
	return Resolver{x.GetResolvConf(), hosts.Policy{
		MaxTTL: x.GetMaxTtl().AsDuration(), NoneTTL: x.GetNoneTtl().AsDuration(), ZonePeriod: x.GetZoneCheckPeriod().AsDuration(),
	}}
}

// NewSecret makes a secret that mock salts are derived from.
func NewSecret() string {
	var b [32]byte
	rand.Read(b[:])
	return hex.EncodeToString(b[:])
}
