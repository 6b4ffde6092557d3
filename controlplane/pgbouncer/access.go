package pgbouncer

import (
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/heliosproxy/heliosproxy/pkg/hba"
	"github.com/heliosproxy/heliosproxy/pkg/pgpass"
	"github.com/heliosproxy/heliosproxy/pkg/tlsconf"
)

// listen says where clients connect. What is not TCP has the port in its name.
func (t *translator) listen(s setting) {
	port := t.port()
	dir := t.get("unix_socket_dir")
	if strings.HasPrefix(dir.value, "@") {
		t.add(failure, dir.from, "there are no unix sockets in the abstract namespace here: name a directory, or nothing")
		return
	}
	var addresses []string
	for _, name := range listOf(s.value) {
		for _, a := range t.addresses(s, name, port) {
			if !slices.Contains(addresses, a) {
				addresses = append(addresses, a)
			}
		}
	}
	socket := t.path(dir.value)
	switch {
	case len(addresses) > 0:
		t.write("proxy.listen_address", s.from, addresses[0])
		if len(addresses) > 1 {
			t.write("proxy.more_addresses", s.from, addresses[1:])
		}
		if socket != "" {
			t.write("proxy.unix_socket_dir", dir.from, socket)
		}
	case len(listOf(s.value)) > 0: // reported
	case socket != "":
		t.write("proxy.listen_address", dir.from, fmt.Sprintf("unix:%s/.s.PGSQL.%d", strings.TrimSuffix(socket, "/"), port))
	default:
		t.add(failure, dir.from, "there is neither listen_addr nor unix_socket_dir: nobody could connect")
	}
}

func (t *translator) port() int64 {
	s := t.get("listen_port")
	value, ok := t.value(s)
	port, _ := value.(int64)
	if ok && (port < 1 || port > 65535) {
		t.add(failure, s.from, "%d is not a port", port)
	}
	return port
}

// addresses are those of one name in listen_addr.
func (t *translator) addresses(s setting, name string, port int64) []string {
	join := func(host string) string { return net.JoinHostPort(host, strconv.FormatInt(port, 10)) }
	switch {
	case name == "*" && t.o.IPv6:
		return []string{join("::")}
	case name == "*":
		return []string{join("0.0.0.0")}
	case name == "localhost":
		if t.o.IPv6 {
			return []string{join("127.0.0.1"), join("::1")}
		}
		return []string{join("127.0.0.1")}
	}
	if ip, err := netip.ParseAddr(name); err == nil {
		return []string{join(ip.String())}
	}
	found, err := t.o.LookupHost(name)
	if err != nil {
		t.add(failure, s.from, "%q has no address: %s", name, reason(err))
		return nil
	}
	t.add(note, s.from, "%s is %s now, and is not looked up again", name, strings.Join(found, " and "))
	for i := range found {
		found[i] = join(found[i])
	}
	return found
}

// socketMode is the mode of a socket's file, where there is a socket.
func (t *translator) socketMode(s setting) {
	value, ok := t.value(s)
	if mode, _ := value.(int64); ok && mode&0o777 != 0o777 && t.get("unix_socket_dir").value != "" {
		t.write(s.to[0], s.from, fmt.Sprintf("%04o", mode&0o777))
	}
}

func (t *translator) socketGroup(s setting) {
	if s.value != "" && t.get("unix_socket_dir").value != "" {
		t.write(s.to[0], s.from, s.value)
	}
}

// readUsers reads the names in auth_file. What is wrong with it is told when proxy.toml is read.
func (t *translator) readUsers() {
	s := t.get("auth_file")
	if s.value == "" {
		return
	}
	t.known = map[string]bool{}
	if data, err := t.o.ReadFile(t.path(s.value)); err == nil {
		users, _ := pgpass.ParseUserlist(s.value, data)
		for _, u := range users {
			t.known[u.Name] = true
		}
	}
}

func (t *translator) authFile(s setting) {
	if s.value != "" {
		t.write("auth.auth_file", s.from, t.path(s.value))
	}
}

// hbaFile is for auth_type = hba; else PgBouncer does not read it.
func (t *translator) hbaFile(s setting) {
	m, _ := choose(t.get("auth_type").value, authTypes())
	switch {
	case s.value == "":
	case m != "hba":
		t.add(note, s.from, "is not read, as auth_type is not hba")
	default:
		t.write(s.to[0], s.from, t.path(s.value))
	}
}

// authUser is as whom others are looked up.
func (t *translator) authUser(s setting) {
	if s.value != "" {
		t.write(s.to[0], s.from, s.value)
	}
}

func (t *translator) authQuery(s setting) {
	if s.value == "" {
		return
	}
	if !t.looksUp() {
		t.add(note, s.from, "is not asked, as nobody is auth_user")
		return
	}
	t.write(s.to[0], s.from, s.value)
}

// looksUp says whether any database asks for users.
func (t *translator) looksUp() bool {
	return t.get("auth_user").value != "" || slices.ContainsFunc(t.databases, func(d *item) bool { return d.pairs["auth_user"].given })
}

// access says who gets in.
func (t *translator) access(s setting) {
	m, err := choose(s.value, authTypes())
	switch {
	case strings.EqualFold(s.value, "peer"):
		t.add(failure, s.from, "peer is a method of auth_hba_file: write a line local all all peer there, and auth_type = hba")
	case err != nil: // reported
	case m == "any":
		t.write("auth.mode", s.from, "trust")
		for _, d := range t.databases {
			if !d.pairs["user"].given {
				t.add(failure, d.from, "auth_type is any, which needs user=: else clients would be at the server whoever they say they are")
			}
		}
	case m == "trust", m == "cert":
		t.write("auth.mode", s.from, m)
		t.listed(s, m)
	case m == "hba":
		if file := t.get("auth_hba_file"); file.value == "" {
			t.add(failure, s.from, "auth_hba_file is not set: nobody could log in")
		} else {
			t.easyRules(file)
		}
	case m == "pam" || m == "ldap":
		t.add(failure, s.from, "%s is not in this release, nobody could log in: let a program judge passwords (auth.mode = \"program\", docs/authentication.md)", m)
	default:
		t.write("auth.mode", s.from, map[string]string{"plain": "password", "md5": "md5", "scram-sha-256": "scram"}[m])
	}
}

// listed lets in nobody who is not in auth_file, as PgBouncer does whatever the method.
func (t *translator) listed(s setting, method string) {
	if t.looksUp() {
		t.add(warning, s.from, "users who are not in auth_file are not looked up for %s: the server decides who of them there is", method)
		return
	}
	for _, name := range slices.Sorted(maps.Keys(t.known)) {
		if name == "all" || name[0] == '/' {
			t.add(failure, s.from, "user %q cannot be let in alone: to a rule the name means others, too", name)
			continue
		}
		rule := t.out.element("hba")
		rule.set(s.from, "action", "allow")
		rule.set(s.from, "user", name)
	}
	if len(t.known) == 0 {
		t.add(warning, s.from, "auth_file has no users: nobody can log in")
		t.out.element("hba").set(s.from, "action", "reject")
	}
}

// easyRules tells of rules that ask for no password, which let in names that PgBouncer would look for in auth_file.
func (t *translator) easyRules(s setting) {
	data, err := t.o.ReadFile(t.path(s.value))
	if err != nil {
		return // told when proxy.toml is read
	}
	rules, _ := hba.Parse(t.path(s.value), data, hba.Options{ReadFile: t.o.ReadFile})
	if rules == nil {
		return
	}
	for r := range rules.All() {
		switch r.Method {
		case hba.Trust, hba.Cert, hba.Peer:
			t.add(warning, s.from, "line %d: %s lets in names that auth_file does not have, too, if the server does", r.Line, r.Method)
			return
		}
	}
}

// fileName is the name of a file, for who reads it from elsewhere.
func (t *translator) fileName(s setting) {
	if s.value != "" {
		t.write(s.to[0], s.from, t.path(s.value))
	}
}

// clientTLS is the mode of TLS with clients: PgBouncer's verify-full asks for no name.
func (t *translator) clientTLS(s setting) {
	value, ok := t.value(s)
	if !ok {
		return
	}
	if value == "verify-full" {
		value = "verify-ca"
	}
	t.write(s.to[0], s.from, value)
}

// serverCA are the authorities for servers, of which PgBouncer makes no use unless it verifies.
func (t *translator) serverCA(s setting) {
	mode, _ := choose(t.get("server_tls_sslmode").value, sslModes())
	switch {
	case s.value == "" && strings.HasPrefix(mode, "verify-"):
		asks := t.get("server_tls_sslmode")
		t.add(note, asks.from, "without server_tls_ca_file servers are held against the authorities of the machine")
		t.write(s.to[0], asks.from, tlsconf.System)
	case s.value == "":
	case !strings.HasPrefix(mode, "verify-"):
		t.add(note, s.from, "is not used, as server_tls_sslmode verifies nothing")
	default:
		t.fileName(s)
	}
}

// protocols are the versions of TLS. Those in between belong to them.
func (t *translator) protocols(s setting) {
	versions := []string{"TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"}
	var has [4]bool
	for name := range strings.FieldsFuncSeq(s.value, func(c rune) bool { return strings.ContainsRune(",: \t", c) }) {
		first, last := 0, 3
		switch v := strings.ToLower(name); v {
		case "all", "legacy":
		case "secure", "default":
			first = 2
		case "tlsv1", "tlsv1.0":
			last = 0
		case "tlsv1.1", "tlsv1.2", "tlsv1.3":
			first = int(v[len(v)-1] - '0')
			last = first
		default:
			t.add(failure, s.from, "%q is not one of tlsv1.0, tlsv1.1, tlsv1.2, tlsv1.3, all, secure, legacy", name)
			return
		}
		for i := first; i <= last; i++ {
			has[i] = true
		}
	}
	first, last := slices.Index(has[:], true), 3
	if first < 0 {
		return
	}
	for !has[last] {
		last--
	}
	if slices.Contains(has[first:last], false) {
		t.add(warning, s.from, "the versions between %s and %s are allowed, too", versions[first], versions[last])
	}
	if first != 2 {
		t.write(s.to[0], s.from, versions[first])
	}
	if last != 3 {
		t.write(s.to[1], s.from, versions[last])
	}
}

// ciphers are names of ciphers, or a word or an expression of OpenSSL, which only it can work out.
func (t *translator) ciphers(s setting) {
	switch strings.ToLower(s.value) {
	case "", "default", "secure", "fast", "normal":
		return
	}
	if strings.EqualFold(s.value, "all") || strings.ContainsAny(s.value, "!+@ ,") || !strings.Contains(s.value, "-") {
		t.add(warning, s.from, "not carried over, the ciphers are the proxy's own choice: name them, with : between")
		return
	}
	t.write(s.to[0], s.from, s.value)
}

// curve is the group for the exchange of keys.
func (t *translator) curve(s setting) {
	switch strings.ToLower(s.value) {
	case "", "auto":
	case "none":
		t.add(warning, s.from, "not carried over, keys are exchanged by ECDHE")
	default:
		t.write(s.to[0], s.from, s.value)
	}
}
