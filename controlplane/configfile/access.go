package configfile

import (
	"fmt"
	"slices"
	"strings"

	"github.com/heliosproxy/heliosproxy/pkg/hba"
	"github.com/heliosproxy/heliosproxy/pkg/resource"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// buildListeners makes the doors, after the users, and says who cannot pass them or passes too easily.
func (r *reader) buildListeners() {
	s := r.settings
	auth := r.authMethod()
	first := s.text("proxy.listen_address")
	rules, maps := r.rules()
	door := func(name, key, address string) {
		l := &heliosv1.Listener{Name: name, Address: address, Auth: auth, Hba: rules, Ident: maps, Program: r.program(name)}
		l.ProxyProtocol, l.SoReuseport = s.texts("proxy.proxy_protocol"), s.bool("proxy.so_reuseport") && name != unixName
		if strings.HasPrefix(address, "unix:") {
			l.SocketMode, l.SocketGroup = s.text("proxy.unix_socket_mode"), s.text("proxy.unix_socket_group")
		} else {
			l.Tls = r.clientTLS()
			r.fromTLS(resource.KindListener, name, s, "tls.")
		}
		r.set.Listeners[name] = l
		r.origins[origin{resource.KindListener, name, "address"}] = s.at(key)
		mode := s.at("auth.mode")
		if name == unixName && (auth == heliosv1.AuthMethod_AUTH_METHOD_CERT || auth == heliosv1.AuthMethod_AUTH_METHOD_SCRAM_PLUS) {
			mode = s.at(key) // no socket can have them
		}
		r.origins[origin{resource.KindListener, name, "auth"}] = mode
		r.from(resource.KindListener, name, s, "proxy.", map[string]string{"proxy_protocol": "proxy_protocol", "so_reuseport": "so_reuseport", "socket_mode": "unix_socket_mode", "socket_group": "unix_socket_group"})
	}
	door(defaultName, "proxy.listen_address", first)
	more, _ := s.get("proxy.more_addresses").([]string)
	for i, address := range more {
		door(fmt.Sprintf("%s-%d", defaultName, i+2), "proxy.more_addresses", address)
	}
	if at := s.at("proxy.unix_socket_dir"); strings.HasPrefix(first, "unix:") && s.has("proxy.unix_socket_dir") {
		r.fail(at.line, at.key, "needs the port of a TCP address, and proxy.listen_address is a unix socket already")
	} else if s.has("proxy.unix_socket_dir") {
		// Of an address that is refused the port does not matter.
		address, _ := resource.ParseAddress(first)
		door(unixName, "proxy.unix_socket_dir", "unix:"+socketPath(s.text("proxy.unix_socket_dir"), address.TCP.Port()))
	}
	r.warnOfSocket()
	r.warnOfAccess(auth, append([]string{first}, more...))
	r.warnOfProgram(auth, rules)
	r.warnOfServerNames()
}

// warnOfSocket says of what holds for unix sockets that there is none.
func (r *reader) warnOfSocket() {
	for _, l := range r.set.Listeners {
		if strings.HasPrefix(l.GetAddress(), "unix:") {
			return
		}
	}
	for _, key := range []string{"proxy.unix_socket_mode", "proxy.unix_socket_group"} {
		if at := r.settings.at(key); r.settings.has(key) {
			r.warn(at.line, at.key, "there is no unix socket: proxy.unix_socket_dir opens one")
		}
	}
}

// warnOfRules says of lines that nobody can log in by them. whole says that maps are all that there are.
func (r *reader) warnOfRules(rules *hba.Rules, maps *hba.Maps, whole bool) {
	t := resource.TowardsClients(r.clientTLS())
	for rule := range rules.All() {
		warn := func(format string, args ...any) {
			r.beside(Warning, rule.File, rule.Line, "hba", fmt.Sprintf(format, args...))
		}
		switch {
		case rule.Type == hba.HostSSL && !t.Mode.Offered():
			warn("no client fits a hostssl line: there is no TLS without tls.cert_path and tls.key_path")
		case rule.Method == hba.Reject:
		case rule.ClientCert != "" && t.CAFile == "":
			warn("nobody can log in by this line, which asks for a certificate: tls.ca_path is missing, which says whose are good")
		case rule.Map != "" && whole && !maps.Has(rule.Map):
			warn("nobody can log in by this line: there is no map %q in auth.ident_file", rule.Map)
		}
	}
}

// warnOfServerNames says of databases that are chosen by host names that no client says one.
func (r *reader) warnOfServerNames() {
	if resource.TowardsClients(r.set.Listeners[defaultName].GetTls()).Mode.Offered() {
		return
	}
	for _, s := range r.lists["databases"] {
		if at := s.at("databases.server_names"); s.has("databases.server_names") {
			r.warn(at.line, at.key, "clients say no host name without TLS, which tls.cert_path and tls.key_path switch on")
		}
	}
}

// socketPath is where libpq looks for a socket in a directory. A relative one stays relative, to be refused.
func socketPath(dir string, port uint16) string {
	return fmt.Sprintf("%s/.s.PGSQL.%d", strings.TrimSuffix(dir, "/"), port)
}

func (r *reader) authMethod() heliosv1.AuthMethod {
	methods := map[string]heliosv1.AuthMethod{
		"trust":    heliosv1.AuthMethod_AUTH_METHOD_TRUST,
		"password": heliosv1.AuthMethod_AUTH_METHOD_PASSWORD,
		"md5":      heliosv1.AuthMethod_AUTH_METHOD_MD5,
		"scram":    heliosv1.AuthMethod_AUTH_METHOD_SCRAM,

		"scram-plus": heliosv1.AuthMethod_AUTH_METHOD_SCRAM_PLUS,
		"cert":       heliosv1.AuthMethod_AUTH_METHOD_CERT,
		"peer":       heliosv1.AuthMethod_AUTH_METHOD_PEER,
		"program":    heliosv1.AuthMethod_AUTH_METHOD_PROGRAM,
	}
	if !r.settings.has("auth.mode") && r.hasUsers() {
		return heliosv1.AuthMethod_AUTH_METHOD_SCRAM
	}
	return methods[r.settings.text("auth.mode")]
}

func (r *reader) warnOfAccess(auth heliosv1.AuthMethod, addresses []string) {
	mode := r.settings.at("auth.mode")
	listen := r.settings.at("proxy.listen_address")
	var address resource.Address
	far := false
	for i, a := range addresses {
		if parsed, err := resource.ParseAddress(a); err == nil && !parsed.Local() {
			if address, far = parsed, true; i > 0 {
				listen = r.settings.at("proxy.more_addresses")
			}
			break
		}
	}
	switch {
	case r.settings.has("auth.hba_file") || len(r.lists["hba"]) > 0:
	case auth == heliosv1.AuthMethod_AUTH_METHOD_TRUST && far:
		r.warn(mode.line, mode.key, "trust lets in everybody who reaches %s, under any name and without a password", address)
	case auth == heliosv1.AuthMethod_AUTH_METHOD_UNSPECIFIED && far:
		r.warn(listen.line, listen.key, "clients from other machines are refused until auth.mode or [[users]] say who may log in")
	case r.settings.has("auth.mode") && needsUsers(auth) && !r.hasUsers():
		r.warn(mode.line, mode.key, "there are no [[users]], so nobody can log in")
	}
}

// needsUsers says whether a method needs to know secrets.
func needsUsers(m heliosv1.AuthMethod) bool {
	switch m {
	case heliosv1.AuthMethod_AUTH_METHOD_TRUST, heliosv1.AuthMethod_AUTH_METHOD_CERT, heliosv1.AuthMethod_AUTH_METHOD_PEER,
		heliosv1.AuthMethod_AUTH_METHOD_PROGRAM:
		return false
	}
	return true
}

// hasUsers says whether users are known, or where they are looked up.
func (r *reader) hasUsers() bool {
	if slices.ContainsFunc(r.lists["users"], func(s *section) bool { return !s.bool("users.looked_up") }) || r.settings.has("auth.auth_file") || r.settings.has("auth.auth_user") {
		return true
	}
	for _, d := range r.lists["databases"] {
		if d.has("databases.auth_user") {
			return true
		}
	}
	return false
}

// buildUsers makes the users and says which of them cannot log in, here or at the server.
func (r *reader) buildUsers() {
	auth := r.authMethod()
	list, at := r.authFile()
	for _, s := range r.lists["users"] {
		name := s.text("users.name")
		if !unique(r, resource.KindUser, name, s, "users.name", r.set.Users) {
			continue
		}
		user := &heliosv1.User{Name: name, ServerUser: s.text("users.server_user"), MaxClients: uint32(s.int("users.max_clients")), MaxServerConnections: uint32(s.int("users.max_server_connections")), LookedUp: s.bool("users.looked_up")}
		if s.has("users.password") {
			user.Secret = &heliosv1.Secret{Value: s.text("users.password")}
		} else if u, ok := list[name]; ok {
			user.Secret = &heliosv1.Secret{Value: u.Secret}
			delete(list, name)
		}
		if s.has("users.server_password") {
			user.ServerPassword = &heliosv1.Secret{Value: s.text("users.server_password")}
		}
		user.ServerPasswords = r.passwords(s, "users.server_", resource.KindUser, name, "server_passwords")
		user.Pool = r.poolOverrides(name, s)
		r.set.Users[name] = user
		r.from(resource.KindUser, name, s, "users.", map[string]string{
			"name": "name", "secret": "password", "server_user": "server_user", "server_password": "server_password", "max_server_connections": "max_server_connections", "looked_up": "looked_up",
		})
		r.warnOfSecret(s, user, auth)
	}
	r.addUsers(list, at)
}

func (r *reader) warnOfSecret(s *section, user *heliosv1.User, auth heliosv1.AuthMethod) {
	at := s.at("users.password")
	warn := func(format string) { r.warn(at.line, at.key, format, user.GetName()) }
	form, err := resource.FormOf(user.GetSecret().GetValue())
	if err != nil || user.GetName() == "" {
		return // refused by validation
	}
	switch {
	case form == resource.SecretNone && !user.GetLookedUp() && needsUsers(auth) && !r.settings.has("auth.hba_file"):
		warn("%s has no password and cannot log in")
	case form == resource.SecretMD5 && auth == heliosv1.AuthMethod_AUTH_METHOD_SCRAM:
		warn("an md5 hash does not answer SCRAM: %s cannot log in unless auth.mode is md5 or password")
	}
	if user.GetServerPassword().GetValue() != "" || user.GetServerPasswords() != nil || r.elsewhere() {
		return
	}
	switch form {
	case resource.SecretSCRAM:
		if user.GetServerUser() != "" && user.GetServerUser() != user.GetName() {
			warn("a verifier opens no server for another user; set server_password for %s")
		}
	case resource.SecretMD5:
		warn("an md5 hash opens only servers that ask for md5; set server_password for %s")
	}
}
