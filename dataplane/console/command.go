package console

import (
	"context"
	"strconv"
	"strings"

	"github.com/heliosproxy/heliosproxy/pkg/pgerr"
)

// command is something that a console can do.
type command struct {
	tag     string
	columns []column // none: it returns no rows
	admin   bool     // who may only look may not
	rows    func(Desk) [][]any
	do      func(context.Context, Desk) error
	notice  *pgerr.Error // that goes ahead of the answer
}

// run does it. It may wait, and is called outside the loop.
func (c *command) run(ctx context.Context, d Desk) (rows [][]any, err error) {
	if c.do != nil {
		err = c.do(ctx, d)
	}
	if err == nil && c.rows != nil {
		rows = c.rows(d)
	}
	return rows, err
}

// verb is the first word of a command, and what becomes of the others.
type verb struct {
	name string
	args string // for words
	help string
	read func(args []word) (*command, error)
}

// verbs are all commands, in the order in which they are shown.
func verbs() []verb {
	return []verb{
		{"SHOW", "HELP | ...", "", show},
		{"PAUSE", "[database]", "hold clients, and wait until the server connections are closed", on(true, Desk.Pause)},
		{"RESUME", "[database]", "let clients go on after PAUSE, SUSPEND or KILL", on(true, brief(Desk.Resume))},
		{"SUSPEND", "", "hold clients, and wait until nobody has a transaction open", alone(Desk.Suspend)},
		{"DISABLE", "database", "let nobody new in", on(false, brief(func(d Desk, db string) error { return d.Disable(db, true) }))},
		{"ENABLE", "database", "let clients in again", on(false, brief(func(d Desk, db string) error { return d.Disable(db, false) }))},
		{"KILL", "[database]", "end clients and server connections at once, and hold who comes next", on(true, Desk.Kill)},
		{"KILL_CLIENT", "id", "end a client", killClient},
		{"RECONNECT", "[database]", "close server connections as they become free", on(true, brief(Desk.Reconnect))},
		{"WAIT_CLOSE", "[database]", "wait until those are closed", on(true, Desk.WaitClose)},
		{"RELOAD", "", "read the configuration again", alone(Desk.Reload)},
		{"SHUTDOWN", "[WAIT_FOR_SERVERS | WAIT_FOR_CLIENTS]", "end the proxy", shutdown},
		{"FORGET", "user", "drop what SHOW AUTH_CACHE has of a user", forget},
		{"SET", "key = value", "change a setting until the configuration is read again", set},
	}
}

// read reads a command.
func read(words []word) (*command, error) {
	first := words[0]
	for _, v := range verbs() {
		if !first.is(v.name) {
			continue
		}
		c, err := v.read(words[1:])
		if err != nil {
			return nil, err
		}
		if c == nil {
			return nil, pgerr.New(pgerr.ConsoleSyntax, "usage: "+strings.TrimSpace(v.name+" "+v.args))
		}
		if c.tag == "" {
			c.tag, c.admin = v.name, true
		}
		return c, nil
	}
	return nil, pgerr.New(pgerr.ConsoleSyntax, strconv.Quote(first.text)+" is no command")
}

// on is a command that is about a database, or where it may, about all.
func on(all bool, do func(d Desk, ctx context.Context, db string) error) func([]word) (*command, error) {
	return func(args []word) (*command, error) {
		if len(args) > 1 || len(args) == 0 && !all || len(args) == 1 && args[0].text == "" {
			return nil, nil
		}
		db := ""
		if len(args) == 1 {
			db = args[0].text
		}
		return &command{do: func(ctx context.Context, d Desk) error { return do(d, ctx, db) }}, nil
	}
}

// brief is what does not wait.
func brief(do func(d Desk, db string) error) func(Desk, context.Context, string) error {
	return func(d Desk, _ context.Context, db string) error { return do(d, db) }
}

// alone is a command without arguments.
func alone(do func(d Desk, ctx context.Context) error) func([]word) (*command, error) {
	return func(args []word) (*command, error) {
		if len(args) > 0 {
			return nil, nil
		}
		return &command{do: func(ctx context.Context, d Desk) error { return do(d, ctx) }}, nil
	}
}

func killClient(args []word) (*command, error) {
	if len(args) != 1 {
		return nil, nil
	}
	id, err := strconv.ParseUint(args[0].text, 10, 64)
	if err != nil {
		return nil, nil
	}
	return &command{do: func(_ context.Context, d Desk) error { return d.KillClient(id) }}, nil
}

func shutdown(args []word) (*command, error) {
	how := Immediately
	switch {
	case len(args) == 0:
	case len(args) == 1 && args[0].is("WAIT_FOR_SERVERS"):
		how = WaitForServers
	case len(args) == 1 && args[0].is("WAIT_FOR_CLIENTS"):
		how = WaitForClients
	default:
		return nil, nil
	}
	return &command{do: func(_ context.Context, d Desk) error { return d.Shutdown(how) }}, nil
}

func forget(args []word) (*command, error) {
	if len(args) != 1 || args[0].text == "" {
		return nil, nil
	}
	return &command{columns: columns("answers:i keys:i"), rows: func(d Desk) [][]any {
		answers, keys := d.Forget(args[0].text)
		return [][]any{{answers, keys}}
	}}, nil
}

func set(args []word) (*command, error) {
	if len(args) < 3 || !args[1].is("=") && !args[1].is("TO") {
		return nil, nil
	}
	var value []string
	for _, w := range args[2:] {
		value = append(value, w.text)
	}
	key := strings.ToLower(args[0].text)
	return &command{do: func(_ context.Context, d Desk) error { return d.Set(key, strings.Join(value, " ")) }}, nil
}

// show is SHOW.
func show(args []word) (*command, error) {
	if len(args) == 2 && args[0].is("AUTH_CACHE") {
		return &command{tag: "SHOW", admin: true, columns: knownColumns(), rows: func(d Desk) [][]any { return each(d.Known(args[1].text), knownRow) }}, nil
	}
	if len(args) != 1 {
		return nil, nil
	}
	if args[0].is("HELP") {
		return &command{tag: "SHOW", notice: usage()}, nil
	}
	for _, s := range shows() {
		if args[0].is(s.name) {
			return &command{tag: "SHOW", columns: s.columns, rows: s.rows, admin: s.admin}, nil
		}
	}
	for _, p := range Parameters() {
		if args[0].is(p[0]) {
			return &command{tag: "SHOW", columns: []column{{p[0], textOID}}, rows: func(Desk) [][]any { return [][]any{{p[1]}} }}, nil
		}
	}
	return nil, pgerr.New(pgerr.ConsoleSyntax, "there is no SHOW "+args[0].text)
}

// usage is what SHOW HELP says.
func usage() *pgerr.Error {
	var b strings.Builder
	var all []string
	for _, s := range shows() {
		all = append(all, s.name)
	}
	for _, v := range verbs() {
		switch v.name {
		case "SHOW":
			b.WriteString("\n\tSHOW HELP|" + strings.Join(all, "|"))
		default:
			b.WriteString("\n\t" + strings.TrimSpace(v.name+" "+v.args))
		}
	}
	return pgerr.New(pgerr.ConsoleUsage).WithDetail(b.String())
}

// Parameters are what a console reports of itself at log-in, as name and value.
func Parameters() [][2]string {
	return [][2]string{
		{"server_version", Speaks + "/bouncer"},
		{"client_encoding", "UTF8"},
		{"server_encoding", "UTF8"},
		{"DateStyle", "ISO"},
		{"TimeZone", "GMT"},
		{"integer_datetimes", "on"},
		{"standard_conforming_strings", "on"},
		{"is_superuser", "on"},
	}
}

// Speaks is the version of PgBouncer whose console this is.
const Speaks = "1.25.0"
