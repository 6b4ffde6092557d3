package resource

import (
	"cmp"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/heliosproxy/heliosproxy/pkg/proxyproto"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

const (
	// MaxDuration bounds every time in a Set.
	MaxDuration = 365 * 24 * time.Hour
	// MaxNameBytes bounds the name of a resource.
	MaxNameBytes = 255
	// LimitsName is the name of the one Limits.
	LimitsName = "default"
)

// Validate checks everything that the resources alone can refute, references included. Its error is an
// [*InvalidError] with all problems.
func (s *Set) Validate() error {
	c := checker{set: s, primaries: s.primaries()}
	for _, t := range Types() {
		t.check(&c)
	}
	if len(s.Limits) == 0 {
		c.problems = append(c.problems, Problem{KindLimits, LimitsName, "", "missing"})
	}
	c.addresses()
	c.knownTwice()
	shared := c.sharing()
	c.sharedPools(shared)
	c.sharedPasswords(shared, c.sharedUsers())
	if len(c.problems) == 0 {
		return nil
	}
	slices.SortStableFunc(c.problems, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(place(a.Kind), place(b.Kind)), cmp.Compare(a.Name, b.Name))
	})
	return &InvalidError{c.problems}
}

// checker collects the problems of a Set; kind and name say which resource is looked at.
type checker struct {
	set       *Set
	primaries map[string][]string
	kind      Kind
	name      string
	problems  []Problem
}

// primaries are the enabled ones of each cluster.
func (s *Set) primaries() map[string][]string {
	all := map[string][]string{}
	for _, name := range slices.Sorted(maps.Keys(s.Nodes)) {
		if n := s.Nodes[name]; n != nil && n.GetRole() == heliosv1.NodeRole_NODE_ROLE_PRIMARY && Enabled(n) {
			all[n.GetCluster()] = append(all[n.GetCluster()], name)
		}
	}
	return all
}

// each checks the resources of one kind in the order of their names.
func each[R interface {
	comparable
	Message
}](c *checker, kind Kind, all map[string]R, check func(R)) {
	var none R
	for _, name := range slices.Sorted(maps.Keys(all)) {
		c.kind, c.name = kind, name
		r := all[name]
		if r == none {
			c.refuse("", "missing")
			continue
		}
		if r.GetName() != name {
			c.refuse("name", "%q is stored as %q", r.GetName(), name)
		}
		c.text("name", name)
		if len(name) > MaxNameBytes {
			c.refuse("name", "is longer than %d bytes", MaxNameBytes)
		}
		check(r)
	}
}

func (c *checker) refuse(field, format string, args ...any) {
	c.problems = append(c.problems, Problem{c.kind, c.name, field, fmt.Sprintf(format, args...)})
}

// text checks a name that is required.
func (c *checker) text(field, s string) {
	if s == "" {
		c.refuse(field, "missing")
	}
	c.noNUL(field, s)
}

func (c *checker) noNUL(field, s string) {
	if strings.IndexByte(s, 0) >= 0 {
		c.refuse(field, "has a NUL byte, which PostgreSQL takes for the end")
	}
}

// positive checks a number of which 0 would switch the proxy off.
func (c *checker) positive(field string, n uint64) {
	if n == 0 {
		c.refuse(field, "must be at least 1")
	}
}

// duration checks a time; zero is refused unless it has a meaning of its own.
func (c *checker) duration(field string, d *durationpb.Duration, zero bool) {
	switch {
	case d == nil && !zero:
		c.refuse(field, "missing")
	case d == nil:
	case d.CheckValid() != nil:
		c.refuse(field, "is not a duration")
	case d.AsDuration() < 0:
		c.refuse(field, "%s is negative", d.AsDuration())
	case d.AsDuration() > MaxDuration:
		c.refuse(field, "%s is longer than a year", d.AsDuration())
	case d.AsDuration() == 0 && !zero:
		c.refuse(field, "must be more than 0")
	}
}

// refers checks that a reference is there and has its end.
func refers[R any](c *checker, field string, to Kind, name string, all map[string]R) {
	if name == "" {
		c.refuse(field, "missing")
	} else if _, ok := all[name]; !ok {
		c.refuse(field, "there is no %s %q", to, name)
	}
}

func (c *checker) cluster(cl *heliosv1.Cluster) {
	primaries := c.primaries[cl.GetName()]
	switch {
	case len(primaries) == 0:
		c.refuse("", "no node is an enabled primary")
	case len(primaries) > 1:
		c.refuse("", "one primary may be enabled, not %s", strings.Join(primaries, " and "))
	}
	c.towardsServers(cl.GetTls())
	c.passwords("passwords", cl.GetPasswords())
}

func (c *checker) node(n *heliosv1.Node) {
	refers(c, "cluster", KindCluster, n.GetCluster(), c.set.Clusters)
	if _, err := Hosts(n.GetHost(), n.GetPort()); err != nil {
		c.refuse("host", "%s", err)
	}
	if p := n.GetPort(); p < 1 || p > 65535 {
		c.refuse("port", "%d is not a port", p)
	}
	switch n.GetRole() {
	case heliosv1.NodeRole_NODE_ROLE_PRIMARY, heliosv1.NodeRole_NODE_ROLE_STANDBY:
	case heliosv1.NodeRole_NODE_ROLE_UNSPECIFIED:
		c.refuse("role", "missing")
	default:
		c.refuse("role", "%d is not a role", n.GetRole())
	}
	if _, ok := heliosv1.LoadBalanceHosts_name[int32(n.GetLoadBalanceHosts())]; !ok {
		c.refuse("load_balance_hosts", "%d is not a way to spread connections", n.GetLoadBalanceHosts())
	}
	c.towardsServers(n.GetTls())
	c.passwords("passwords", n.GetPasswords())
}

func (c *checker) listener(l *heliosv1.Listener) {
	if _, err := ParseAddress(l.GetAddress()); err != nil {
		c.refuse("address", "%s", err)
	}
	if _, ok := heliosv1.AuthMethod_name[int32(l.GetAuth())]; !ok {
		c.refuse("auth", "%d is not an authentication method", l.GetAuth())
	}
	if a, err := ParseAddress(l.GetAddress()); err == nil && a.Path != "" && l.GetSoReuseport() {
		c.refuse("so_reuseport", "a unix socket is one process's")
	}
	if _, err := proxyproto.ParseSenders(l.GetProxyProtocol()); err != nil {
		c.refuse("proxy_protocol", "%s", err)
	}
	c.socket(l)
	c.mode(l.GetTls().GetMode())
	c.unshown("tls.key_password", l.GetTls().GetKeyPassword())
	c.tls(TowardsClients(l.GetTls()).Check())
	c.rules(l)
}

// socket checks who may use a unix socket.
func (c *checker) socket(l *heliosv1.Listener) {
	if _, err := SocketMode(l); err != nil {
		c.refuse("socket_mode", "%s", err)
	}
	if a, err := ParseAddress(l.GetAddress()); err != nil || a.Path != "" {
		return
	}
	if l.GetSocketMode() != "" {
		c.refuse("socket_mode", "is for unix sockets")
	}
	if l.GetSocketGroup() != "" {
		c.refuse("socket_group", "is for unix sockets")
	}
}

// SocketMode is the mode of a listener's unix socket, 0 unless set.
func SocketMode(l *heliosv1.Listener) (fs.FileMode, error) {
	if l.GetSocketMode() == "" {
		return 0, nil
	}
	mode, err := strconv.ParseUint(l.GetSocketMode(), 8, 32)
	if err != nil || mode > 0o777 || mode == 0 {
		return 0, fmt.Errorf("%q is no mode of a file in octal digits, as 0770", l.GetSocketMode())
	}
	return fs.FileMode(mode), nil
}

// addresses checks that no two listeners share an address; port 0 is another one each time.
func (c *checker) addresses() {
	taken := map[Address]string{}
	for _, name := range slices.Sorted(maps.Keys(c.set.Listeners)) {
		a, err := ParseAddress(c.set.Listeners[name].GetAddress())
		if err != nil || a.Path == "" && a.TCP.Port() == 0 {
			continue
		}
		if other, ok := taken[a]; ok {
			c.kind, c.name = KindListener, name
			c.refuse("address", "%s is that of listener %q", a, other)
		}
		taken[a] = name
	}
}

func (c *checker) database(d *heliosv1.Database) {
	for field, name := range map[string]string{"name": d.GetName(), "known_as": d.GetKnownAs()} {
		if IsConsole(name) {
			c.refuse(field, "%q is the admin console", name)
		}
	}
	refers(c, "cluster", KindCluster, d.GetCluster(), c.set.Clusters)
	refers(c, "pool_profile", KindPoolProfile, d.GetPoolProfile(), c.set.PoolProfiles)
	c.noNUL("server_name", d.GetServerName())
	c.serverNames(d)
	c.parameters("parameters", d.GetParameters())
	c.noNUL("server_user", d.GetServerUser())
	c.opens("server_password", d.GetServerPassword())
	if hasSecret(d.GetServerPassword()) && d.GetServerUser() == "" {
		c.refuse("server_password", "is for a server_user, and there is none")
	}
	if q := d.GetAuthQuery(); q != nil {
		c.authQuery(q)
		if q.GetCluster() != "" {
			refers(c, "auth_query.cluster", KindCluster, q.GetCluster(), c.set.Clusters)
		}
	}
}

// unshown checks that a secret has its value and not only the word that there is one.
func (c *checker) unshown(field string, s *heliosv1.Secret) {
	if s.GetRedacted() {
		c.refuse(field, "is redacted, and there is no stored value that it could keep")
	}
}

func (c *checker) user(u *heliosv1.User) {
	c.unshown("secret", u.GetSecret())
	if _, err := FormOf(u.GetSecret().GetValue()); err != nil {
		c.refuse("secret", "%s", err)
	}
	if u.GetLookedUp() && hasSecret(u.GetSecret()) {
		c.refuse("looked_up", "there is a secret, which is to be the database's")
	}
	c.noNUL("server_user", u.GetServerUser())
	c.opens("server_password", u.GetServerPassword())
	c.passwords("server_passwords", u.GetServerPasswords())
	if u.GetServerPasswords() != nil && hasSecret(u.GetServerPassword()) {
		c.refuse("server_passwords", "there is a server_password already")
	}
	c.poolOverrides(u.GetPool())
}

func hasSecret(s *heliosv1.Secret) bool { return s.GetValue() != "" || s.GetRedacted() }

// opens checks a secret that is to log in at servers.
func (c *checker) opens(field string, s *heliosv1.Secret) {
	c.unshown(field, s)
	switch form, err := FormOf(s.GetValue()); {
	case err != nil:
		c.refuse(field, "%s", err)
	case form == SecretSCRAM:
		c.refuse(field, "a SCRAM verifier cannot log in anywhere; the password is needed")
	}
}

func (c *checker) limits(l *heliosv1.Limits) {
	if l.GetName() != LimitsName {
		c.refuse("name", "must be %q", LimitsName)
	}
	c.positive("max_prepared_statements", uint64(l.GetMaxPreparedStatements()))
	c.positive("max_prepared_per_server", uint64(l.GetMaxPreparedPerServer()))
	c.positive("max_prepared_bytes", l.GetMaxPreparedBytes())
	c.positive("max_statement_bytes", l.GetMaxStatementBytes())
	c.positive("max_waiting_logins", uint64(l.GetMaxWaitingLogins()))
	c.duration("login_timeout", l.GetLoginTimeout(), false)
	c.duration("server_write_timeout", l.GetServerWriteTimeout(), true)
	c.duration("client_write_timeout", l.GetClientWriteTimeout(), true)
	c.duration("failed_login_window", l.GetFailedLoginWindow(), false)
}

// place is where a kind stands among the kinds.
func place(kind Kind) int {
	return slices.IndexFunc(Types(), func(t Type) bool { return t.Kind == kind })
}
