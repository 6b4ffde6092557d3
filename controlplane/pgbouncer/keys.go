package pgbouncer

import "github.com/heliosproxy/heliosproxy/controlplane/configfile"

// key is what PgBouncer knows by a name, and what becomes of it.
type key struct {
	section, name string
	form          form
	words         []string // of a word
	def           string   // PgBouncer's default
	// to is the key of proxy.toml that means the same; of several the first that this build knows.
	to []string
	// zero is what 0 means there.
	zero zero
	// wanted is the key that asks for this one where it is missing.
	wanted string
	// how translates what is more than a value; nil takes it as it is.
	how func(*translator, setting)
	// lack says what happens where there is nothing that means the same, a clause; level how much that is.
	lack  string
	level configfile.Severity
	// doc says for the reference what becomes of it, where that is more than to and lack say. Markdown.
	doc string
	// later is true for what is newer than PgBouncer 1.25.
	later bool
}

// zero is what 0 means for a key of PgBouncer.
type zero int

const (
	zeroValue zero = iota // what any number means
	zeroNone              // there is no such thing, as with a negative number
	zeroNever             // as long as it takes
)

const (
	note    = configfile.Note
	warning = configfile.Warning
	failure = configfile.Error
)

func modes() []string { return []string{"session", "transaction", "statement"} }

func sslModes() []string {
	return []string{"disable", "allow", "prefer", "require", "verify-ca", "verify-full"}
}

func authTypes() []string {
	return []string{"any", "trust", "plain", "md5", "cert", "hba", "ldap", "pam", "scram-sha-256"}
}

func one(to string) []string { return []string{to} }

// inPool is a key of [pool], for a database.
func inPool(name string) []string {
	return one("databases.pool." + name)
}

// keys is the table of all that PgBouncer knows, in the order of its documentation.
func keys() []key {
	all := append(generalKeys(), networkKeys()...)
	all = append(all, databaseKeys()...)
	return append(all, userKeys()...)
}

// generalKeys are those of [pgbouncer].
func generalKeys() []key {
	const g = "pgbouncer"
	return []key{
		{section: g, name: "logfile", how: (*translator).logfile, doc: "is written to beside stderr, and opened anew at SIGHUP, with `--pgbouncer-ini`", lack: "the log goes to stderr", level: note},
		{section: g, name: "pidfile", how: (*translator).pidfile, doc: "is written with `--pgbouncer-ini`", lack: "no file is written", level: note},
		{section: g, name: "listen_addr", how: (*translator).listen, to: []string{"proxy.listen_address", "proxy.more_addresses"}, doc: "`proxy.listen_address` and `proxy.more_addresses`; a name becomes its addresses, `*` is `[::]`, or `0.0.0.0` where there is no IPv6; without it there is a unix socket alone"},
		{section: g, name: "listen_port", form: number, def: "6432", how: (*translator).done, doc: "the port in `proxy.listen_address`"},
		{section: g, name: "unix_socket_dir", def: "/tmp", how: (*translator).done, to: one("proxy.unix_socket_dir"), doc: "`proxy.unix_socket_dir`, and `nodes.host` of databases without host. `/tmp` unless set (Debian's PgBouncer has `/var/run/postgresql`)"},
		{section: g, name: "unix_socket_mode", form: number, def: "0777", how: (*translator).socketMode, to: one("proxy.unix_socket_mode"), lack: "every process of the machine reaches the socket (mode 0777)", level: warning},
		{section: g, name: "unix_socket_group", how: (*translator).socketGroup, to: one("proxy.unix_socket_group"), lack: "the socket's group is that of the process; it has mode 0777", level: note},
		{section: g, name: "user", lack: "the program does not change its user: start it as that one", level: warning},
		{section: g, name: "pool_mode", form: word, words: modes(), def: "session", to: one("pool.mode")},
		{section: g, name: "max_client_conn", form: number, def: "100", to: one("limits.max_clients")},
		{section: g, name: "default_pool_size", form: number, def: "20", to: one("pool.max_connections")},
		{section: g, name: "min_pool_size", form: number, def: "0", zero: zeroNone, to: one("pool.min_connections"), lack: "server connections are opened when they are needed", level: warning},
		{section: g, name: "reserve_pool_size", form: number, def: "0", zero: zeroNone, to: one("pool.reserve_connections"), lack: "a pool has no reserve", level: warning},
		{section: g, name: "reserve_pool_timeout", form: seconds, def: "5", zero: zeroNever, how: (*translator).reserveTimeout, to: one("pool.reserve_timeout_secs"), lack: "a pool has no reserve", level: warning},
		{section: g, name: "max_db_connections", form: number, def: "0", zero: zeroNone, to: one("limits.max_server_connections_per_database"), lack: "each pool has its own bound, and all of a database have none", level: warning},
		{section: g, name: "max_db_client_connections", form: number, def: "0", zero: zeroNone, to: one("limits.max_clients_per_database")},
		{section: g, name: "max_user_connections", form: number, def: "0", zero: zeroNone, to: one("limits.max_server_connections_per_user"), doc: "`limits.max_server_connections_per_user`, which counts at each server, and not over all of them", lack: "each pool has its own bound, and all of a user have none", level: warning},
		{section: g, name: "max_user_client_connections", form: number, def: "0", zero: zeroNone, to: one("limits.max_clients_per_user")},
		{section: g, name: "server_round_robin", form: onOff, def: "0", to: one("pool.server_round_robin"), lack: "the server connection that was used last is used first", level: warning},
		{section: g, name: "track_extra_parameters", def: "IntervalStyle", lack: "every setting of a session follows it", level: note},
		{section: g, name: "ignore_startup_parameters", how: (*translator).ignored, to: one("pool.ignore_startup_parameters"), lack: "what a client says at its start is a setting of its session, which the server takes or refuses", level: warning},
		{section: g, name: "peer_id", form: number, def: "0", zero: zeroNone, to: one("proxy.peer_id"), doc: "`proxy.peer_id`, for [cancel requests](cancel.md). Proxies of this program pass them on to each other; they and PgBouncers do not"},
		{section: g, name: "disable_pqexec", form: onOff, def: "0", lack: "the simple protocol, with many statements in one Query, would be let through", level: failure},
		{section: g, name: "application_name_add_host", form: onOff, def: "0", to: one("pool.application_name_add_host"), lack: "the application's name is what the client says", level: warning},
		{section: g, name: "conffile", lack: "the file that is read again is the one of the command line", level: warning},
		{section: g, name: "service_name", def: "pgbouncer", lack: "it is for Windows", level: note},
		{section: g, name: "job_name", def: "pgbouncer", lack: "it is for Windows", level: note},
		{section: g, name: "stats_period", form: number, def: "60", lack: "metrics are counters, averages are whose reads them", level: note},
		{section: g, name: "max_prepared_statements", form: number, def: "200", how: (*translator).prepared, to: one("limits.max_prepared_per_server"), doc: "`limits.max_prepared_per_server`; with 0 named statements work all the same"},
		{section: g, name: "scram_iterations", form: number, def: "4096", lack: "a verifier that is made of a password has 4096 iterations", level: warning},
		{section: g, name: "auth_type", form: word, words: authTypes(), def: "md5", how: (*translator).access, to: one("auth.mode"), doc: "`auth.mode`; [below](#who-gets-in)"},
		{section: g, name: "auth_hba_file", how: (*translator).hbaFile, to: one("auth.hba_file"), doc: "`auth.hba_file`, where `auth_type` is `hba`"},
		{section: g, name: "auth_ident_file", how: (*translator).hbaFile, to: one("auth.ident_file"), doc: "`auth.ident_file`, where `auth_type` is `hba`"},
		{section: g, name: "auth_file", how: (*translator).authFile, to: one("auth.auth_file")},
		{section: g, name: "auth_user", how: (*translator).authUser, to: one("auth.auth_user")},
		{section: g, name: "auth_query", how: (*translator).authQuery, to: one("auth.auth_query"), doc: "`auth.auth_query`. Unless set ours is asked, which tells of `VALID UNTIL` too"},
		{section: g, name: "auth_dbname", how: (*translator).done, to: one("auth.auth_dbname"), doc: "`databases.auth_dbname`, the name at the server, and `databases.auth_cluster` where that is another server"},
		{section: g, name: "auth_ldap_options", lack: "no directory is asked: let a program judge passwords (auth.program)", level: warning},
		{section: g, name: "syslog", form: onOff, def: "0", lack: "the log goes to stderr, which systemd keeps", level: warning},
		{section: g, name: "syslog_ident", def: "pgbouncer", lack: "the log goes to stderr", level: note},
		{section: g, name: "syslog_facility", def: "daemon", lack: "the log goes to stderr", level: note},
		{section: g, name: "log_connections", form: onOff, def: "1", lack: "what the log tells is a matter of --log-level", level: note},
		{section: g, name: "log_disconnections", form: onOff, def: "1", lack: "what the log tells is a matter of --log-level", level: note},
		{section: g, name: "log_pooler_errors", form: onOff, def: "1", lack: "what the log tells is a matter of --log-level", level: note},
		{section: g, name: "log_stats", form: onOff, def: "1", lack: "metrics are served over HTTP (proxy.admin_address), not logged", level: note},
		{section: g, name: "verbose", form: number, def: "0", how: (*translator).wordy, doc: "more than 0 is `--log-level debug` unless that flag is given, at the start and with `--pgbouncer-ini`; the console's `SET verbose` changes it while the proxy runs", lack: "--log-level debug tells more", level: note},
		{section: g, name: "admin_users", to: one("console.admin_users"), lack: "there is no console", level: warning},
		{section: g, name: "stats_users", to: one("console.stats_users"), lack: "there is no console", level: warning},
		{section: g, name: "server_reset_query", def: "DISCARD ALL", how: (*translator).resetQuery, lack: "DISCARD ALL resets a server connection after a session", level: warning},
		{section: g, name: "server_reset_query_always", form: onOff, def: "0", how: (*translator).resetAlways, to: one("pool.leak_guard"), doc: "`pool.leak_guard = \"always\"`"},
		{section: g, name: "server_check_delay", form: seconds, def: "30", lack: "a server connection is watched while it is idle", level: note},
		{section: g, name: "server_check_query", def: "<empty>", lack: "a server connection is watched while it is idle", level: note},
		{section: g, name: "server_fast_close", form: onOff, def: "0", lack: "a session keeps its server connection when settings change", level: warning},
		{section: g, name: "server_lifetime", form: seconds, def: "3600", how: (*translator).lifetime, to: one("pool.max_lifetime_secs"), lack: "a server connection is closed when it is idle, not when it is old", level: warning},
		{section: g, name: "server_idle_timeout", form: seconds, def: "600", to: one("pool.idle_timeout_secs")},
		{section: g, name: "server_connect_timeout", form: seconds, def: "15", zero: zeroNever, to: one("pool.connect_timeout_secs")},
		{section: g, name: "server_login_retry", form: seconds, def: "15", to: one("pool.login_retry_secs"), lack: "a server that fails is tried again at once", level: warning},
		{section: g, name: "client_login_timeout", form: seconds, def: "60", zero: zeroNever, to: one("limits.startup_timeout_secs")},
		{section: g, name: "autodb_idle_timeout", form: seconds, def: "3600", lack: "a database that `*` stands for is forgotten an hour after its last client", level: note},
		{section: g, name: "pool_idle_timeout", form: seconds, def: "0", lack: "a pool that nobody uses costs nothing", level: note, later: true},
		{section: g, name: "dns_max_ttl", form: seconds, def: "15", how: (*translator).asHere, to: one("proxy.dns_max_ttl_secs")},
		{section: g, name: "dns_nxdomain_ttl", form: seconds, def: "15", how: (*translator).asHere, to: one("proxy.dns_nxdomain_ttl_secs")},
		{section: g, name: "dns_zone_check_period", form: seconds, def: "0", how: (*translator).asHere, to: one("proxy.dns_zone_check_period_secs")},
		{section: g, name: "resolv_conf", how: (*translator).fileName, to: one("proxy.resolv_conf")},
		{section: g, name: "query_wait_notify", form: number, def: "5", zero: zeroNone, to: one("pool.wait_notice_secs")},
		{section: g, name: "login_notify_message", lack: "a client gets no notice when it has logged in", level: warning, later: true},
	}
}

// networkKeys are the others of [pgbouncer].
func networkKeys() []key {
	const g = "pgbouncer"
	return []key{
		{section: g, name: "client_tls_sslmode", form: word, words: sslModes(), def: "disable", how: (*translator).clientTLS, to: one("tls.mode"), doc: "`tls.mode`, but `verify-full` is `verify-ca`, as in PgBouncer"},
		{section: g, name: "client_tls_key_file", wanted: "client_tls_sslmode", how: (*translator).fileName, to: one("tls.key_path")},
		{section: g, name: "client_tls_cert_file", wanted: "client_tls_sslmode", how: (*translator).fileName, to: one("tls.cert_path")},
		{section: g, name: "client_tls_ca_file", wanted: "client_tls_sslmode", how: (*translator).fileName, to: one("tls.ca_path")},
		{section: g, name: "client_tls_protocols", def: "secure", how: (*translator).protocols, to: []string{"tls.min_version", "tls.max_version"}, doc: "`tls.min_version` and `tls.max_version`"},
		{section: g, name: "client_tls_ciphers", def: "default", how: (*translator).ciphers, to: one("tls.ciphers"), doc: "`tls.ciphers`, where it is a list of names; else the proxy's own choice"},
		{section: g, name: "client_tls13_ciphers", lack: "the ciphers of TLS 1.3 are fixed", level: note},
		{section: g, name: "client_tls_ecdhcurve", def: "auto", how: (*translator).curve, to: one("tls.curves"), doc: "`tls.curves`; `auto` and `none` are the proxy's own choice"},
		{section: g, name: "client_tls_dheparams", def: "auto", lack: "there is no DHE, but ECDHE", level: note},
		{section: g, name: "server_tls_sslmode", form: word, words: sslModes(), def: "prefer", to: one("server_tls.mode")},
		{section: g, name: "server_tls_ca_file", wanted: "server_tls_sslmode", how: (*translator).serverCA, to: one("server_tls.ca_path"), doc: "`server_tls.ca_path`, where `server_tls_sslmode` is `verify-ca` or `verify-full`; without it the machine's authorities, `system`"},
		{section: g, name: "server_tls_key_file", wanted: "server_tls_cert_file", how: (*translator).fileName, to: one("server_tls.key_path")},
		{section: g, name: "server_tls_cert_file", wanted: "server_tls_key_file", how: (*translator).fileName, to: one("server_tls.cert_path")},
		{section: g, name: "server_tls_protocols", def: "secure", how: (*translator).protocols, to: []string{"server_tls.min_version", "server_tls.max_version"}, doc: "`server_tls.min_version` and `server_tls.max_version`"},
		{section: g, name: "server_tls_ciphers", def: "default", how: (*translator).ciphers, to: one("server_tls.ciphers"), doc: "`server_tls.ciphers`, where it is a list of names; else the proxy's own choice"},
		{section: g, name: "server_tls13_ciphers", lack: "the ciphers of TLS 1.3 are fixed", level: note},
		{section: g, name: "query_timeout", form: seconds, def: "0", zero: zeroNone, to: one("pool.query_timeout_secs"), lack: "statement_timeout at the server bounds a statement", level: warning},
		{section: g, name: "query_wait_timeout", form: seconds, def: "120", zero: zeroNever, to: one("pool.acquire_timeout_secs")},
		{section: g, name: "cancel_wait_timeout", form: seconds, def: "10", lack: "a cancel request does not wait for a place in a pool", level: note},
		{section: g, name: "client_idle_timeout", form: seconds, def: "0", zero: zeroNone, to: one("pool.client_idle_timeout_secs"), lack: "an idle client stays", level: warning},
		{section: g, name: "idle_transaction_timeout", form: seconds, def: "0", zero: zeroNone, to: one("pool.idle_transaction_timeout_secs"), lack: "idle_in_transaction_session_timeout at the server bounds it", level: warning},
		{section: g, name: "transaction_timeout", form: seconds, def: "0", zero: zeroNone, to: one("pool.transaction_timeout_secs"), lack: "transaction_timeout at the server bounds it, from PostgreSQL 17 on", level: warning},
		{section: g, name: "suspend_timeout", form: seconds, def: "10", lack: "nothing is suspended", level: note},
		{section: g, name: "pkt_buf", form: number, def: "4096", lack: "buffers have the size that the data asks for", level: note},
		{section: g, name: "max_packet_size", form: number, def: "2147483647", lack: "a message has no bound but PostgreSQL's", level: warning},
		{section: g, name: "listen_backlog", form: number, def: "128", lack: "the queue at the listener has a length of its own", level: note},
		{section: g, name: "sbuf_loopcnt", form: number, def: "5", lack: "event loops take turns by themselves", level: note},
		{section: g, name: "so_reuseport", form: onOff, def: "0", how: (*translator).reusePort, to: one("proxy.so_reuseport"), lack: "one proxy uses all processors (proxy.loops); a second one cannot have its port", level: warning},
		{section: g, name: "tcp_defer_accept", form: onOff, def: "1", lack: "connections are accepted at once", level: note},
		{section: g, name: "tcp_socket_buffer", form: number, def: "0", lack: "the kernel sizes the buffers of sockets", level: note},
		{section: g, name: "tcp_keepalive", form: onOff, def: "1", lack: "keepalive is always on", level: note},
		{section: g, name: "tcp_keepcnt", form: number, def: "0", lack: "keepalive has times of its own", level: warning},
		{section: g, name: "tcp_keepidle", form: number, def: "0", lack: "keepalive has times of its own", level: warning},
		{section: g, name: "tcp_keepintvl", form: number, def: "0", lack: "keepalive has times of its own", level: warning},
		{section: g, name: "tcp_user_timeout", form: number, def: "0", how: (*translator).userTimeout, to: one("limits.backend_write_timeout_secs"), doc: "`limits.backend_write_timeout_secs` and `limits.client_write_timeout_secs`, in whole seconds, rounded up", lack: "a dead peer is found by keepalive", level: warning},
	}
}

// databaseKeys are those of the connection strings in [databases].
func databaseKeys() []key {
	const d = "databases"
	return []key{
		{section: d, name: "dbname", to: one("databases.server_name")},
		{section: d, name: "host", how: (*translator).done, to: one("nodes.host"), doc: "`nodes.host`: each host and port is a node and a cluster of its own, and a second one for a second name of the same database, and for one whose connections are spread another way. Of a list those that do not answer are passed over"},
		{section: d, name: "port", form: number, def: "5432", how: (*translator).done, to: one("nodes.port")},
		{section: d, name: "user", to: one("databases.user"), lack: "clients would be at the server who they are here", level: failure},
		{section: d, name: "password", to: one("databases.password"), lack: "the password at the server would be the client's own", level: failure},
		{section: d, name: "auth_user", to: one("databases.auth_user")},
		{section: d, name: "auth_query", to: one("databases.auth_query")},
		{section: d, name: "auth_dbname", how: (*translator).done, to: one("databases.auth_dbname"), doc: "`databases.auth_dbname`, the name at the server, and `databases.auth_cluster` where that is another server"},
		{section: d, name: "pool_size", form: number, to: inPool("max_connections")},
		{section: d, name: "min_pool_size", form: number, zero: zeroNone, to: inPool("min_connections"), lack: "server connections are opened when they are needed", level: warning},
		{section: d, name: "reserve_pool_size", form: number, zero: zeroNone, to: inPool("reserve_connections"), lack: "a pool has no reserve", level: warning},
		{section: d, name: "reserve_pool", form: number, zero: zeroNone, to: inPool("reserve_connections"), lack: "a pool has no reserve", level: warning},
		{section: d, name: "connect_query", to: inPool("connect_query"), lack: "nothing is run on a new server connection", level: warning},
		{section: d, name: "pool_mode", form: word, words: modes(), to: inPool("mode")},
		{section: d, name: "load_balance_hosts", form: word, words: []string{"disable", "round-robin"}, def: "round-robin", how: (*translator).done, to: one("nodes.load_balance_hosts"), doc: "`nodes.load_balance_hosts`, where there is a list of hosts; over the addresses of a single name connections are always spread"},
		{section: d, name: "max_db_connections", form: number, zero: zeroNone, to: one("databases.max_server_connections"), lack: "each pool has its own bound, and all of the database have none", level: warning},
		{section: d, name: "max_db_client_connections", form: number, zero: zeroNone, to: one("databases.max_clients")},
		{section: d, name: "server_lifetime", form: number, zero: zeroNone, to: inPool("max_lifetime_secs"), lack: "a server connection is closed when it is idle, not when it is old", level: warning},
		{section: d, name: "query_wait_timeout", form: number, zero: zeroNever, to: inPool("acquire_timeout_secs"), later: true},
		{section: d, name: "target_session_attrs", form: word, words: []string{"any", "read-write", "read-only", "primary", "standby"}, def: "any", lack: "connections go to the host that is named, whatever it is", level: warning, later: true},
		{section: d, name: "client_encoding", how: (*translator).done, to: one("databases.parameters"), doc: "`databases.parameters`, for clients that do not say it themselves"},
		{section: d, name: "datestyle", how: (*translator).done, to: one("databases.parameters"), doc: "`databases.parameters`, for clients that do not say it themselves"},
		{section: d, name: "timezone", how: (*translator).done, to: one("databases.parameters"), doc: "`databases.parameters`, for clients that do not say it themselves"},
		{section: d, name: "application_name", how: (*translator).done, to: one("databases.parameters"), doc: "`databases.parameters`, for clients that do not say it themselves"},
	}
}

// userKeys are those of [users], and of [peers].
func userKeys() []key {
	const u, p = "users", "peers"
	return []key{
		{section: u, name: "pool_size", form: number, to: one("users.pool.max_connections"), lack: "a user's pools are as large as those of others", level: warning},
		{section: u, name: "reserve_pool_size", form: number, zero: zeroNone, to: one("users.reserve_connections"), lack: "a user's pools have the reserve of others", level: warning},
		{section: u, name: "pool_mode", form: word, words: modes(), to: one("users.pool.mode"), lack: "the mode is that of the database", level: warning},
		{section: u, name: "max_user_connections", form: number, zero: zeroNone, to: one("users.max_server_connections"), doc: "`users.max_server_connections`, which counts at each server, and not over all of them", lack: "each pool has its own bound, and all of the user have none", level: warning},
		{section: u, name: "query_timeout", form: number, zero: zeroNone, to: one("users.pool.query_timeout_secs"), lack: "the time is the same for all: ALTER ROLE … SET statement_timeout", level: warning},
		{section: u, name: "query_wait_timeout", form: number, zero: zeroNone, to: one("users.pool.acquire_timeout_secs"), lack: "the time is the same for all", level: warning, later: true},
		{section: u, name: "idle_transaction_timeout", form: number, zero: zeroNone, to: one("users.pool.idle_transaction_timeout_secs"), lack: "the time is the same for all: ALTER ROLE … SET idle_in_transaction_session_timeout", level: warning},
		{section: u, name: "transaction_timeout", form: number, zero: zeroNone, to: one("users.pool.transaction_timeout_secs"), lack: "the time is the same for all: ALTER ROLE … SET transaction_timeout", level: warning},
		{section: u, name: "client_idle_timeout", form: number, zero: zeroNone, to: one("users.pool.client_idle_timeout_secs"), lack: "the time is the same for all", level: warning},
		{section: u, name: "max_user_client_connections", form: number, zero: zeroNone, to: one("users.max_clients")},
		{section: p, name: "host", how: (*translator).done, to: one("peers.address"), doc: "`peers.address`; of a name the first address that it has when the file is read"},
		{section: p, name: "port", form: number, def: "6432", how: (*translator).done, to: one("peers.address"), doc: "the port in `peers.address`"},
		{section: p, name: "pool_size", form: number, lack: "64 requests may be on their way to one at once", level: note},
	}
}
