package configfile

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/heliosproxy/heliosproxy/pkg/resource"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

const (
	// defaultName is that of the pool profile, the limits and the first listener of a file, and of its cluster unless it names others.
	defaultName = "default"
	// unixName is that of the listener at a unix socket.
	unixName = "unix"
)

// origin is a field of a resource; an empty one is the resource as a whole.
type origin struct {
	kind        resource.Kind
	name, field string
}

// build makes the resources, defaults filled in, and notes from where in the file each field comes.
func (r *reader) build() {
	r.origins = map[origin]place{}
	r.set = &resource.Set{
		Clusters:     map[string]*heliosv1.Cluster{},
		Nodes:        map[string]*heliosv1.Node{},
		PoolProfiles: map[string]*heliosv1.PoolProfile{},
		Listeners:    map[string]*heliosv1.Listener{},
		Databases:    map[string]*heliosv1.Database{},
		Users:        map[string]*heliosv1.User{},
	}
	r.buildNodes()
	r.buildPool(defaultName, r.settings, "pool.")
	r.buildDatabases()
	r.buildUsers()
	r.buildListeners()
	r.buildLimits()
	r.buildConsole()
	r.buildResolver()
	r.buildBootstrap()
}

// cluster makes a cluster, unless it is there already. All of a file have the TLS and the passwords towards servers that the file says.
func (r *reader) cluster(name string, at place) {
	if r.set.Clusters[name] != nil {
		return
	}
	r.origins[origin{resource.KindCluster, name, ""}] = at
	r.set.Clusters[name] = &heliosv1.Cluster{
		Name: name, Tls: r.serverTLS(r.settings, "server_tls."),
		Passwords: r.passwords(r.settings, "server_auth.", resource.KindCluster, name, "passwords"),
	}
	r.fromTLS(resource.KindCluster, name, r.settings, "server_tls.")
}

// from notes the keys that the fields of a resource come from.
func (r *reader) from(kind resource.Kind, name string, s *section, prefix string, fields map[string]string) {
	for field, key := range fields {
		r.origins[origin{kind, name, field}] = s.at(prefix + key)
	}
}

// unique says whether an element of a list has a name, and for itself; else it reports.
func unique[R any](r *reader, kind resource.Kind, name string, s *section, key string, all map[string]R) bool {
	at := s.at(key)
	if name == "" {
		r.fail(at.line, at.key, "missing")
		return false
	}
	if _, taken := all[name]; taken {
		r.fail(at.line, at.key, "%q is in line %d already", name, r.origins[origin{kind, name, "name"}].line)
		return false
	}
	return true
}

// address is where a node is, in one form however it is written.
func address(host string, port int64) string {
	all, err := resource.Hosts(host, uint32(port))
	if err != nil {
		return net.JoinHostPort(host, strconv.FormatInt(port, 10)) // validation says what is wrong
	}
	texts := make([]string, len(all))
	for i, h := range all {
		texts[i] = h.String()
	}
	return strings.Join(texts, ",")
}

// nodeName is the name of a node that the file does not name: its address. The same server may stand
// there twice, as where one machine plays all of them; that is worth a warning.
func (r *reader) nodeName(addr string, at place) string {
	name := addr
	for n := 2; r.set.Nodes[name] != nil; n++ {
		if n == 2 {
			r.warn(at.line, at.key, "%q is in line %d already", addr, r.origins[origin{resource.KindNode, addr, "name"}].line)
		}
		name = fmt.Sprintf("%s#%d", addr, n)
	}
	return name
}

func (r *reader) buildNodes() {
	roles := map[string]heliosv1.NodeRole{
		"primary": heliosv1.NodeRole_NODE_ROLE_PRIMARY,
		"standby": heliosv1.NodeRole_NODE_ROLE_STANDBY,
		"replica": heliosv1.NodeRole_NODE_ROLE_STANDBY,
	}
	spreads := map[string]heliosv1.LoadBalanceHosts{
		"disable": heliosv1.LoadBalanceHosts_LOAD_BALANCE_HOSTS_DISABLE, "round-robin": heliosv1.LoadBalanceHosts_LOAD_BALANCE_HOSTS_ROUND_ROBIN,
	}
	if len(r.lists["nodes"]) == 0 {
		r.cluster(defaultName, place{1, "nodes"})
	}
	for i, s := range r.lists["nodes"] {
		r.cluster(s.text("nodes.cluster"), place{s.line, "nodes"})
		host, port := s.text("nodes.host"), s.int("nodes.port")
		name, key := s.text("nodes.name"), "nodes.name"
		switch {
		case s.has("nodes.name"):
		case host == "":
			name = fmt.Sprintf("nodes[%d]", i) // the host is missing, which validation says
		default:
			key = "nodes.host"
			name = r.nodeName(address(host, port), s.at(key))
		}
		if !unique(r, resource.KindNode, name, s, key, r.set.Nodes) {
			continue
		}
		r.set.Nodes[name] = &heliosv1.Node{
			Name: name, Cluster: s.text("nodes.cluster"), Host: host, Port: uint32(port),
			Role:    roles[s.text("nodes.role")],
			Weight:  proto.Uint32(uint32(s.int("nodes.weight"))),
			Enabled: proto.Bool(s.bool("nodes.enabled")),
			Sync:    s.bool("nodes.sync"),

			MaxConnections:   uint32(s.int("nodes.max_connections")),
			LoadBalanceHosts: spreads[s.text("nodes.load_balance_hosts")],
		}
		for _, k := range serverTLSKeys() {
			if s.has("nodes.tls." + strings.TrimPrefix(k.name, "server_tls.")) {
				r.set.Nodes[name].Tls = r.serverTLS(s, "nodes.tls.")
			}
		}
		r.fromTLS(resource.KindNode, name, s, "nodes.tls.")
		r.set.Nodes[name].Passwords = r.passwords(s, "nodes.", resource.KindNode, name, "passwords")
		r.from(resource.KindNode, name, s, "nodes.", map[string]string{"host": "host", "port": "port", "role": "role"})
		r.origins[origin{resource.KindNode, name, "name"}] = s.at(key)
		if r.set.Nodes[name].Role == heliosv1.NodeRole_NODE_ROLE_STANDBY {
			at := s.at("nodes.role")
			r.warn(at.line, at.key, "standby nodes are not used yet, every statement goes to the primary")
		}
	}
}

// fromAuthQuery notes which keys the auth_query of a database comes from.
func (r *reader) fromAuthQuery(name string, s *section, prefix string) {
	r.from(resource.KindDatabase, name, s, prefix, map[string]string{
		"auth_query.user": "auth_user", "auth_query.password": "auth_password", "auth_query.query": "auth_query", "auth_query.database": "auth_dbname", "auth_query.cluster": "auth_cluster",
		"auth_query.cache_time": "auth_cache_secs",
	})
}

func (r *reader) buildLimits() {
	s := r.settings
	r.set.Limits = map[string]*heliosv1.Limits{resource.LimitsName: {
		Name:                  resource.LimitsName,
		MaxPreparedStatements: uint32(s.int("limits.max_prepared_statements")),
		MaxPreparedPerServer:  uint32(s.int("limits.max_prepared_per_server")),
		MaxPreparedBytes:      uint64(s.int("limits.max_prepared_bytes")),
		MaxStatementBytes:     uint64(s.int("limits.max_statement_bytes")),
		MaxClients:            uint32(s.int("limits.max_clients")),
		MaxClientsPerDatabase: uint32(s.int("limits.max_clients_per_database")),
		MaxClientsPerUser:     uint32(s.int("limits.max_clients_per_user")),
		MaxClientsPerAddress:  uint32(s.int("limits.max_clients_per_address")),
		LoginTimeout:          durationpb.New(seconds(s.int("limits.startup_timeout_secs"))),
		MaxFailedLogins:       proto.Uint32(uint32(s.int("limits.max_failed_logins"))),
		FailedLoginWindow:     durationpb.New(seconds(s.int("limits.failed_login_window_secs"))),
		MaxWaitingLogins:      uint32(s.int("limits.max_waiting_logins")),

		MaxServerConnectionsPerDatabase: uint32(s.int("limits.max_server_connections_per_database")),
		MaxServerConnectionsPerUser:     uint32(s.int("limits.max_server_connections_per_user")),

		ServerWriteTimeout: poolSection{section: s, prefix: "limits.", rest: s}.optional("backend_write_timeout_secs"),
		ClientWriteTimeout: poolSection{section: s, prefix: "limits.", rest: s}.optional("client_write_timeout_secs"),
	}}
}

func (r *reader) buildBootstrap() {
	s := r.settings
	at := s.at("proxy.admin_address")
	admin, err := resource.ParseAddress(s.text("proxy.admin_address"))
	if err == nil && admin.Path != "" {
		err = errors.New("HTTP is served over TCP only, not at a unix socket")
	}
	if listen := r.set.Listeners[defaultName].GetAddress(); err == nil && admin.TCP.Port() != 0 && admin.String() == listen {
		err = fmt.Errorf("%s is where PostgreSQL clients connect", listen)
	}
	if err != nil {
		r.fail(at.line, at.key, "%s", err)
	}
	r.bootstrap = Bootstrap{
		AdminAddress:   s.text("proxy.admin_address"),
		AdminToken:     Secret(s.text("proxy.admin_token")),
		Loops:          int(s.int("proxy.loops")),
		DrainTimeout:   seconds(s.int("proxy.drain_timeout_secs")),
		Peers:          r.peers(),
		DrainRate:      int(s.int("proxy.drain_rate")),
		TakeoverWindow: seconds(s.int("proxy.takeover_window_secs")),
	}
}

// validate turns what is wrong with the resources into findings.
func (r *reader) validate() {
	var invalid *resource.InvalidError
	if !errors.As(r.set.Validate(), &invalid) {
		return
	}
	for _, p := range invalid.Problems {
		at, ok := r.origins[origin{p.Kind, p.Name, p.Field}]
		if !ok {
			at = place{1, fmt.Sprintf("%s %q", p.Kind, p.Name)}
		}
		r.fail(at.line, at.key, "%s", p.Reason)
	}
}

func seconds(n int64) time.Duration { return time.Duration(n) * time.Second }
