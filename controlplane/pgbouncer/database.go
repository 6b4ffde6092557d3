package pgbouncer

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// hosts finds the server of each database, and gives each server a cluster. A pool here is that of a database and a user at a server, while
// PgBouncer's is that of a database in its file: where a second of these leads to the same place it gets a cluster of its own, and so pools
// of its own. So does one whose connections are spread over the hosts another way.
func (t *translator) hosts() {
	named := map[string]bool{}
	for _, d := range t.databases {
		t.host(d)
		named[d.name] = true
	}
	taken := map[[2]string]bool{}  // by cluster and database at the server
	spreads := map[string]string{} // by cluster
	alike := func(d *item, cluster string) bool {
		spread, there := spreads[cluster]
		return !there || spread == d.spread
	}
	full := map[[3]string]int{} // by server, database there and spread: how many clusters have no room for it
	for _, d := range t.databases {
		if !d.any() {
			at := [3]string{d.server(), d.serverName(), d.spread}
			full[at] = d.place(full[at], func(cluster string) bool { return alike(d, cluster) && !taken[[2]string{cluster, d.serverName()}] })
			taken[[2]string{d.cluster, d.serverName()}] = true
			spreads[d.cluster] = d.spread
		}
	}
	for _, d := range t.databases {
		if d.any() {
			d.place(0, func(cluster string) bool {
				for at := range taken {
					if at[0] == cluster && !named[at[1]] {
						return false // whoever asks for that name gets there, too
					}
				}
				return alike(d, cluster)
			})
		}
	}
}

// any says whether a database leads to any at its server.
func (d *item) any() bool { return d.name == "*" && !d.pairs["dbname"].given }

// host finds where a database is.
func (t *translator) host(d *item) {
	from := d.from
	if s := d.pairs["host"]; s.given {
		from, d.host = s.from, s.value
		if all := listOf(s.value); len(all) == 1 && isName(s.value) {
			d.spread = "round-robin" // over its addresses, whatever load_balance_hosts says
		} else if len(all) > 1 {
			d.host, d.spread = strings.Join(all, ","), "round-robin"
			if s := d.pairs["load_balance_hosts"]; s.given {
				if word, ok := t.value(s); ok {
					d.spread, _ = word.(string)
				}
			}
		}
	} else {
		d.host = t.path(t.get("unix_socket_dir").value)
	}
	switch {
	case strings.HasPrefix(d.host, "@"):
		t.add(failure, from, "there are no unix sockets in the abstract namespace here")
	case d.host == "":
		t.add(failure, from, "there is neither host nor unix_socket_dir")
	}
	d.port = 5432
	if s := d.pairs["port"]; s.given {
		if value, ok := t.value(s); ok {
			d.port, _ = value.(int64)
		}
		if d.port < 1 || d.port > 65535 {
			t.add(failure, s.from, "invalid port: %s", s.value)
		}
	}
}

// isName says whether a host is a name that may have several addresses. localhost has two, and both are this machine.
func isName(host string) bool {
	return net.ParseIP(host) == nil && !strings.HasPrefix(host, "/") && !strings.HasPrefix(host, "@") && host != "localhost"
}

// place chooses the first cluster of the server that has room for the database, of those after the first full ones. It returns how many have none.
func (d *item) place(full int, fits func(cluster string) bool) int {
	for server := d.server(); ; full++ {
		d.cluster = server
		if full > 0 {
			d.cluster = server + "#" + strconv.Itoa(full+1)
		}
		if fits(d.cluster) {
			return full
		}
	}
}

// server is HOST:PORT.
func (d *item) server() string { return net.JoinHostPort(d.host, strconv.FormatInt(d.port, 10)) }

// serverName is the database's name at the server.
func (d *item) serverName() string {
	if s := d.pairs["dbname"]; s.given {
		return s.value
	}
	return d.name
}

// writeDatabases writes the servers and the databases.
func (t *translator) writeDatabases() {
	if len(t.databases) == 0 && t.main && !t.findings.Failed() {
		t.add(failure, origin{place{t.file, 1}, "[databases]"}, "there are no databases, so there is nothing to connect to")
	}
	first := map[string]*item{} // the database for which a cluster is there
	for _, d := range t.databases {
		if first[d.cluster] == nil {
			first[d.cluster] = d
		}
	}
	several := len(first) > 1
	for _, d := range t.databases {
		if first[d.cluster] != d {
			continue
		}
		from := d.from
		if s := d.pairs["host"]; s.given {
			from = s.from
		}
		node := t.out.element("nodes")
		switch {
		case d.cluster == d.server():
		case first[d.server()].spread != d.spread:
			node.comment(from, "the same hosts again, for a database whose connections are spread over them another way")
		default:
			node.comment(from, "the same server again, for a database that leads to one there which another leads to: in PgBouncer each has pools of its own")
		}
		if several {
			node.set(from, "name", d.cluster)
			node.set(from, "cluster", d.cluster)
		}
		node.set(from, "host", d.host)
		if s := d.pairs["port"]; s.given {
			node.set(s.from, "port", d.port)
		}
		if s := d.pairs["load_balance_hosts"]; d.spread != "" {
			if !s.given || isName(d.host) && !strings.Contains(d.host, ",") {
				s.from = from
			}
			node.set(s.from, "load_balance_hosts", d.spread)
		}
		node.set(from, "role", "primary")
	}
	for _, d := range t.databases {
		e := t.out.element("databases")
		e.set(d.from, "name", d.name)
		if several {
			e.set(d.from, "cluster", d.cluster)
		}
		in := func(string) *element { return e }
		for _, k := range databaseKeys() {
			s, ok := d.pairs[k.name]
			switch {
			case !ok, k.name == "reserve_pool" && d.pairs["reserve_pool_size"].given:
			case k.name == "auth_query" && t.get("auth_user").value == "" && !d.pairs["auth_user"].given:
				t.add(note, s.from, "is not asked, as nobody is auth_user")
			case k.name == "password" && !d.pairs["user"].given:
				t.add(note, s.from, "is not used, as there is no user=")
			default:
				t.one(s, in, "databases")
			}
		}
		for _, name := range parameters() {
			if s, ok := d.pairs[name]; ok {
				e.set(s.from, "parameters."+name, s.value)
			}
		}
		t.authDatabase(d, e)
	}
}

// parameters are the keys of a database that are run-time parameters for clients that say nothing else.
func parameters() []string {
	return []string{"client_encoding", "datestyle", "timezone", "application_name"}
}

// authDatabase says which database is asked for users.
func (t *translator) authDatabase(d *item, e *element) {
	s := d.pairs["auth_dbname"]
	if !s.given {
		s = t.get("auth_dbname")
	}
	if s.value == "" || t.get("auth_user").value == "" && !d.pairs["auth_user"].given {
		return
	}
	i := slices.IndexFunc(t.databases, func(o *item) bool { return o.name == s.value })
	name := s.value
	if i < 0 {
		i = slices.IndexFunc(t.databases, func(o *item) bool { return o.name == "*" })
	} else {
		name = t.databases[i].serverName()
	}
	switch {
	case i < 0:
		t.add(failure, s.from, "there is no database %q in [databases]", s.value)
		return
	case t.databases[i].name == "*" && t.databases[i].pairs["dbname"].given:
		name = t.databases[i].serverName()
	}
	e.set(s.from, "auth_dbname", name)
	if other := t.databases[i]; other.server() != d.server() {
		e.set(s.from, "auth_cluster", other.cluster)
	}
}

// writeUsers writes what is said of single users.
func (t *translator) writeUsers() {
	for _, u := range t.users {
		e := &element{}
		e.set(u.from, "name", u.name)
		if !t.known[u.name] {
			e.set(u.from, "looked_up", true)
		}
		for _, k := range userKeys() {
			if s, ok := u.pairs[k.name]; ok && k.section == "users" {
				t.one(s, func(string) *element { return e }, "users")
			}
		}
		*t.out.element("users") = *e
	}
}

// writePeer writes a proxy that cancel requests are passed on to. Without a peer_id PgBouncer passes none on, but everything must be right nevertheless.
func (t *translator) writePeer(p *item) {
	id, clean := lenient(p.name)
	host, port := p.pairs["host"], int64(6432)
	if s, ok := p.pairs["port"]; ok {
		if n, ok := t.value(s); ok {
			port = n.(int64)
		}
	}
	switch {
	case !clean || id < 1 || id > 0xffff:
		t.add(failure, p.from, "ids of peers must be a number larger than 0 and at most 65536")
		return
	case !host.given:
		t.add(failure, p.from, "host was not provided for peer %s", p.name)
		return
	}
	if s, ok := p.pairs["pool_size"]; ok {
		t.one(s, t.out.table, "peers")
	}
	if own, _ := lenient(t.get("peer_id").value); own == 0 {
		t.add(note, p.from, "not carried over, without peer_id cancel requests are not passed on")
		return
	}
	address, err := t.peerAddress(host.value, port)
	if err != nil {
		t.add(warning, host.from, "not carried over, cancel requests are not passed on to it: %s", err)
		return
	}
	e := t.out.element("peers")
	e.set(p.from, "peer_id", id)
	e.set(host.from, "address", address)
}

// peerAddress is where a peer is reached, as a listener of proxy.toml has it.
func (t *translator) peerAddress(host string, port int64) (string, error) {
	switch {
	case port < 1 || port > 65535:
		return "", fmt.Errorf("%d is not a port", port)
	case strings.HasPrefix(host, "@"):
		return "", errors.New("there are no unix sockets in the abstract namespace here")
	case strings.HasPrefix(host, "/"):
		return fmt.Sprintf("unix:%s/.s.PGSQL.%d", strings.TrimSuffix(host, "/"), port), nil
	}
	if _, err := netip.ParseAddr(host); err != nil {
		found, err := t.o.LookupHost(host)
		if err != nil || len(found) == 0 {
			return "", fmt.Errorf("%q has no address", host)
		}
		host = found[0]
	}
	return net.JoinHostPort(host, strconv.FormatInt(port, 10)), nil
}
