package configfile

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/heliosproxy/heliosproxy/pkg/hba"
	"github.com/heliosproxy/heliosproxy/pkg/pgpass"
	"github.com/heliosproxy/heliosproxy/pkg/resource"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// near is the path of a file that the configuration names: a relative one is beside it.
func (r *reader) near(p string) string {
	if p == "" || filepath.IsAbs(p) {
		return p
	}
	return filepath.Join(filepath.Dir(r.file), p)
}

// path is near for who reads the file later, from wherever.
func (r *reader) path(p string) string {
	p = r.near(p)
	if abs, err := filepath.Abs(p); err == nil && p != "" {
		return abs
	}
	return p
}

// open reads the file that a key names; ok is false if there is none or it cannot be read, which is reported.
func (r *reader) open(key string) (path string, text []byte, ok bool) {
	if path = r.near(r.settings.text(key)); path == "" {
		return "", nil, false
	}
	text, err := os.ReadFile(path)
	if err != nil {
		at := r.settings.at(key)
		r.fail(at.line, at.key, "%s", err)
		return path, nil, false
	}
	return path, text, true
}

// rules are the rules and the user name maps of the listeners, as texts without includes.
func (r *reader) rules() (rules, maps string) {
	o := hba.Options{ReadFile: os.ReadFile, ReadDir: os.ReadDir, Lack: hba.Needs{Roles: true}}
	report := func(key string, problems []hba.Problem) {
		for _, p := range problems {
			r.beside(Error, p.File, p.Line, key, p.Reason)
		}
	}
	var known *hba.Maps
	whole := true // the maps are known
	if path, text, ok := r.open("auth.ident_file"); ok {
		m, problems := hba.ParseIdent(path, text, o)
		if report("ident", problems); len(problems) == 0 {
			maps = m.Text()
		}
		known, whole = m, len(problems) == 0
	}
	if path, text, ok := r.open("auth.hba_file"); ok {
		m, problems := hba.Parse(path, text, o)
		if m != nil {
			problems = append(problems, resource.NotServed(m, r.settings.has("auth.program"))...)
		}
		if report("hba", problems); len(problems) == 0 {
			rules = m.Text()
			r.warnOfRules(m, known, whole)
		}
		for _, s := range r.lists["hba"] {
			r.fail(s.line, "hba", "auth.hba_file has the rules; put this one there")
			break
		}
		return rules, maps
	}
	return r.hbaList(), maps
}

// hbaList is [[hba]] as rules of pg_hba.conf.
func (r *reader) hbaList() string {
	method := map[heliosv1.AuthMethod]hba.Method{
		heliosv1.AuthMethod_AUTH_METHOD_TRUST: hba.Trust, heliosv1.AuthMethod_AUTH_METHOD_PASSWORD: hba.Password,
		heliosv1.AuthMethod_AUTH_METHOD_MD5: hba.MD5, heliosv1.AuthMethod_AUTH_METHOD_SCRAM: hba.SCRAM,
		heliosv1.AuthMethod_AUTH_METHOD_CERT: hba.Cert, heliosv1.AuthMethod_AUTH_METHOD_PEER: hba.Peer,
		heliosv1.AuthMethod_AUTH_METHOD_PROGRAM: hba.PAM,
	}[r.authMethod()]
	var b strings.Builder
	for _, s := range r.lists["hba"] {
		m := method
		switch s.text("hba.action") {
		case "reject":
			m = hba.Reject
		case "":
			if !s.has("hba.action") {
				r.fail(s.line, "hba.action", "missing")
			}
			continue
		}
		at := s.at("hba.action")
		if m == "" {
			r.fail(at.line, at.key, "allow asks for what auth.mode says: set that to one of trust, password, md5, scram, cert, peer and program")
			continue
		}
		who := quoted(s.text("hba.database")) + " " + quoted(s.text("hba.user"))
		addr := s.text("hba.address")
		lines := []string{fmt.Sprintf("host %s %s %s", who, addr, m)}
		if addr == "all" && m != hba.Cert {
			lines = append(lines, fmt.Sprintf("local %s %s", who, m))
		}
		if m == hba.Peer {
			lines = lines[1:]
		}
		for _, line := range lines {
			if _, problems := hba.Parse("hba", []byte(line+"\n"), hba.Options{}); len(problems) > 0 {
				at := s.at("hba.address")
				r.fail(at.line, at.key, "%s", problems[0].Reason)
				continue
			}
			b.WriteString(line + "\n")
		}
	}
	return b.String()
}

// quoted is a name of [[hba]] as pg_hba.conf has it: all is everybody, whatever else is a name.
func quoted(name string) string {
	if name == "all" {
		return name
	}
	return `"` + strings.ReplaceAll(name, `"`, `""`) + `"`
}

// authFile are the users of auth.auth_file by name.
func (r *reader) authFile() (map[string]pgpass.User, place) {
	path, text, ok := r.open("auth.auth_file")
	if !ok {
		return nil, place{}
	}
	at := r.settings.at("auth.auth_file")
	users, problems := pgpass.ParseUserlist(path, text)
	for _, p := range problems {
		severity := Error
		if p.Works {
			severity = Warning
		}
		r.beside(severity, p.File, p.Line, "auth_file", p.Reason)
	}
	list := make(map[string]pgpass.User, len(users))
	for _, u := range users {
		list[u.Name] = u
	}
	return list, at
}

// addUsers adds those of auth.auth_file that [[users]] has no use for.
func (r *reader) addUsers(list map[string]pgpass.User, at place) {
	for _, name := range slices.Sorted(maps.Keys(list)) {
		if _, taken := r.set.Users[name]; taken {
			r.beside(Error, r.near(r.settings.text("auth.auth_file")), list[name].Line, "auth_file", fmt.Sprintf("user %q is one of [[users]] already", name))
			continue
		}
		r.set.Users[name] = &heliosv1.User{Name: name, Secret: &heliosv1.Secret{Value: list[name].Secret}}
		for _, field := range []string{"", "name", "secret"} {
			r.origins[origin{resource.KindUser, name, field}] = at
		}
	}
}

// authQuery is where the users of a database are looked up; nil is nowhere. What s does not say of it is said by [auth].
func (r *reader) authQuery(s *section, prefix string) *heliosv1.AuthQuery {
	text := func(key string) string {
		if w, ok := s.get(prefix + key).(string); ok {
			return w
		}
		return r.settings.text("auth." + key)
	}
	good, ok := s.get(prefix + "auth_cache_secs").(int64)
	if !ok {
		good = r.settings.int("auth.auth_cache_secs")
	}
	if text("auth_user") == "" {
		for _, key := range []string{"auth_query", "auth_password", "auth_dbname", "auth_cluster"} {
			if s.has(prefix + key) {
				at := s.at(prefix + key)
				r.fail(at.line, at.key, "needs auth_user, as whom the proxy looks users up")
			}
		}
		return nil
	}
	q := &heliosv1.AuthQuery{
		User: text("auth_user"), Query: text("auth_query"), Database: text("auth_dbname"), Cluster: text("auth_cluster"), CacheTime: durationpb.New(seconds(good)),
	}
	if pw := text("auth_password"); pw != "" {
		q.Password = &heliosv1.Secret{Value: pw}
	}
	return q
}

// clientTLS is the TLS of the listener; nil is none.
func (r *reader) clientTLS() *heliosv1.ClientTLS {
	s := r.settings
	mode := sslModes()[s.text("tls.mode")]
	switch {
	case s.has("tls.mode"):
	case s.has("tls.enabled") && !s.bool("tls.enabled"):
		return nil
	case s.bool("tls.require_client_cert"):
		mode = heliosv1.SSLMode_SSL_MODE_VERIFY_CA
	case s.bool("tls.enabled"), s.has("tls.cert_path"):
		mode = heliosv1.SSLMode_SSL_MODE_PREFER
	default:
		return nil
	}
	for _, key := range []string{"tls.enabled", "tls.require_client_cert"} {
		if at := s.at(key); s.has("tls.mode") && s.has(key) {
			r.fail(at.line, at.key, "tls.mode says it already")
		}
	}
	t := &heliosv1.ClientTLS{
		Mode: mode, CertFile: r.path(s.text("tls.cert_path")), KeyFile: r.path(s.text("tls.key_path")),
		CaFile: r.path(s.text("tls.ca_path")), CrlFile: r.path(s.text("tls.crl_path")),
		MinVersion: s.text("tls.min_version"), MaxVersion: s.text("tls.max_version"), Ciphers: s.text("tls.ciphers"), Curves: s.text("tls.curves"),
	}
	if pw := s.text("tls.key_password"); pw != "" {
		t.KeyPassword = &heliosv1.Secret{Value: pw}
	}
	return t
}

func sslModes() map[string]heliosv1.SSLMode {
	return map[string]heliosv1.SSLMode{
		"disable": heliosv1.SSLMode_SSL_MODE_DISABLE, "allow": heliosv1.SSLMode_SSL_MODE_ALLOW, "prefer": heliosv1.SSLMode_SSL_MODE_PREFER,
		"require": heliosv1.SSLMode_SSL_MODE_REQUIRE, "verify-ca": heliosv1.SSLMode_SSL_MODE_VERIFY_CA, "verify-full": heliosv1.SSLMode_SSL_MODE_VERIFY_FULL,
	}
}

// serverTLS is the TLS towards servers that the keys with the prefix in s say, and those of [server_tls].
func (r *reader) serverTLS(s *section, prefix string) *heliosv1.ServerTLS {
	text := func(key string) string {
		if w, ok := s.get(prefix + key).(string); ok {
			return w
		}
		return r.settings.text("server_tls." + key)
	}
	direct, ok := s.get(prefix + "direct").(bool)
	if !ok {
		direct = r.settings.bool("server_tls.direct")
	}
	ca := text("ca_path")
	if ca != "system" {
		ca = r.path(ca)
	}
	t := &heliosv1.ServerTLS{
		Mode: sslModes()[text("mode")], CaFile: ca, CrlFile: r.path(text("crl_path")), CertFile: r.path(text("cert_path")), KeyFile: r.path(text("key_path")),
		MinVersion: text("min_version"), MaxVersion: text("max_version"), Ciphers: text("ciphers"), Curves: text("curves"), Direct: direct,
		ChannelBinding: map[string]heliosv1.ChannelBinding{
			"disable": heliosv1.ChannelBinding_CHANNEL_BINDING_DISABLE, "prefer": heliosv1.ChannelBinding_CHANNEL_BINDING_PREFER,
			"require": heliosv1.ChannelBinding_CHANNEL_BINDING_REQUIRE,
		}[text("channel_binding")],
	}
	if pw := text("key_password"); pw != "" {
		t.KeyPassword = &heliosv1.Secret{Value: pw}
	}
	return t
}

// fromTLS notes which keys the TLS of a resource comes from.
func (r *reader) fromTLS(kind resource.Kind, name string, s *section, prefix string) {
	r.from(kind, name, s, prefix, map[string]string{
		"tls.mode": "mode", "tls.cert_file": "cert_path", "tls.key_file": "key_path", "tls.key_password": "key_password", "tls.ca_file": "ca_path",
		"tls.crl_file": "crl_path", "tls.min_version": "min_version", "tls.max_version": "max_version", "tls.ciphers": "ciphers", "tls.curves": "curves",
		"tls.direct": "direct", "tls.channel_binding": "channel_binding",
	})
}
