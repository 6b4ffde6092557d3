package configfile

// methodWords are the ways in which clients may prove who they are.
func methodWords() []string {
	return []string{"trust", "password", "md5", "scram", "scram-plus", "cert", "peer", "program"}
}

func authKeys() []key {
	return append([]key{
		{
			name: "auth.mode", words: methodWords(),
			doc: "How clients prove who they are. `scram` is SCRAM-SHA-256, which over TLS may be bound to the connection; `scram-plus` must be; `md5` asks for SCRAM where the user's secret is a SCRAM verifier, as PostgreSQL does; `password` is clear text; `cert` is a client certificate with the name of the user, which needs `tls.ca_path`; `peer` is the operating system's name of who is at the other end of the unix socket; `program` is clear text too, which `auth.program` judges; `trust` lets in everybody under any name. Without it: `scram` if there are `[[users]]`, `auth.auth_file` or `auth.auth_query`; otherwise clients on unix sockets and loopback are let in under any name and all others are refused.",
		},
		{
			name: "auth.hba_file",
			doc:  "A file of rules in the form of PostgreSQL's `pg_hba.conf`, includes and all: the first that fits a client says how it proves who it is, and whom none fits is refused. A relative path is one beside this file. The methods are `trust`, `reject`, `password`, `md5`, `scram-sha-256`, `cert`, `peer` and `pam`, which `auth.program` judges; what needs to know who is a member of which role (`+role`, `samerole`) is refused with its line. It takes the place of `auth.mode` and `[[hba]]`. See [docs/authentication.md](authentication.md).",
		},
		{
			name: "auth.ident_file",
			doc:  "A file of user name maps in the form of `pg_ident.conf`, for `map=` in the rules.",
		},
		{
			name: "auth.auth_file",
			doc:  "A list of users beside `[[users]]`: PgBouncer's `userlist.txt` (`\"name\" \"secret\"`), or lines `name:secret`. A secret is what `users.password` may be. Where `[[users]]` has a user without password it has the one of the list. Of a name that stands twice the last line counts. A relative path is one beside this file.",
		},
		{
			name: "auth.program", kind: texts,
			doc: "A program and its arguments that judges passwords, for `auth.mode = \"program\"` and the method `pam` of `auth.hba_file`: `[\"/usr/libexec/helios-check\", \"staff\"]`. It is run without a shell for each log-in. `HELIOS_USER`, `HELIOS_DATABASE`, `HELIOS_ADDRESS`, `HELIOS_TLS` and `HELIOS_PAM_SERVICE` are its environment, besides `PATH`, and the password is a line on its standard input. It lets in by ending with 0, and refuses by ending with 1; whatever else it does, the client is told that log-ins cannot be judged. A program with a `/` in its name that is not absolute is one beside this file. It must be there. See [docs/authentication.md](authentication.md#other-methods).",
		},
		{
			name: "auth.program_timeout_secs", kind: integer, min: 1, max: year, def: int64(10),
			doc: "How many seconds `auth.program` may take. Then it is killed, with all that it has started.",
		},
	}, authQueryKeys()...)
}

func authQueryKeys() []key {
	return []key{
		{
			name: "auth.auth_user",
			doc:  "Whom the proxy logs in as at servers to look users up that this file does not name. With it, `auth_query` is in force.",
		},
		{
			name: "auth.auth_password",
			doc:  "The password of `auth_user`: a password or an md5 hash. That of `[[users]]` or `auth_file` unless set.",
		},
		{
			name: "auth.auth_query",
			doc:  "What is asked, with the name of the user as `$1`. It returns a row with the name and the secret (`pg_authid.rolpassword`), or none; a third column, if there is one, is the moment from which on the secret is not good: a `timestamptz`, as a `timestamp` or a `date` is refused. `SELECT rolname, rolpassword, rolvaliduntil FROM pg_authid WHERE rolname = $1 AND rolcanlogin` unless set, for which `auth_user` must be a superuser; a function with `SECURITY DEFINER` does without. It runs with `search_path = pg_catalog, pg_temp`.",
		},
		{
			name: "auth.auth_dbname",
			doc:  "The database at the server that is asked. The one that the client wants unless set.",
		},
		{
			name: "auth.auth_cluster",
			doc:  "The cluster whose primary is asked, as `nodes.cluster` names it: where all users are in one place. The database's own unless set. What a client proves by SCRAM opens servers of another cluster only if those store the same verifiers; else users need a password there (`server_auth`).",
		},
		{
			name: "auth.auth_cache_secs", kind: integer, max: year, def: int64(30),
			doc: "How long an answer is good. One that is used when it has had half of its time is asked for again in the background, so who logs in often never waits for it; if that fails, it stays good for the rest. When a password was wrong for an answer that was kept, the database is asked again at once.",
		},
	}
}

func hbaKeys() []key {
	return []key{
		{
			name: "hba.action", words: []string{"allow", "reject"},
			doc: "Required. `[[hba]]` are rules, of which the first that fits decides: `allow` asks for what `auth.mode` says. Whom none fits is refused. `auth.hba_file` says more.",
		},
		{
			name: "hba.user", def: "all",
			doc: "A name, or `all`.",
		},
		{
			name: "hba.database", def: "all",
			doc: "A name, or `all`.",
		},
		{
			name: "hba.address", def: "all",
			doc: "An address, a network as `10.0.0.0/8`, or `all`, which includes unix sockets.",
		},
	}
}

func tlsKeys() []key {
	return []key{
		{
			name: "tls.mode", words: []string{"disable", "allow", "prefer", "require", "verify-ca", "verify-full"},
			doc: "Whether clients speak TLS, with the meanings of PgBouncer's `client_tls_sslmode`. `allow`, `prefer`: those who ask for it. `require`: others are refused. `verify-ca`: and they have a certificate that `tls.ca_path` has signed. `verify-full`: and it has the name of the user. `prefer` if there is a `tls.cert_path`, else `disable`. Unix sockets never speak TLS.",
		},
		{
			name: "tls.enabled", kind: boolean,
			doc: "`true` is `tls.mode = \"prefer\"`, `false` is `\"disable\"`.",
		},
		{
			name: "tls.require_client_cert", kind: boolean,
			doc: "`true` is `tls.mode = \"verify-ca\"`.",
		},
		{
			name: "tls.cert_path",
			doc:  "The proxy's certificate, PEM, with those between it and a trusted one behind it. It is read again when it changes, as are all files here; open connections stay. A relative path is one beside this file.",
		},
		{
			name: "tls.key_path",
			doc:  "Its key, PEM. Nobody but its owner may read it, or, if that is root, its group.",
		},
		{
			name: "tls.key_password",
			doc:  "What the key is encrypted with.",
		},
		{
			name: "tls.ca_path",
			doc:  "Certificates, PEM, that those of clients are to be signed by. With it clients are asked for one, and who shows a wrong one is refused.",
		},
		{
			name: "tls.crl_path",
			doc:  "Revocation lists, PEM: one of each authority in a client's chain.",
		},
		{
			name: "tls.min_version", words: versions(), def: "TLSv1.2",
			doc: "The oldest version of TLS.",
		},
		{
			name: "tls.max_version", words: versions(),
			doc: "The newest version of TLS. There is no bound unless set.",
		},
		{
			name: "tls.ciphers",
			doc:  "Cipher suites for TLS up to 1.2, with `:` between, as in `ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256`. Those of TLS 1.3 are fixed.",
		},
		{
			name: "tls.curves",
			doc:  "Groups for the exchange of keys, with `:` between, as in `X25519:prime256v1`.",
		},
	}
}

func versions() []string { return []string{"TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"} }

func serverTLSKeys() []key {
	return []key{
		{
			name: "server_tls.mode", words: []string{"disable", "allow", "prefer", "require", "verify-ca", "verify-full"},
			doc: "Whether connections to servers are encrypted, with the meanings of libpq's `sslmode`. `prefer` unless set: TLS if the server can, and nothing is verified. Unix sockets never are.",
		},
		{
			name: "server_tls.ca_path",
			doc:  "Certificates, PEM, that those of servers are to be signed by; or `system`, those that the machine trusts, for `verify-full`. A relative path is one beside this file.",
		},
		{
			name: "server_tls.crl_path",
			doc:  "Revocation lists, PEM.",
		},
		{
			name: "server_tls.cert_path",
			doc:  "The proxy's own certificate, PEM, for servers that ask for one.",
		},
		{
			name: "server_tls.key_path",
			doc:  "Its key, PEM.",
		},
		{
			name: "server_tls.key_password",
			doc:  "What the key is encrypted with.",
		},
		{
			name: "server_tls.min_version", words: versions(), def: "TLSv1.2",
			doc: "The oldest version of TLS.",
		},
		{
			name: "server_tls.max_version", words: versions(),
			doc: "The newest version of TLS. There is no bound unless set.",
		},
		{
			name: "server_tls.ciphers",
			doc:  "As `tls.ciphers`.",
		},
		{
			name: "server_tls.curves",
			doc:  "As `tls.curves`.",
		},
		{
			name: "server_tls.direct", kind: boolean, def: false,
			doc: "TLS begins at once, without a request: libpq's `sslnegotiation=direct`, for PostgreSQL 17 and later. The mode is `require` at least.",
		},
		{
			name: "server_tls.channel_binding", words: []string{"disable", "prefer", "require"}, def: "prefer",
			doc: "Whether SCRAM is bound to the TLS connection. `require` talks to no server that does not prove itself by it.",
		},
	}
}
