package configfile

// serverAuthKeys are where passwords for servers come from that live elsewhere.
func serverAuthKeys() []key {
	return []key{
		{
			name: "server_auth.passfile",
			doc:  "Passwords for servers, as lines `HOST:PORT:DATABASE:USER:PASSWORD`: libpq's `.pgpass`. Nobody but its owner may read it. It is read for each connection; for whom no line fits, the user's own `password` is used, or the key that he has proved to have. A relative path is one beside this file. One of `passfile`, `password_file` and `password_command` may be set. See [docs/authentication.md](authentication.md#passwords-for-servers-that-live-elsewhere).",
		},
		{
			name: "server_auth.password_file",
			doc:  "A file whose first line is the password of every user at every server: a token that something else renews. It is read for each connection. A relative path is one beside this file.",
		},
		{
			name: "server_auth.password_command", kind: texts,
			doc: "A program and its arguments, as `[\"aws\", \"rds\", \"generate-db-auth-token\", \"--hostname={host}\", \"--port={port}\", \"--username={user}\"]`. It is run without a shell, with the environment of the proxy, for at most 10 seconds; `{host}`, `{port}`, `{user}` and `{database}` in an argument are what is connected to. The first line that it prints is the password. A program with a `/` in its name that is not absolute is one beside this file.",
		},
		{
			name: "server_auth.password_lifetime_secs", kind: integer, min: 1, max: year,
			doc: "How many seconds what `password_command` printed is good; 600 unless set. It is run earlier if a server refuses the password.",
		},
	}
}
