package configfile

import (
	"slices"
	"strings"
)

// kind is what TOML value a key takes.
type kind int

const (
	text kind = iota
	integer
	boolean
	texts // a list of them
	pairs // a table of them
)

// key is a key that has an effect. A dotted name whose first part is a list (nodes, databases, users) is
// that of its elements.
type key struct {
	name     string
	kind     kind
	min, max int64    // of an integer
	words    []string // what a text may be; nil: anything
	def      any      // nil: nothing is set
	doc      string   // for the reference, Markdown
}

const (
	year     = 365 * 24 * 60 * 60 // seconds
	maxCount = 1<<31 - 1
	mebibyte = 1 << 20
	gibibyte = 1 << 30
)

// aliases are the keys that the two vocabularies spell differently, by the spelling that is not ours.
func aliases() map[string]string {
	return map[string]string{
		"listen_address":              "proxy.listen_address",
		"admin_address":               "proxy.admin_address",
		"admin_token":                 "proxy.admin_token",
		"shutdown_drain_timeout_secs": "proxy.drain_timeout_secs",
		"pool_mode.mode":              "pool.mode",
		"load_balancer.read_strategy": "load_balancer.strategy",
	}
}

// lists are the tables that come any number of times.
func lists() []string { return []string{"peers", "nodes", "databases", "users", "hba"} }

// keys is the table of all keys that have an effect, in the order of the reference.
func keys() []key {
	return slices.Concat(proxyKeys(), doorKeys(), resolverKeys(), peerKeys(), poolKeys(), limitsKeys(), consoleKeys(), authKeys(), hbaKeys(), tlsKeys(), serverTLSKeys(), serverAuthKeys(), nodeKeys(), databaseKeys(), userKeys())
}

func proxyKeys() []key {
	return []key{
		{
			name: "proxy.listen_address", def: "127.0.0.1:6432",
			doc: "Where clients connect: `HOST:PORT`, the host an IP address. `0.0.0.0:6432` is every interface, which without `auth.mode` or `[[users]]` still lets in nobody from another machine. This is the listener `default` of `--listen`. `unix:/PATH` is a unix socket, for a proxy that has no TCP port.",
		},
		{
			name: "proxy.more_addresses", kind: texts,
			doc: "Further addresses like `listen_address`, as `[\"[::1]:6432\"]`: the listeners `default-2`, `default-3`, … of `--listen`.",
		},
		{
			name: "proxy.unix_socket_dir",
			doc:  "A directory, absolute, for a unix socket `.s.PGSQL.PORT` with the port of `proxy.listen_address`. This is the listener `unix` of `--listen`. Without it there is no socket.",
		},
		{
			name: "proxy.unix_socket_mode",
			doc:  "Who may connect to unix sockets: the mode of their files in octal digits, as `\"0770\"`. Connecting takes the right to write. 0777 unless set, as with PostgreSQL; a socket that systemd has opened keeps its own.",
		},
		{
			name: "proxy.unix_socket_group",
			doc:  "The group that the files of unix sockets have, a name or a number: one that the user of the process is in, unless that is root. The process's own unless set.",
		},
		{
			name: "proxy.admin_address", def: "127.0.0.1:9090",
			doc: "Where `/livez`, `/readyz` and `/metrics` are served over HTTP: `HOST:PORT`, the host an IP address. Read at start only.",
		},
		{
			name: "proxy.admin_token",
			doc:  "The bearer token that everything at `proxy.admin_address` but `/livez` and `/readyz` asks for. Without it an address that is not loopback answers `/livez`, `/readyz` and `/metrics`, and nothing else. Read at start only.",
		},
		{
			name: "proxy.drain_timeout_secs", kind: integer, max: year, def: int64(60),
			doc: "Seconds that sessions have, after SIGTERM, to reach the end of their transaction. `--drain-timeout` goes before it.",
		},
		{
			name: "proxy.drain_rate", kind: integer, max: 1e6, def: int64(0),
			doc: "How many sessions are ended a second, after SIGTERM or at the end of `proxy.takeover_window_secs`, each when no transaction is open, so that not all of them connect elsewhere at once. 0 is all at once. `--drain-rate` goes before it.",
		},
		{
			name: "proxy.takeover_window_secs", kind: integer, max: year, def: int64(60),
			doc: "Seconds that clients may stay here after another process has taken this one's place, who cannot go on there: [restart](restart.md). `--takeover-window` goes before it.",
		},
		{
			name: "proxy.loops", kind: integer, max: 1024, def: int64(0),
			doc: "Event loops, each a thread. 0 lets the proxy choose. `--loops` goes before it. Read at start only.",
		},
		{
			name: "proxy.peer_id", kind: integer, max: maxPeer, def: int64(0),
			doc: "The number of this proxy among those behind a balancer, which its cancel keys carry: another one for each. 0 is a proxy alone. Proxies that follow a control plane have theirs from there. See [docs/cancel.md](cancel.md).",
		},
	}
}

// maxPeer is the highest number of a proxy.
const maxPeer = 1<<14 - 1

func peerKeys() []key {
	return []key{
		{
			name: "peers.peer_id", kind: integer, min: 1, max: maxPeer,
			doc: "Required. The `proxy.peer_id` of a proxy behind the same balancer, to which cancel requests for it are passed on. That of this proxy may stand there too, so that all files have the same list.",
		},
		{
			name: "peers.address",
			doc:  "Required. Where the others reach it: the address of one of its listeners, `HOST:PORT` with an IP address as host, or `unix:/PATH`.",
		},
	}
}

func poolKeys() []key {
	return []key{
		{
			name: "pool.mode", words: []string{"session", "transaction", "statement"}, def: "session",
			doc: "`session`: a client keeps its server connection until it leaves. `transaction`: until its transaction ends. `statement`: as `transaction`, and a transaction has one statement: `BEGIN` is refused. Replication connections need `session`; physical ones name no database, or `replication`.",
		},
		{
			name: "pool.leak_guard", words: []string{"text", "catalog", "always"}, def: "catalog",
			doc: "How far it is looked for what a transaction may have left on its server connection, in the modes `transaction` and `statement`. `text`: what the statements themselves say. `catalog`: also what they can reach, by what the catalogue says of functions, triggers, defaults, policies: after a transaction that may have left something the server connection is looked through, which costs the server about half a millisecond. `always`: the server connection is reset after every transaction. See [docs/leaks.md](leaks.md).",
		},
		{
			name: "pool.pin", words: []string{"on", "error", "off"}, def: "on",
			doc: "What becomes of what only one server connection has: temporary tables, cursors `WITH HOLD`, session advisory locks, `LISTEN`, `PREPARE`. `on`: the session keeps the server connection as long as it has them. `error`: a statement that would need that is refused. `off`: they are dropped at the end of the transaction, with a warning.",
		},
		{
			name: "pool.listen", words: []string{"shared", "pin"}, def: "shared",
			doc: "Who listens where a client says `LISTEN`, in the modes `transaction` and `statement`. `shared`: the proxy does, on one connection for each database, and passes notifications on; the client keeps no server connection for that. `pin`: the client's server connection, which it keeps, as `pool.pin` says. See [docs/listen.md](listen.md).",
		},
		{
			name: "pool.listen_lost",
			doc:  "With `listen = \"shared\"`, when notifications may have been lost, a client that listens gets a warning. If this is set it also gets a notification with this payload on each of its channels, for programs that do not see warnings. Printable ASCII characters, 7999 at most.",
		},
		{
			name: "pool.deferred_begin", kind: boolean, def: false,
			doc: "In mode `transaction`, a `BEGIN` (or `START TRANSACTION`) that is a Query of its own is answered by the proxy, and sent to a server with the first statement behind it: a client that opens a transaction and then thinks holds no server connection. The transaction begins with that statement, and so does `now()`. With `SERIALIZABLE` or `READ WRITE`, which a standby refuses, `BEGIN` is sent at once, as is one of the extended protocol.",
		},
		{
			name: "pool.server_round_robin", kind: boolean, def: false,
			doc: "Of the free server connections of an event loop (`proxy.loops`) the one that was not used for longest is used next, in place of the one that was used last: for servers behind a balancer that are to have the same load. A pool does not become smaller again then as long as it is used.",
		},
		{
			name: "pool.safe_functions", kind: texts,
			doc: "Functions that leave nothing on a server connection and call nothing that does, as `[\"audit\", \"app.next_number\"]`: `leak_guard = \"catalog\"` does not suspect them.",
		},
		{
			name: "pool.max_connections", kind: integer, min: 1, max: maxCount, def: int64(100),
			doc: "The most connections, at any moment, to one database at a server as one user of it. Clients beyond it wait.",
		},
		{
			name: "pool.min_connections", kind: integer, max: maxCount, def: int64(0),
			doc: "Connections that a pool keeps open. It does so from its first client on, and also when the last has left (for an hour, where the file does not name database or user); from the start where a `[[databases]]` entry of a name of its own has a `user`. Where a limit is reached that pools share, as `nodes.max_connections`, they give way to clients who wait.",
		},
		{
			name: "pool.reserve_connections", kind: integer, max: maxCount, def: int64(0),
			doc: "Connections beyond `max_connections`, for clients who have waited for `reserve_timeout_secs`. They are closed when nobody waits any more.",
		},
		{
			name: "pool.reserve_timeout_secs", kind: integer, max: year, def: int64(5),
			doc: "See `reserve_connections`.",
		},
		{
			name: "pool.max_opening", kind: integer, min: 1, max: maxCount, def: int64(4),
			doc: "Connections of a pool that are opened at once.",
		},
		{
			name: "pool.login_retry_secs", kind: integer, max: year, def: int64(1),
			doc: "Seconds for which a pool opens no connection after one could not be opened. Clients whom none of its connections can serve meanwhile are told why. A server that is full (53300) is none that is gone: clients wait for a connection as long as there are any to its node. 0 tries again for every client.",
		},
		{
			name: "pool.max_lifetime_secs", kind: integer, max: year, def: int64(3600),
			doc: "A server connection that is older is closed when it is free; each up to a fifth earlier, so that those opened together do not end together. 0 keeps it.",
		},
		{
			name: "pool.idle_timeout_secs", kind: integer, max: year, def: int64(300),
			doc: "A server connection that nobody used for so many seconds is closed, as far as the pool has more than `min_connections`. 0 keeps it.",
		},
		{
			name: "pool.acquire_timeout_secs", kind: integer, min: 1, max: year, def: int64(30),
			doc: "Seconds that a client waits for a server connection before it gets an error.",
		},
		{
			name: "pool.wait_notice_secs", kind: integer, max: year, def: int64(0),
			doc: "A client whose statement waits for a server connection for so many seconds is told so by a notice, once, with its place in the queue. 0 is never. Log-ins that wait are not told: drivers expect no notice there.",
		},
		{
			name: "pool.query_timeout_secs", kind: integer, max: year, def: int64(0),
			doc: "A statement that runs for so many seconds at the server is cancelled there, with a warning; its session goes on. What it has waited for a server connection before does not count. Where it then goes on for as long again (from one second to five), the session is ended. 0 is no bound. This and the three below are not a pool's but a session's: they may differ between databases and users that share pools.",
		},
		{
			name: "pool.transaction_timeout_secs", kind: integer, max: year, def: int64(0),
			doc: "A session whose transaction takes longer is ended with 25P04. 0 is no bound.",
		},
		{
			name: "pool.idle_transaction_timeout_secs", kind: integer, max: year, def: int64(0),
			doc: "A session whose client does nothing for so many seconds within a transaction is ended with 25P03. 0 is no bound.",
		},
		{
			name: "pool.client_idle_timeout_secs", kind: integer, max: year, def: int64(0),
			doc: "A session whose client does nothing for so many seconds outside a transaction is ended with 57P05. 0 is no bound.",
		},
		{
			name: "pool.connect_query",
			doc:  "SQL that is run on a server connection when it is new, and when it was reset, before anybody gets it. If it fails, the connection has failed. It is no place for `SET`: what is set is a session's, and is taken away with what else that has set.",
		},
		{
			name: "pool.application_name_add_host", kind: boolean, def: false,
			doc: "The client's address is appended to the `application_name` with which it logs in, as `NAME - HOST:PORT`, `NAME - unix` at a unix socket, `app` for who has no name. Then each client has settings of its own, which cost it a question to a server at log-in, and another when it gets a server connection that was another one's.",
		},
		{
			name: "pool.ignore_startup_parameters", kind: texts,
			doc: "Parameters that clients may send when they log in, in `options` too, and that are dropped: `[\"extra_float_digits\"]`. Without it a parameter that the server does not know ends the log-in.",
		},
		{
			name: "pool.connect_timeout_secs", kind: integer, min: 1, max: year, def: int64(5),
			doc: "Seconds that opening a server connection may take, log-in included.",
		},
	}
}

func limitsKeys() []key {
	return []key{
		{
			name: "limits.max_prepared_statements", kind: integer, min: 1, max: maxCount, def: int64(8192),
			doc: "Prepared statements that one session may hold.",
		},
		{
			name: "limits.max_prepared_per_server", kind: integer, min: 1, max: maxCount, def: int64(100),
			doc: "Prepared statements that are kept on one server connection. What is used least is closed there, and prepared again when needed.",
		},
		{
			name: "limits.max_prepared_bytes", kind: integer, min: 1, max: 1 << 40, def: int64(64 * mebibyte),
			doc: "Bytes of statement text that the prepared statements of one session may hold together.",
		},
		{
			name: "limits.max_statement_bytes", kind: integer, min: 1, max: gibibyte, def: int64(4 * mebibyte),
			doc: "A statement of more bytes is relayed as it comes and not looked into; in pool mode `statement` it is refused. See [docs/leaks.md](leaks.md).",
		},
		{
			name: "limits.max_clients", kind: integer, min: 1, max: maxCount,
			doc: "Clients that may be connected at once, those who have not logged in yet included from their first packet on. Others get 53300. Without it as many as the limit of open files leaves room for: an eighth of that is for servers.",
		},
		{
			name: "limits.max_clients_per_database", kind: integer, min: 1, max: maxCount,
			doc: "Clients that may be logged in to one database at once. There is no bound unless set; `databases.max_clients` says it for one.",
		},
		{
			name: "limits.max_clients_per_user", kind: integer, min: 1, max: maxCount,
			doc: "Clients that may be logged in as one user at once. There is no bound unless set; `users.max_clients` says it for one.",
		},
		{
			name: "limits.max_server_connections_per_database", kind: integer, min: 1, max: maxCount,
			doc: "Connections that all pools have together to one database at a server, at any moment. There is no bound unless set; `databases.max_server_connections` says it for one.",
		},
		{
			name: "limits.max_server_connections_per_user", kind: integer, min: 1, max: maxCount,
			doc: "Connections that all pools have together to a server as one user of it, at any moment. There is no bound unless set; `users.max_server_connections` says it for one.",
		},
		{
			name: "limits.max_clients_per_address", kind: integer, min: 1, max: maxCount,
			doc: "Clients that may be connected from one address at once. There is no bound unless set, and none for unix sockets.",
		},
		{
			name: "limits.startup_timeout_secs", kind: integer, min: 1, max: year, def: int64(30),
			doc: "Seconds that a client may take to log in.",
		},
		{
			name: "limits.max_failed_logins", kind: integer, max: maxCount, def: int64(10),
			doc: "Log-ins with a wrong password of one user from one address within `failed_login_window_secs` until he has to wait there: from then on one is let through each time that its share of the window is over, and others are refused with 28000 before they are asked for a password. An address as a whole may fail ten times as often. A right password forgets what its user has failed. 0 is no bound.",
		},
		{
			name: "limits.failed_login_window_secs", kind: integer, min: 1, max: year, def: int64(60),
			doc: "See `max_failed_logins`.",
		},
		{
			name: "limits.backend_write_timeout_secs", kind: integer, max: year, def: int64(0),
			doc: "Seconds that a server may leave unacknowledged what it was sent over TCP, until its connection is given up (the kernel's TCP user timeout). One that is silent is asked after half of that whether it is there. 0: a dead server is found by TCP keepalive, after two minutes of silence, or when the kernel gives up sending.",
		},
		{
			name: "limits.client_write_timeout_secs", kind: integer, max: year, def: int64(0),
			doc: "The same for clients.",
		},
		{
			name: "limits.max_waiting_logins", kind: integer, min: 1, max: maxCount, def: int64(256),
			doc: "Log-ins that may wait for their turn to compute a TLS handshake or a password's hash, which half of the processors do. Others get 53300.",
		},
	}
}

func nodeKeys() []key {
	all := []key{
		{
			name: "nodes.name",
			doc:  "The node's name in logs and metrics. `HOST:PORT` unless set.",
		},
		{
			name: "nodes.cluster", def: defaultName,
			doc: "The cluster that the node belongs to: a name of your choice. Nodes of a cluster replicate one another; servers that have nothing to do with each other are in clusters of their own.",
		},
		{
			name: "nodes.host",
			doc:  "Required. A host name, an IP address, or the absolute path of the directory of a unix socket. Or several of them with commas between, as in libpq: `nodes.load_balance_hosts` says which one is connected to, and the others are tried in turn when it does not answer. A name or an address may have a port of its own: `db1,db2:5433,[::1]:5434`. [docs/names.md](names.md) says how names are followed.",
		},
		{
			name: "nodes.port", kind: integer, min: 1, max: 65535, def: int64(5432),
			doc: "The server's port.",
		},
		{
			name: "nodes.load_balance_hosts", words: []string{"disable", "round-robin"}, def: "disable",
			doc: "Which of several hosts, and of the addresses of a name, a new connection goes to. With `disable` it is the one that has answered last; with `round-robin` each goes to the next one, in their order. Either way the others are tried in turn when it does not answer, and with `round-robin` one that did not is the last to be tried for five seconds. What a client says then goes to any of them, one transaction to this and the next to that: they have to be alike. See [docs/names.md](names.md#spreading-connections).",
		},
		{
			name: "nodes.role", words: []string{"primary", "standby", "replica"},
			doc: "Required. Exactly one enabled node of a cluster is the `primary`. `replica` is the same as `standby`. Standbys are not used in this release, and each gives a warning.",
		},
		{
			name: "nodes.sync", kind: boolean, def: false,
			doc: "The standby replicates synchronously.",
		},
		{
			name: "nodes.weight", kind: integer, max: maxCount, def: int64(100),
			doc: "The share of balanced traffic, relative to other nodes. With one primary it decides nothing.",
		},
		{
			name: "nodes.enabled", kind: boolean, def: true,
			doc: "Whether the node gets connections.",
		},
		{
			name: "nodes.max_connections", kind: integer, min: 1, max: maxCount,
			doc: "The most connections that all pools have to the node together, at any moment. There is no bound unless set. Pools that want more than there is room for share it: where one has waited for a connection and has fewer than another, the other one gives up its next free connection, however many clients wait for that. What the proxy opens for itself, to look up users, to read catalogues and to listen, is not counted: at most three connections for each database.",
		},
	}
	for _, k := range serverTLSKeys() {
		name := strings.TrimPrefix(k.name, "server_tls.")
		k.doc, k.name, k.def = "`"+k.name+"` for this node. What `[server_tls]` says unless set.", "nodes.tls."+name, nil
		all = append(all, k)
	}
	for _, k := range serverAuthKeys() {
		k.doc, k.name = "As `"+k.name+"`, for this node alone.", "nodes."+strings.TrimPrefix(k.name, "server_auth.")
		if k.kind != integer {
			k.doc += " It goes before `[server_auth]`."
		}
		all = append(all, k)
	}
	return all
}

func databaseKeys() []key {
	all := []key{
		{
			name: "databases.name",
			doc:  "Required. The name that clients connect to, unless `known_as` is another; `*` is every name without an entry of its own. Without any `[[databases]]` there is `*` alone: any name, the same at the server.",
		},
		{
			name: "databases.known_as",
			doc:  "The name that clients connect to, where several databases have the same and their `server_names` tell them apart; `*` is every name. `databases.name` unless set.",
		},
		{
			name: "databases.server_names", kind: texts,
			doc: "The host names by which clients come to it, as they say them in TLS (SNI): `shop.example.com`, or `*.example.com` for any with one label more. Of the databases of one name a client gets that with its host name, or else that with a fitting `*.`, or else that without `server_names`. Case does not count.",
		},
		{
			name: "databases.cluster", def: defaultName,
			doc: "The cluster whose servers have it: one that `nodes.cluster` names.",
		},
		{
			name: "databases.server_name",
			doc:  "The database's name at the server. The client's name for it unless set.",
		},
		{
			name: "databases.parameters", kind: pairs,
			doc: "Run-time parameters for clients that do not ask for other values themselves when they log in, as `ALTER DATABASE … SET` has them: `{ timezone = \"UTC\", \"app.tenant\" = \"shop\" }`. `RESET` goes back to them. A value that the server refuses ends every log-in with what it says. They count for sessions that begin from then on, and not for replication.",
		},
		{
			name: "databases.max_clients", kind: integer, min: 1, max: maxCount,
			doc: "Clients that may be logged in to it at once. What `limits.max_clients_per_database` says unless set.",
		},
		{
			name: "databases.max_server_connections", kind: integer, min: 1, max: maxCount,
			doc: "Connections that all pools have to this database at the server together, at any moment. What `limits.max_server_connections_per_database` says unless set. Databases with the same `server_name` share it.",
		},
		{
			name: "databases.user",
			doc:  "Whom the proxy logs in as at the server, for every client of the database: they share its connections. Who may log in to the proxy is not changed by it. Without it each client is himself there, or the `server_user` of his `[[users]]`.",
		},
		{
			name: "databases.password",
			doc:  "The password of `databases.user`. That of the `[[users]]` with this name unless set, or what `[server_auth]` and nodes say. The same user may have another password in another entry, or in `[[users]]`, if that leads to another server or to another database there: those that lead to the same one share a pool.",
		},
		{
			name: "databases.pool", words: []string{defaultName}, def: defaultName,
			doc: "`default`, which is `[pool]`; or a table with those keys of `[pool]` that differ for this database, as in `pool.mode = \"session\"`. Databases of a cluster with the same `server_name` share their pools, so of these only the mode and the times of sessions may differ; so does `*` with every database at the server that has no entry of that name.",
		},
	}
	for _, k := range poolKeys() {
		// A database takes over what it does not say from [pool].
		k.doc, k.name, k.def = "`"+k.name+"` for this database. What `[pool]` says unless set.", "databases."+k.name, nil
		all = append(all, k)
	}
	for _, k := range authQueryKeys() {
		name := strings.TrimPrefix(k.name, "auth.")
		k.doc, k.name, k.def = "`"+k.name+"` for this database. What `[auth]` says unless set.", "databases."+name, nil
		all = append(all, k)
	}
	return all
}

// userPoolKeys are those keys of a pool that may differ for one user.
func userPoolKeys() (all []key) {
	for _, k := range poolKeys() {
		switch strings.TrimPrefix(k.name, "pool.") {
		case "mode", "max_connections", "idle_timeout_secs", "acquire_timeout_secs",
			"query_timeout_secs", "transaction_timeout_secs", "idle_transaction_timeout_secs", "client_idle_timeout_secs":
			k.doc, k.name, k.def = "`"+k.name+"` for this user, before what his database and `[pool]` say."+userPoolNote(k.name), "users."+k.name, nil
			all = append(all, k)
		}
	}
	return all
}

// userPoolNote says of a key that is the pool's, and not a session's, when it does not count.
func userPoolNote(name string) string {
	switch name {
	case "pool.max_connections", "pool.idle_timeout_secs", "pool.acquire_timeout_secs":
	default:
		return ""
	}
	return " Not used in a database with a `user`, whose pool is all clients'. Users with the same `server_user` share their pools, so of these it may not differ."
}

func userKeys() []key {
	all := []key{
		{
			name: "users.name",
			doc:  "Required. The name that a client logs in with.",
		},
		{
			name: "users.password",
			doc:  "What a client's proof is checked against: a password, PostgreSQL's md5 hash or its SCRAM verifier (the two forms of `pg_authid.rolpassword`).",
		},
		{
			name: "users.looked_up", kind: boolean, def: false,
			doc: "Says what holds for a user whom `auth.auth_query` finds, or who needs no password: without it, a user who is listed is not looked up. By itself it lets nobody in. Not with `password`.",
		},
		{
			name: "users.server_user",
			doc:  "The name used at the server. The user's own unless set.",
		},
		{
			name: "users.server_password",
			doc:  "The password used at the server. The user's `password` unless set, which must be a password then: a verifier opens no server that asks for one.",
		},
		{
			name: "users.server_password_file",
			doc:  "As `server_auth.password_file`, for this user alone, in place of `server_password`. It goes before what nodes and `[server_auth]` say.",
		},
		{
			name: "users.server_password_command", kind: texts,
			doc: "As `server_auth.password_command`, for this user alone, in place of `server_password`. It goes before what nodes and `[server_auth]` say.",
		},
		{
			name: "users.server_password_lifetime_secs", kind: integer, min: 1, max: year,
			doc: "As `server_auth.password_lifetime_secs`, of `server_password_command`.",
		},
		{
			name: "users.max_clients", kind: integer, min: 1, max: maxCount,
			doc: "Clients that may be logged in as him at once. What `limits.max_clients_per_user` says unless set.",
		},
		{
			name: "users.max_server_connections", kind: integer, min: 1, max: maxCount,
			doc: "Connections that all pools have to the server together as the name that he uses there, at any moment. What `limits.max_server_connections_per_user` says unless set.",
		},
	}
	return append(all, userPoolKeys()...)
}
