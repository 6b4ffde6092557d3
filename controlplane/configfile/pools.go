package configfile

import (
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/heliosproxy/heliosproxy/pkg/resource"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// poolSection is the keys with a prefix in a section, and those of [pool] where it is silent.
type poolSection struct {
	*section
	prefix string
	rest   *section
}

func (p poolSection) get(key string) any {
	if v := p.section.get(p.prefix + key); v != nil {
		return v
	}
	return p.rest.get("pool." + key)
}

func (p poolSection) word(key string) string   { v, _ := p.get(key).(string); return v }
func (p poolSection) number(key string) uint32 { v, _ := p.get(key).(int64); return uint32(v) }
func (p poolSection) flag(key string) bool     { v, _ := p.get(key).(bool); return v }
func (p poolSection) list(key string) []string { v, _ := p.get(key).([]string); return v }
func (p poolSection) duration(key string) *durationpb.Duration {
	v, _ := p.get(key).(int64)
	return durationpb.New(seconds(v))
}

// optional is nil where 0 is said or nothing.
func (p poolSection) optional(key string) *durationpb.Duration {
	if v, _ := p.get(key).(int64); v == 0 {
		return nil
	}
	return p.duration(key)
}

func poolModes() map[string]heliosv1.PoolMode {
	return map[string]heliosv1.PoolMode{
		"session":     heliosv1.PoolMode_POOL_MODE_SESSION,
		"transaction": heliosv1.PoolMode_POOL_MODE_TRANSACTION,
		"statement":   heliosv1.PoolMode_POOL_MODE_STATEMENT,
	}
}

// buildPool makes a pool profile of the keys with the prefix in s, and of those of [pool].
func (r *reader) buildPool(name string, s *section, prefix string) {
	guards := map[string]heliosv1.LeakGuard{
		"text":    heliosv1.LeakGuard_LEAK_GUARD_TEXT,
		"catalog": heliosv1.LeakGuard_LEAK_GUARD_CATALOG,
		"always":  heliosv1.LeakGuard_LEAK_GUARD_ALWAYS,
	}
	pins := map[string]heliosv1.Pin{
		"on":    heliosv1.Pin_PIN_ON,
		"error": heliosv1.Pin_PIN_ERROR,
		"off":   heliosv1.Pin_PIN_OFF,
	}
	listens := map[string]heliosv1.Listen{
		"shared": heliosv1.Listen_LISTEN_SHARED,
		"pin":    heliosv1.Listen_LISTEN_PIN,
	}
	p := poolSection{s, prefix, r.settings}
	r.set.PoolProfiles[name] = &heliosv1.PoolProfile{
		Name:           name,
		Mode:           poolModes()[p.word("mode")],
		LeakGuard:      guards[p.word("leak_guard")],
		Pin:            pins[p.word("pin")],
		SafeFunctions:  p.list("safe_functions"),
		Listen:         listens[p.word("listen")],
		ListenLost:     p.word("listen_lost"),
		DeferredBegin:  p.flag("deferred_begin"),
		MaxConnections: p.number("max_connections"),
		IdleTimeout:    p.duration("idle_timeout_secs"),
		AcquireTimeout: p.duration("acquire_timeout_secs"),
		ConnectTimeout: p.duration("connect_timeout_secs"),

		MaxLifetime:        p.duration("max_lifetime_secs"),
		MinConnections:     p.number("min_connections"),
		ServerRoundRobin:   p.flag("server_round_robin"),
		ReserveConnections: p.number("reserve_connections"),
		ReserveTimeout:     p.duration("reserve_timeout_secs"),
		LoginRetry:         p.duration("login_retry_secs"),
		MaxOpening:         p.number("max_opening"),

		ConnectQuery:            p.word("connect_query"),
		ApplicationNameAddHost:  p.flag("application_name_add_host"),
		IgnoreStartupParameters: p.list("ignore_startup_parameters"),
		WaitNotice:              p.optional("wait_notice_secs"),
		QueryTimeout:            p.optional("query_timeout_secs"),
		TransactionTimeout:      p.optional("transaction_timeout_secs"),
		IdleTransactionTimeout:  p.optional("idle_transaction_timeout_secs"),
		ClientIdleTimeout:       p.optional("client_idle_timeout_secs"),
	}
	r.from(resource.KindPoolProfile, name, s, prefix, map[string]string{
		"mode": "mode", "max_connections": "max_connections", "idle_timeout": "idle_timeout_secs",
		"acquire_timeout": "acquire_timeout_secs", "connect_timeout": "connect_timeout_secs",
		"max_lifetime": "max_lifetime_secs", "min_connections": "min_connections", "reserve_timeout": "reserve_timeout_secs", "login_retry": "login_retry_secs",
		"leak_guard": "leak_guard", "pin": "pin", "listen": "listen", "listen_lost": "listen_lost", "deferred_begin": "deferred_begin", "safe_functions": "safe_functions",
		"connect_query": "connect_query", "ignore_startup_parameters": "ignore_startup_parameters",
	})
}

// poolOverrides is what a user says in place of the pool profile of his database; nil where he says nothing.
func (r *reader) poolOverrides(name string, s *section) *heliosv1.PoolOverrides {
	const prefix = "users.pool."
	said := false
	for _, k := range userPoolKeys() {
		said = said || s.has(k.name)
	}
	if !said {
		return nil
	}
	duration := func(key string) *durationpb.Duration {
		if !s.has(prefix + key) {
			return nil
		}
		return durationpb.New(seconds(s.int(prefix + key)))
	}
	r.from(resource.KindUser, name, s, prefix, map[string]string{"pool": "max_connections"})
	return &heliosv1.PoolOverrides{
		Mode: poolModes()[s.text(prefix+"mode")], MaxConnections: uint32(s.int(prefix + "max_connections")),
		IdleTimeout: duration("idle_timeout_secs"), AcquireTimeout: duration("acquire_timeout_secs"),
		QueryTimeout: duration("query_timeout_secs"), TransactionTimeout: duration("transaction_timeout_secs"),
		IdleTransactionTimeout: duration("idle_transaction_timeout_secs"), ClientIdleTimeout: duration("client_idle_timeout_secs"),
	}
}

func (r *reader) buildDatabases() {
	for _, s := range r.lists["databases"] {
		name := s.text("databases.name")
		if !unique(r, resource.KindDatabase, name, s, "databases.name", r.set.Databases) {
			continue
		}
		profile := defaultName
		for _, k := range poolKeys() {
			if s.has("databases." + k.name) {
				profile = "database " + name
			}
		}
		if profile != defaultName {
			r.buildPool(profile, s, "databases.pool.")
		}
		names, _ := s.get("databases.server_names").([]string)
		parameters, _ := s.get("databases.parameters").(map[string]string)
		r.set.Databases[name] = &heliosv1.Database{
			Name: name, Cluster: s.text("databases.cluster"), ServerName: s.text("databases.server_name"), PoolProfile: profile,
			KnownAs: s.text("databases.known_as"), ServerNames: names, Parameters: parameters,
			AuthQuery: r.authQuery(s, "databases."), MaxClients: uint32(s.int("databases.max_clients")),
			ServerUser: s.text("databases.user"), MaxServerConnections: uint32(s.int("databases.max_server_connections")),
		}
		if s.has("databases.password") {
			r.set.Databases[name].ServerPassword = &heliosv1.Secret{Value: s.text("databases.password")}
		}
		r.fromAuthQuery(name, s, "databases.")
		r.from(resource.KindDatabase, name, s, "databases.", map[string]string{
			"name": "name", "cluster": "cluster", "known_as": "known_as", "server_names": "server_names",
			"server_name": "server_name", "pool_profile": "pool", "server_user": "user", "server_password": "password",
			"max_server_connections": "max_server_connections", "parameters": "parameters",
		})
	}
	if len(r.lists["databases"]) == 0 {
		r.set.Databases[resource.AnyDatabase] = &heliosv1.Database{
			Name: resource.AnyDatabase, Cluster: defaultName, PoolProfile: defaultName, AuthQuery: r.authQuery(r.settings, "auth."),
		}
		r.origins[origin{resource.KindDatabase, resource.AnyDatabase, "cluster"}] = place{1, "databases"}
		r.fromAuthQuery(resource.AnyDatabase, r.settings, "auth.")
	}
}
