package resource_test

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/heliosproxy/heliosproxy/pkg/resource"
	"github.com/heliosproxy/heliosproxy/pkg/scram"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

const canary = "s3cr3t-canary"

// valid is a set with every kind in it.
func valid() *resource.Set {
	keys, _ := scram.NewKeys(canary)
	return &resource.Set{
		Clusters: map[string]*heliosv1.Cluster{"c": {Name: "c"}},
		Nodes: map[string]*heliosv1.Node{
			"a": {Name: "a", Cluster: "c", Host: "pg-1.internal", Port: 5432, Role: heliosv1.NodeRole_NODE_ROLE_PRIMARY},
			"b": {Name: "b", Cluster: "c", Host: "/run/postgresql", Port: 5432, Role: heliosv1.NodeRole_NODE_ROLE_STANDBY, Sync: true},
		},
		PoolProfiles: map[string]*heliosv1.PoolProfile{"p": {
			Name: "p", Mode: heliosv1.PoolMode_POOL_MODE_TRANSACTION, MaxConnections: 20,
			AcquireTimeout: durationpb.New(time.Second), ConnectTimeout: durationpb.New(time.Second),
		}},
		Listeners: map[string]*heliosv1.Listener{
			"tcp":  {Name: "tcp", Address: "127.0.0.1:6432", Auth: heliosv1.AuthMethod_AUTH_METHOD_SCRAM},
			"unix": {Name: "unix", Address: "unix:/run/helios/.s.PGSQL.6432"},
		},
		Databases: map[string]*heliosv1.Database{"*": {Name: "*", Cluster: "c", PoolProfile: "p"}},
		Users: map[string]*heliosv1.User{
			"u": {Name: "u", Secret: &heliosv1.Secret{Value: canary}},
			"v": {Name: "v", Secret: &heliosv1.Secret{Value: keys.String()}, ServerUser: "w", ServerPassword: &heliosv1.Secret{Value: canary}},
		},
		Limits:   map[string]*heliosv1.Limits{"default": {Name: "default", MaxPreparedStatements: 1, MaxPreparedPerServer: 1, MaxPreparedBytes: 1, MaxStatementBytes: 1, MaxWaitingLogins: 1, LoginTimeout: durationpb.New(time.Second), FailedLoginWindow: durationpb.New(time.Second)}},
		Consoles: map[string]*heliosv1.Console{"default": {Name: "default", AdminUsers: []string{"u"}}},
	}
}

func TestValid(t *testing.T) {
	if err := valid().Validate(); err != nil {
		t.Fatal(err)
	}
}

// TestValidate breaks a valid set in one place each and wants that place named, and nothing else.
func TestValidate(t *testing.T) {
	for _, tt := range []struct {
		want   string
		damage func(*resource.Set)
	}{
		{`Cluster "c": no node is an enabled primary`, func(s *resource.Set) { s.Nodes["a"].Enabled = proto.Bool(false) }},
		{`Cluster "c": one primary may be enabled, not a and b`, func(s *resource.Set) { s.Nodes["b"].Role = heliosv1.NodeRole_NODE_ROLE_PRIMARY }},
		{`Cluster "": no node is an enabled primary`, func(s *resource.Set) { s.Clusters[""] = &heliosv1.Cluster{} }},
		{`Node "b": cluster: there is no Cluster "d"`, func(s *resource.Set) { s.Nodes["b"].Cluster = "d" }},
		{`Node "b": cluster: missing`, func(s *resource.Set) { s.Nodes["b"].Cluster = "" }},
		{`Node "b": name: "x" is stored as "b"`, func(s *resource.Set) { s.Nodes["b"].Name = "x" }},
		{`Node "b": missing`, func(s *resource.Set) { s.Nodes["b"] = nil }},
		{`Node "b": host: missing`, func(s *resource.Set) { s.Nodes["b"].Host = "" }},
		{`Node "b": host: "h:65536": "65536" is not a port`, func(s *resource.Set) { s.Nodes["b"].Host = "h:65536" }},
		{`Node "b": host: "[10.0.0.1]" is no address of IPv6 in brackets`, func(s *resource.Set) { s.Nodes["b"].Host = "[10.0.0.1]" }},
		{`Node "b": host: "" is neither a host name, nor an IP address, nor an absolute path`, func(s *resource.Set) { s.Nodes["b"].Host = "h,,i" }},
		{`Node "b": host: there are more than 32 hosts`, func(s *resource.Set) { s.Nodes["b"].Host = strings.Repeat("h,", 32) + "h" }},
		{`Listener "unix": so_reuseport: a unix socket is one process's`, func(s *resource.Set) {
			s.Listeners["unix"].SoReuseport = true
		}},
		{`Listener "unix": socket_mode: "0888" is no mode of a file in octal digits, as 0770`, func(s *resource.Set) { s.Listeners["unix"].SocketMode = "0888" }},
		{`Listener "unix": socket_mode: "0" is no mode of a file in octal digits, as 0770`, func(s *resource.Set) { s.Listeners["unix"].SocketMode = "0" }},
		{`Listener "unix": socket_mode: "4777" is no mode of a file in octal digits, as 0770`, func(s *resource.Set) { s.Listeners["unix"].SocketMode = "4777" }},
		{`Listener "tcp": socket_mode: is for unix sockets`, func(s *resource.Set) { s.Listeners["tcp"].SocketMode = "0770" }},
		{`Listener "tcp": socket_group: is for unix sockets`, func(s *resource.Set) { s.Listeners["tcp"].SocketGroup = "x" }},
		{`Listener "tcp": proxy_protocol: "localhost" is neither an IP address, nor a network as 10.0.0.0/8, nor unix`, func(s *resource.Set) {
			s.Listeners["tcp"].ProxyProtocol = []string{"unix", "localhost"}
		}},
		{`Resolver "r": name: must be "default"`, func(s *resource.Set) {
			s.Resolvers = map[string]*heliosv1.Resolver{"r": {Name: "r"}}
		}},
		{`Resolver "default": resolv_conf: "resolv.conf" is not an absolute path`, func(s *resource.Set) {
			s.Resolvers = map[string]*heliosv1.Resolver{"default": {Name: "default", ResolvConf: "resolv.conf"}}
		}},
		{`Resolver "default": max_ttl: -1ms is negative`, func(s *resource.Set) {
			s.Resolvers = map[string]*heliosv1.Resolver{"default": {Name: "default", MaxTtl: durationpb.New(-time.Millisecond)}}
		}},
		{`Resolver "default": zone_check_period: 8761h0m0s is longer than a year`, func(s *resource.Set) {
			s.Resolvers = map[string]*heliosv1.Resolver{"default": {Name: "default", ZoneCheckPeriod: durationpb.New((365*24 + 1) * time.Hour)}}
		}},
		{`Node "b": host: a host has no NUL byte`, func(s *resource.Set) { s.Nodes["b"].Host = "/run\x00" }},
		{`Node "b": port: 0 is not a port`, func(s *resource.Set) { s.Nodes["b"].Port = 0 }},
		{`Node "b": port: 65536 is not a port`, func(s *resource.Set) { s.Nodes["b"].Port = 65536 }},
		{`Node "b": role: missing`, func(s *resource.Set) { s.Nodes["b"].Role = 0 }},
		{`Node "b": role: 9 is not a role`, func(s *resource.Set) { s.Nodes["b"].Role = 9 }},
		{`Node "b": load_balance_hosts: 3 is not a way to spread connections`, func(s *resource.Set) { s.Nodes["b"].LoadBalanceHosts = 3 }},
		{`PoolProfile "p": mode: missing`, func(s *resource.Set) { s.PoolProfiles["p"].Mode = 0 }},
		{`PoolProfile "p": mode: 9 is not a pool mode`, func(s *resource.Set) { s.PoolProfiles["p"].Mode = 9 }},
		{`PoolProfile "p": max_connections: must be at least 1`, func(s *resource.Set) { s.PoolProfiles["p"].MaxConnections = 0 }},
		{`PoolProfile "p": idle_timeout: -1s is negative`, func(s *resource.Set) { s.PoolProfiles["p"].IdleTimeout = durationpb.New(-time.Second) }},
		{`PoolProfile "p": idle_timeout: 8761h0m0s is longer than a year`, func(s *resource.Set) { s.PoolProfiles["p"].IdleTimeout = durationpb.New(8761 * time.Hour) }},
		{`PoolProfile "p": idle_timeout: is not a duration`, func(s *resource.Set) { s.PoolProfiles["p"].IdleTimeout = &durationpb.Duration{Nanos: -1, Seconds: 1} }},
		{`PoolProfile "p": acquire_timeout: missing`, func(s *resource.Set) { s.PoolProfiles["p"].AcquireTimeout = nil }},
		{`PoolProfile "p": connect_timeout: must be more than 0`, func(s *resource.Set) { s.PoolProfiles["p"].ConnectTimeout = durationpb.New(0) }},
		{`PoolProfile "p": min_connections: is more than max_connections, 20`, func(s *resource.Set) { s.PoolProfiles["p"].MinConnections = 21 }},
		{`PoolProfile "p": ignore_startup_parameters: "user" cannot be dropped`, func(s *resource.Set) {
			s.PoolProfiles["p"].IgnoreStartupParameters = []string{"x", "user"}
		}},
		{`PoolProfile "p": connect_query: has a NUL byte, which PostgreSQL takes for the end`, func(s *resource.Set) { s.PoolProfiles["p"].ConnectQuery = "a\x00" }},
		{`PoolProfile "p": query_timeout: -1s is negative`, func(s *resource.Set) { s.PoolProfiles["p"].QueryTimeout = durationpb.New(-time.Second) }},
		{`PoolProfile "p": wait_notice: -1s is negative`, func(s *resource.Set) { s.PoolProfiles["p"].WaitNotice = durationpb.New(-time.Second) }},
		{`PoolProfile "p": max_lifetime: -1s is negative`, func(s *resource.Set) { s.PoolProfiles["p"].MaxLifetime = durationpb.New(-time.Second) }},
		{`PoolProfile "p": reserve_timeout: -1s is negative`, func(s *resource.Set) { s.PoolProfiles["p"].ReserveTimeout = durationpb.New(-time.Second) }},
		{`PoolProfile "p": login_retry: -1s is negative`, func(s *resource.Set) { s.PoolProfiles["p"].LoginRetry = durationpb.New(-time.Second) }},
		{`Listener "tcp": address: "localhost:6432" is neither HOST:PORT with an IP address as host nor unix:PATH`, func(s *resource.Set) { s.Listeners["tcp"].Address = "localhost:6432" }},
		{`Listener "tcp": address: "127.0.0.1:65536" is neither HOST:PORT with an IP address as host nor unix:PATH`, func(s *resource.Set) { s.Listeners["tcp"].Address = "127.0.0.1:65536" }},
		{`Listener "tcp": address: "run" is not an absolute path`, func(s *resource.Set) { s.Listeners["tcp"].Address = "unix:run" }},
		{`Listener "tcp": auth: 9 is not an authentication method`, func(s *resource.Set) { s.Listeners["tcp"].Auth = 9 }},
		{`Listener "tcp": auth: program needs one that judges passwords: set program (auth.program in a configuration file)`, func(s *resource.Set) {
			s.Listeners["tcp"].Auth = heliosv1.AuthMethod_AUTH_METHOD_PROGRAM
		}},
		{`Listener "tcp": program.command: missing`, func(s *resource.Set) { s.Listeners["tcp"].Program = &heliosv1.Program{} }},
		{`Listener "tcp": program.command: "a/b" is neither the name of a program nor an absolute path`, func(s *resource.Set) {
			s.Listeners["tcp"].Program = &heliosv1.Program{Command: []string{"a/b"}}
		}},
		{`Listener "tcp": program.timeout: must be more than 0`, func(s *resource.Set) {
			s.Listeners["tcp"].Program = &heliosv1.Program{Command: []string{"a"}, Timeout: durationpb.New(0)}
		}},
		{`Listener "tcp": hba: line 2: method pam needs a program that judges passwords: set program (auth.program in a configuration file), or use another method`, func(s *resource.Set) {
			s.Listeners["tcp"].Hba = "local all all trust\nhost all all all pam\n"
		}},
		{`Listener "tcp": hba: line 1: pam_use_hostname is not supported: the program is told the address`, func(s *resource.Set) {
			s.Listeners["tcp"].Hba = "host all all all pam pam_use_hostname=1\n"
			s.Listeners["tcp"].Program = &heliosv1.Program{Command: []string{"a"}}
		}},
		{`Listener "unix": address: 127.0.0.1:6432 is that of listener "tcp"`, func(s *resource.Set) { s.Listeners["unix"].Address = "127.0.0.1:6432" }},
		{`Database "*": auth_query.cluster: there is no Cluster "d"`, func(s *resource.Set) {
			s.Databases["*"].AuthQuery = &heliosv1.AuthQuery{User: "u", Cluster: "d"}
		}},
		{`Database "*": cluster: there is no Cluster "d"`, func(s *resource.Set) { s.Databases["*"].Cluster = "d" }},
		{`PoolProfile "p": listen: 9 is not a way to listen`, func(s *resource.Set) { s.PoolProfiles["p"].Listen = 9 }},
		{`PoolProfile "p": listen_lost: "a\tb" is not a payload: at most 7999 printable ASCII characters`, func(s *resource.Set) { s.PoolProfiles["p"].ListenLost = "a\tb" }},
		{`PoolProfile "p": listen_lost: "` + strings.Repeat("x", 8000) + `" is not a payload: at most 7999 printable ASCII characters`, func(s *resource.Set) { s.PoolProfiles["p"].ListenLost = strings.Repeat("x", 8000) }},
		{`Database "*": pool_profile: there is no PoolProfile "q"`, func(s *resource.Set) { s.Databases["*"].PoolProfile = "q" }},
		{`Database "*": parameters: "a-b" is not NAME or PREFIX.NAME`, func(s *resource.Set) { s.Databases["*"].Parameters = map[string]string{"a-b": "1"} }},
		{`Database "*": parameters: "" is not NAME or PREFIX.NAME`, func(s *resource.Set) { s.Databases["*"].Parameters = map[string]string{"": "1"} }},
		{`Database "*": parameters: "a..b" is not NAME or PREFIX.NAME`, func(s *resource.Set) { s.Databases["*"].Parameters = map[string]string{"a..b": "1"} }},
		{`Database "*": parameters: "1a" is not NAME or PREFIX.NAME`, func(s *resource.Set) { s.Databases["*"].Parameters = map[string]string{"1a": "1"} }},
		{`Database "*": parameters: "TimeZone" and "timezone" are one parameter`, func(s *resource.Set) {
			s.Databases["*"].Parameters = map[string]string{"TimeZone": "UTC", "timezone": "UTC"}
		}},
		{`Database "*": parameters: "User" is no run-time parameter, but what a client asks for`, func(s *resource.Set) { s.Databases["*"].Parameters = map[string]string{"User": "x"} }},
		{`Database "*": parameters: "role" decides who a client is: server_user says that`, func(s *resource.Set) { s.Databases["*"].Parameters = map[string]string{"role": "x"} }},
		{`Database "*": parameters: "transaction_isolation" is a transaction's: set default_transaction_isolation`, func(s *resource.Set) {
			s.Databases["*"].Parameters = map[string]string{"transaction_isolation": "serializable"}
		}},
		{`Database "*": parameters: "is_superuser" is the server's to say`, func(s *resource.Set) { s.Databases["*"].Parameters = map[string]string{"is_superuser": "on"} }},
		{`Database "*": parameters: "_pq_.x" is an extension of the protocol`, func(s *resource.Set) { s.Databases["*"].Parameters = map[string]string{"_pq_.x": "1"} }},
		{`Database "*": parameters: has a NUL byte, which PostgreSQL takes for the end`, func(s *resource.Set) { s.Databases["*"].Parameters = map[string]string{"work_mem": "1\x00"} }},
		{`Database "*": server_name: has a NUL byte, which PostgreSQL takes for the end`, func(s *resource.Set) { s.Databases["*"].ServerName = "a\x00" }},
		{`Database "*": known_as: has a NUL byte, which PostgreSQL takes for the end`, func(s *resource.Set) { s.Databases["*"].KnownAs = "a\x00" }},
		{`Database "*": server_names: "10.0.0.1" is an address, and clients tell names only`, func(s *resource.Set) { s.Databases["*"].ServerNames = []string{"10.0.0.1"} }},
		{`Database "*": server_names: "*" is neither a host name nor "*." and one`, func(s *resource.Set) { s.Databases["*"].ServerNames = []string{"*"} }},
		{`Database "*": server_names: "a.*.b" is neither a host name nor "*." and one`, func(s *resource.Set) { s.Databases["*"].ServerNames = []string{"a.*.b"} }},
		{`Database "*": server_names: "a..b" is neither a host name nor "*." and one`, func(s *resource.Set) { s.Databases["*"].ServerNames = []string{"a..b"} }},
		{`Database "*": server_names: "" is neither a host name nor "*." and one`, func(s *resource.Set) { s.Databases["*"].ServerNames = []string{""} }},
		{`Database "*": server_names: "` + strings.Repeat("a.", 127) + `a" is longer than 253 bytes`, func(s *resource.Set) { s.Databases["*"].ServerNames = []string{strings.Repeat("a.", 127) + "a"} }},
		{`Database "*": server_user: has a NUL byte, which PostgreSQL takes for the end`, func(s *resource.Set) { s.Databases["*"].ServerUser = "a\x00" }},
		{`Database "*": server_password: is for a server_user, and there is none`, func(s *resource.Set) {
			s.Databases["*"].ServerPassword = &heliosv1.Secret{Value: canary}
		}},
		{`Database "*": server_password: a SCRAM verifier cannot log in anywhere; the password is needed`, func(s *resource.Set) {
			s.Databases["*"].ServerUser, s.Databases["*"].ServerPassword = "x", s.Users["v"].GetSecret()
		}},
		{`User "u": pool.mode: 9 is not a pool mode`, func(s *resource.Set) { s.Users["u"].Pool = &heliosv1.PoolOverrides{Mode: 9} }},
		{`User "u": pool.acquire_timeout: must be more than 0`, func(s *resource.Set) {
			s.Users["u"].Pool = &heliosv1.PoolOverrides{AcquireTimeout: durationpb.New(0)}
		}},
		{`User "w": pool: user "v" logs in at servers as "w" too, and shares its pools, so their size and times may not differ`, func(s *resource.Set) {
			s.Users["w"] = &heliosv1.User{Name: "w", Pool: &heliosv1.PoolOverrides{MaxConnections: 3}}
		}},
		{`User "w": max_server_connections: user "v" logs in at servers as "w" too, with another bound`, func(s *resource.Set) {
			s.Users["w"] = &heliosv1.User{Name: "w", MaxServerConnections: 3}
		}},
		{`User "": name: missing`, func(s *resource.Set) { s.Users[""] = &heliosv1.User{} }},
		{`User "v": secret: not a SCRAM-SHA-256 verifier: want iterations:salt$StoredKey:ServerKey`, func(s *resource.Set) {
			s.Users["v"].Secret.Value = "SCRAM-SHA-256$" + canary
		}},
		{`User "v": looked_up: there is a secret, which is to be the database's`, func(s *resource.Set) { s.Users["v"].LookedUp = true }},
		{`User "v": secret: a secret has no NUL byte`, func(s *resource.Set) { s.Users["v"].Secret.Value = canary + "\x00" }},
		{`User "v": server_password: a SCRAM verifier cannot log in anywhere; the password is needed`, func(s *resource.Set) {
			s.Users["v"].ServerPassword.Value = s.Users["v"].GetSecret().GetValue()
		}},
		{`Cluster "c": passwords: one of passfile, file and command must be set, not none`, func(s *resource.Set) { s.Clusters["c"].Passwords = &heliosv1.PasswordSource{} }},
		{`Node "b": passwords: one of passfile, file and command must be set, not three`, func(s *resource.Set) {
			s.Nodes["b"].Passwords = &heliosv1.PasswordSource{Passfile: "/a", File: "/b", Command: []string{"c"}}
		}},
		{`Node "b": passwords.passfile: "a" is not an absolute path`, func(s *resource.Set) { s.Nodes["b"].Passwords = &heliosv1.PasswordSource{Passfile: "a"} }},
		{`Node "b": passwords.file: has a NUL byte, which PostgreSQL takes for the end`, func(s *resource.Set) { s.Nodes["b"].Passwords = &heliosv1.PasswordSource{File: "/a\x00"} }},
		{`Node "b": passwords.command: has no program`, func(s *resource.Set) { s.Nodes["b"].Passwords = &heliosv1.PasswordSource{Command: []string{"", "a"}} }},
		{`Node "b": passwords.command: "a/b" is neither the name of a program nor an absolute path`, func(s *resource.Set) { s.Nodes["b"].Passwords = &heliosv1.PasswordSource{Command: []string{"a/b"}} }},
		{`Node "b": passwords.command: has a NUL byte, which no argument can hold`, func(s *resource.Set) {
			s.Nodes["b"].Passwords = &heliosv1.PasswordSource{Command: []string{"a", "\x00"}}
		}},
		{`Node "b": passwords.lifetime: must be more than 0`, func(s *resource.Set) {
			s.Nodes["b"].Passwords = &heliosv1.PasswordSource{Command: []string{"a"}, Lifetime: durationpb.New(0)}
		}},
		{`Node "b": passwords.lifetime: is of what a command prints, and there is none`, func(s *resource.Set) {
			s.Nodes["b"].Passwords = &heliosv1.PasswordSource{File: "/a", Lifetime: durationpb.New(1)}
		}},
		{`User "v": server_passwords: there is a server_password already`, func(s *resource.Set) { s.Users["v"].ServerPasswords = &heliosv1.PasswordSource{File: "/a"} }},
		{`User "w": server_passwords: user "v" logs in at servers as "w" too, with a password from another place`, func(s *resource.Set) {
			s.Users["w"] = &heliosv1.User{Name: "w", ServerPasswords: &heliosv1.PasswordSource{File: "/a"}}
		}},
		{`Limits "default": missing`, func(s *resource.Set) { s.Limits = nil }},
		{`Limits "x": name: must be "default"`, func(s *resource.Set) { s.Limits = map[string]*heliosv1.Limits{"x": {Name: "x"}} }},
		{`Limits "default": max_prepared_per_server: must be at least 1`, func(s *resource.Set) { s.Limits["default"].MaxPreparedPerServer = 0 }},
		{`Limits "default": max_waiting_logins: must be at least 1`, func(s *resource.Set) { s.Limits["default"].MaxWaitingLogins = 0 }},
		{`Limits "default": login_timeout: must be more than 0`, func(s *resource.Set) { s.Limits["default"].LoginTimeout = &durationpb.Duration{} }},
		{`Limits "default": client_write_timeout: -1s is negative`, func(s *resource.Set) { s.Limits["default"].ClientWriteTimeout = durationpb.New(-time.Second) }},
		{`Limits "default": server_write_timeout: -1s is negative`, func(s *resource.Set) { s.Limits["default"].ServerWriteTimeout = durationpb.New(-time.Second) }},
		{`Limits "default": failed_login_window: missing`, func(s *resource.Set) { s.Limits["default"].FailedLoginWindow = nil }},
		{`Limits "default": max_statement_bytes: must be at least 1`, func(s *resource.Set) { s.Limits["default"].MaxStatementBytes = 0 }},
		{`Console "x": name: must be "default"`, func(s *resource.Set) { s.Consoles = map[string]*heliosv1.Console{"x": {Name: "x"}} }},
		{`Console "default": stats_users: there is an empty name`, func(s *resource.Set) {
			s.Consoles = map[string]*heliosv1.Console{"default": {Name: "default", AdminUsers: []string{"a"}, StatsUsers: []string{"b", ""}}}
		}},
		{`Console "default": wait_timeout: -1s is negative`, func(s *resource.Set) {
			s.Consoles = map[string]*heliosv1.Console{"default": {Name: "default", WaitTimeout: durationpb.New(-time.Second)}}
		}},
		{`Database "pgbouncer": name: "pgbouncer" is the admin console`, func(s *resource.Set) {
			s.Databases["pgbouncer"] = &heliosv1.Database{Name: "pgbouncer", Cluster: "c", PoolProfile: "p"}
		}},
	} {
		t.Run(tt.want, func(t *testing.T) {
			s := valid()
			tt.damage(s)
			err := s.Validate()
			var invalid *resource.InvalidError
			if !errors.As(err, &invalid) {
				t.Fatalf("got %v", err)
			}
			if !strings.Contains("; "+err.Error()+";", "; "+tt.want+";") {
				t.Errorf("got  %s\nwant %s", err, tt.want)
			}
			if strings.Contains(err.Error(), canary) {
				t.Errorf("the error shows a secret: %s", err)
			}
			if text := fmt.Sprintf("%v %+v %s", s, s, s); strings.Contains(text, canary) {
				t.Errorf("the set shows a secret: %s", text)
			}
		})
	}
}

// TestSharedPools: databases that lead to the same one at the server share its pools and agree about them.
func TestSharedPools(t *testing.T) {
	db := func(name, server, profile string) *heliosv1.Database {
		return &heliosv1.Database{Name: name, ServerName: server, Cluster: "c", PoolProfile: profile}
	}
	forced := func(name, user, profile string) *heliosv1.Database {
		d := db(name, "app", profile)
		d.ServerUser = user
		return d
	}
	const differ = ` at the server with database %q, so nothing but the mode and the times of sessions may differ`
	for _, tt := range []struct {
		name      string
		databases []*heliosv1.Database
		want      string // the other database; empty: valid
	}{
		{"alone", []*heliosv1.Database{db("a", "app", "large")}, ""},
		{"two names, one profile", []*heliosv1.Database{db("a", "app", "p"), db("app", "", "p")}, ""},
		{"two names, another mode", []*heliosv1.Database{db("a", "app", "p"), db("app", "", "session")}, ""},
		{"two names, another size", []*heliosv1.Database{db("a", "app", "p"), db("app", "", "large")}, "a"},
		{"two aliases, another size", []*heliosv1.Database{db("a", "app", "p"), db("b", "app", "large")}, "a"},
		{"any leads there too", []*heliosv1.Database{db("*", "", "p"), db("b", "app", "large")}, "*"},
		{"any does not, the name is taken", []*heliosv1.Database{db("*", "", "p"), db("b", "app", "large"), db("app", "", "large")}, ""},
		{"any leads elsewhere", []*heliosv1.Database{db("*", "other", "p"), db("b", "app", "large")}, ""},
		{"any leads there alone", []*heliosv1.Database{db("*", "app", "p"), db("b", "app", "large")}, "*"},
		{"two users, another size", []*heliosv1.Database{forced("a", "ann", "p"), forced("b", "bob", "large")}, ""},
		{"one user, another size", []*heliosv1.Database{forced("a", "ann", "p"), forced("b", "ann", "large")}, "a"},
		{"one user and any, another size", []*heliosv1.Database{db("a", "app", "p"), forced("b", "ann", "large")}, "a"},
		{"two users and any, another size", []*heliosv1.Database{forced("a", "ann", "p"), forced("b", "bob", "large"), db("c", "app", "p")}, "b"},
		{"any and its own name", []*heliosv1.Database{db("*", "", "p"), db("app", "", "large")}, ""},
		{"its name is taken at a host name alone", []*heliosv1.Database{db("*", "", "p"), at(db("app", "", "large"), "app", "a.example.com")}, "*"},
		{"its name is taken at all others too", []*heliosv1.Database{db("*", "", "p"), at(db("a", "app", "large"), "app", "a.example.com"), db("app", "", "large")}, ""},
		{"known by another name", []*heliosv1.Database{db("a", "app", "p"), at(db("b", "", "large"), "app")}, "a"},
		{"any at two host names", []*heliosv1.Database{at(db("a", "", "p"), "*", "a.example.com"), at(db("b", "", "large"), "*", "b.example.com")}, "a"},
		{"any leads elsewhere at a host name", []*heliosv1.Database{at(db("a", "app", "p"), "*", "a.example.com"), db("b", "", "large")}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := valid()
			for name, change := range map[string]func(*heliosv1.PoolProfile){
				"large":   func(p *heliosv1.PoolProfile) { p.MaxConnections = 99 },
				"session": func(p *heliosv1.PoolProfile) { p.Mode = heliosv1.PoolMode_POOL_MODE_SESSION },
			} {
				s.PoolProfiles[name] = proto.Clone(s.PoolProfiles["p"]).(*heliosv1.PoolProfile)
				s.PoolProfiles[name].Name = name
				change(s.PoolProfiles[name])
			}
			s.Databases = map[string]*heliosv1.Database{}
			for _, d := range tt.databases {
				s.Databases[d.GetName()] = d
			}
			err := s.Validate()
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.HasSuffix(err.Error(), fmt.Sprintf(differ, tt.want))) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// TestSharedBound: databases that lead to the same one at the server have one bound there, whoever their clients are.
func TestSharedBound(t *testing.T) {
	s := valid()
	s.Databases["a"] = &heliosv1.Database{Name: "a", ServerName: "app", Cluster: "c", PoolProfile: "p", ServerUser: "x", MaxServerConnections: 4}
	s.Databases["b"] = &heliosv1.Database{Name: "b", ServerName: "app", Cluster: "c", PoolProfile: "p", ServerUser: "y", MaxServerConnections: 5}
	want := `Database "b": max_server_connections: database "a" leads to "app" at the server too, with another bound`
	if err := s.Validate(); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v", err)
	}
}

// TestSharedPasswords: a database's own password stands beside others for the same user, unless they are for one pool.
func TestSharedPasswords(t *testing.T) {
	db := func(name, cluster, server, user, password string) *heliosv1.Database {
		d := &heliosv1.Database{Name: name, ServerName: server, Cluster: cluster, PoolProfile: "p", ServerUser: user}
		if password != "" {
			d.ServerPassword = &heliosv1.Secret{Value: password}
		}
		return d
	}
	const (
		databases = `Database "b": server_password: database "a" leads to the same one at the servers and logs in there as "app" too, with another password, and they share a pool`
		users     = `Database "a": server_password: user %q logs in at servers as %q too, with %s, and by database %q shares this one's pool`
		another   = "another password"
	)
	for _, tt := range []struct {
		name      string
		databases []*heliosv1.Database
		want      string
	}{
		{"two servers", []*heliosv1.Database{db("a", "c", "", "app", "one"), db("b", "d", "", "app", "two")}, ""},
		{"one database at two servers", []*heliosv1.Database{db("a", "c", "x", "app", "one"), db("b", "d", "x", "app", "two")}, ""},
		{"two databases at one server", []*heliosv1.Database{db("a", "c", "", "app", "one"), db("b", "c", "", "app", "two")}, ""},
		{"one database", []*heliosv1.Database{db("a", "c", "x", "app", "one"), db("b", "c", "x", "app", "two")}, databases},
		{"one database, one password", []*heliosv1.Database{db("a", "c", "x", "app", "one"), db("b", "c", "x", "app", "one")}, ""},
		{"one database, two users", []*heliosv1.Database{db("a", "c", "x", "app", "one"), db("b", "c", "x", "ann", "two")}, ""},
		{"any leads there too", []*heliosv1.Database{db("*", "c", "", "app", "one"), db("b", "c", "x", "app", "two")}, strings.Replace(databases, `"a"`, `"*"`, 1)},
		{"any does not, the name is taken", []*heliosv1.Database{db("*", "c", "", "app", "one"), db("x", "c", "", "app", "two")}, ""},
		{"any leads elsewhere", []*heliosv1.Database{db("*", "d", "", "app", "one"), db("b", "c", "x", "app", "two")}, ""},
		{"a client's password", []*heliosv1.Database{db("a", "c", "", "u", "one"), db("*", "c", "", "", "")}, ""},
		{"a client's password is for the pool", []*heliosv1.Database{db("a", "c", "x", "u", "one"), db("b", "c", "x", "", "")}, fmt.Sprintf(users, "u", "u", another, "b")},
		{"a client's password is, through any", []*heliosv1.Database{db("a", "c", "x", "u", "one"), db("*", "c", "", "", "")}, fmt.Sprintf(users, "u", "u", another, "*")},
		{"a client's password is, of what any leads to", []*heliosv1.Database{at(db("a", "c", "", "u", "one"), "*"), db("b", "c", "x", "", "")}, fmt.Sprintf(users, "u", "u", another, "b")},
		{"a client's password is not, of what any does not lead to", []*heliosv1.Database{at(db("a", "c", "", "u", "one"), "*"), db("b", "c", "", "", "")}, ""},
		{"a client's password is the same", []*heliosv1.Database{db("a", "c", "x", "u", canary), db("b", "c", "x", "", "")}, ""},
		{"a client's password is, as all are him", []*heliosv1.Database{db("a", "c", "x", "u", "one"), db("b", "c", "x", "u", "")}, fmt.Sprintf(users, "u", "u", another, "b")},
		{"a client's password is not, as all are another", []*heliosv1.Database{db("a", "c", "x", "u", "one"), db("b", "c", "x", "v", "")}, ""},
		{"a password for servers", []*heliosv1.Database{db("a", "c", "", "w", "one"), db("*", "c", "", "", "")}, ""},
		{"a password for servers is for the pool", []*heliosv1.Database{db("a", "c", "x", "w", "one"), db("b", "c", "x", "", "")}, fmt.Sprintf(users, "v", "w", another, "b")},
		{"a password that lives elsewhere is for the pool", []*heliosv1.Database{db("a", "c", "x", "z", "one"), db("b", "c", "x", "", "")}, fmt.Sprintf(users, "z", "z", "a password from another place", "b")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := valid()
			s.Clusters["d"] = &heliosv1.Cluster{Name: "d"}
			s.Nodes["d"] = &heliosv1.Node{Name: "d", Cluster: "d", Host: "pg-2.internal", Port: 5432, Role: heliosv1.NodeRole_NODE_ROLE_PRIMARY}
			s.Users["z"] = &heliosv1.User{Name: "z", ServerPasswords: &heliosv1.PasswordSource{File: "/z"}}
			s.Databases = map[string]*heliosv1.Database{}
			for _, d := range tt.databases {
				s.Databases[d.GetName()] = d
			}
			if err := s.Validate(); tt.want == "" && err != nil || tt.want != "" && (err == nil || err.Error() != tt.want) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// at makes a database be known by a name, at some host names or any.
func at(d *heliosv1.Database, known string, servers ...string) *heliosv1.Database {
	d.KnownAs, d.ServerNames = known, servers
	return d
}

// TestSharedWork: what is looked at, told by the memory that it takes, grows as the number of databases does.
func TestSharedWork(t *testing.T) {
	taken := func(n int, how func(d *heliosv1.Database, i int)) float64 {
		s := valid()
		for i := range n {
			d := &heliosv1.Database{Name: fmt.Sprintf("db%d", i), Cluster: "c", PoolProfile: "p"}
			how(d, i)
			s.Databases[d.GetName()] = d
		}
		if err := s.Validate(); err != nil {
			t.Fatal(err)
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_ = s.Validate()
		runtime.ReadMemStats(&after)
		return float64(after.TotalAlloc - before.TotalAlloc)
	}
	for name, how := range map[string]func(d *heliosv1.Database, i int){
		"to many":         func(*heliosv1.Database, int) {},
		"to one":          func(d *heliosv1.Database, _ int) { d.ServerName = "x" },
		"to one as users": func(d *heliosv1.Database, i int) { d.ServerName, d.ServerUser = "x", fmt.Sprint(i) },
	} {
		if few, many := taken(250, how), taken(2000, how); many > 16*few {
			t.Errorf("%s: eight times as many databases take %.0f times as much", name, many/few)
		}
	}
}

// BenchmarkValidate checks a set of 2,000 databases.
func BenchmarkValidate(b *testing.B) {
	s := valid()
	for i := range 2000 {
		name := fmt.Sprintf("db%d", i)
		s.Databases[name] = &heliosv1.Database{Name: name, Cluster: "c", PoolProfile: "p"}
	}
	for b.Loop() {
		if err := s.Validate(); err != nil {
			b.Fatal(err)
		}
	}
}

// TestAllProblemsInOrder wants every problem of a set at once, by kind and name.
func TestAllProblemsInOrder(t *testing.T) {
	s := valid()
	s.Limits["default"].MaxPreparedBytes = 0
	s.Nodes["b"].Port, s.Nodes["b"].Host = 0, ""
	s.Nodes["a"].Port = 0
	var invalid *resource.InvalidError
	if err := s.Validate(); !errors.As(err, &invalid) {
		t.Fatal(err)
	}
	var got []string
	for _, p := range invalid.Problems {
		got = append(got, fmt.Sprintf("%s %s %s", p.Kind, p.Name, p.Field))
	}
	if g, w := strings.Join(got, ", "), "Node a port, Node b host, Node b port, Limits default max_prepared_bytes"; g != w {
		t.Errorf("got  %s\nwant %s", g, w)
	}
}

func TestFormOf(t *testing.T) {
	keys, _ := scram.NewKeys("x")
	for secret, want := range map[string]resource.SecretForm{
		"":                                resource.SecretNone,
		"md5":                             resource.SecretPassword,
		"md5" + strings.Repeat("0", 32):   resource.SecretMD5,
		"md5" + strings.Repeat("F", 32):   resource.SecretPassword,
		keys.String():                     resource.SecretSCRAM,
		"SCRAM-SHA-1$4096:YQ==$YQ==:YQ==": resource.SecretPassword,
	} {
		if got, err := resource.FormOf(secret); got != want || err != nil {
			t.Errorf("FormOf(%q) = %v, %v, want %v", secret, got, err, want)
		}
	}
}

func TestAddressLocal(t *testing.T) {
	for s, want := range map[string]bool{
		"127.0.0.1:1": true, "127.8.0.1:1": true, "[::1]:1": true, "[::ffff:127.0.0.1]:1": true, "unix:/a": true,
		"0.0.0.0:1": false, "[::]:1": false, "10.0.0.1:1": false,
	} {
		a, err := resource.ParseAddress(s)
		if err != nil || a.Local() != want || a.String() != s {
			t.Errorf("%s: got %v, local %v, %v", s, a, a.Local(), err)
		}
	}
}

// TestForms says what secrets are that are left out, and nothing of what they hold.
func TestForms(t *testing.T) {
	for want, u := range map[string]*heliosv1.User{
		"map[]":                {Name: "ann", Secret: &heliosv1.Secret{}},
		"map[secret:password]": {Secret: &heliosv1.Secret{Value: "word"}},
		"map[secret:md5 server_password:password]": {Secret: &heliosv1.Secret{Value: "md553f48b7c4b76a86ce72276c5755f217d"}, ServerPassword: &heliosv1.Secret{Value: "word"}},
		"map[secret:scram]":                        {Secret: &heliosv1.Secret{Value: "SCRAM-SHA-256$1:c2FsdA==$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="}},
	} {
		if got := fmt.Sprint(resource.Forms(u)); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}
