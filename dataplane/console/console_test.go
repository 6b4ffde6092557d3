package console

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/heliosproxy/heliosproxy/pkg/pgerr"
	"github.com/heliosproxy/heliosproxy/pkg/pgwire"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgscript"
)

// fake is a desk with something of everything, which notes what is done.
type fake struct {
	done []string
	err  error
}

var errPanics = errors.New("a desk that panics")

func (f *fake) note(words ...any) error {
	if f.err == errPanics {
		panic("planted")
	}
	f.done = append(f.done, strings.TrimSpace(fmt.Sprintln(words...)))
	return f.err
}

func (f *fake) Databases() []Database {
	return []Database{{Name: "shop", Host: "db", Port: 5432, PoolSize: 20, Mode: "transaction", Paused: true, LoadBalanceHosts: "disable"}}
}

func (f *fake) Pools() []Pool {
	return []Pool{{Database: "shop", User: "ann", Waiting: 3, MaxWait: 2500 * time.Millisecond, Mode: "session", LoadBalanceHosts: "round-robin"}}
}

func (f *fake) Clients() []Client {
	return []Client{{ID: 7, User: "ann", Database: "shop", State: "active", Addr: "10.0.0.1", Port: 99, Connected: time.Unix(1e9, 0)}, {State: "login"}}
}

func (f *fake) Servers() []Server { return []Server{{Node: "n1", Client: Client{State: "idle"}}} }
func (f *fake) Users() []User {
	return []User{{Name: "ann"}, {Name: "bob", PoolSize: 3, Mode: "session"}}
}

func (f *fake) Settings() []Setting { return []Setting{{"a", "1", "2", true}, {"b", "x", "", false}} }
func (f *fake) Lists() []Count      { return []Count{{"databases", 70_000}} }
func (f *fake) Memory() []Memory    { return []Memory{{"heap", 1, 2, 3, 4}} }
func (f *fake) Hosts() []Host       { return []Host{{"db", 5 * time.Second, "10.0.0.1,::1"}} }
func (f *fake) Zones() []Zone       { return []Zone{{"example.com", 4294967295, 2}} }
func (f *fake) Peers() []Peer       { return []Peer{{3, "10.0.0.3", 6432, 64, 2, "px3"}} }
func (f *fake) State() State        { return State{Suspended: true} }
func (f *fake) Version() string     { return "v" }

func (f *fake) Stats() []Stats {
	return []Stats{{
		Database: "shop", Period: 2 * time.Second, Total: Counts{Queries: 123_450_000, WaitTime: time.Second},
		Last: Counts{Queries: 10, Transactions: 4, TransactionTime: time.Second, Received: 2},
	}}
}

func (f *fake) Known(user string) []Known {
	all := []Known{
		{Cluster: "main", Database: "shop", User: "ann", Secret: "scram", Asked: time.Unix(1e9, 0), Until: time.Unix(2e9, 0), Key: true},
		{Cluster: "main", User: "bob", Key: true},
	}
	return slices.DeleteFunc(all, func(k Known) bool { return user != "" && k.User != user })
}

func (f *fake) Forget(user string) (int, int) { return 2, len(user) }

func (f *fake) Pause(_ context.Context, db string) error     { return f.note("pause", db) }
func (f *fake) Suspend(context.Context) error                { return f.note("suspend") }
func (f *fake) Resume(db string) error                       { return f.note("resume", db) }
func (f *fake) Disable(db string, disable bool) error        { return f.note("disable", db, disable) }
func (f *fake) Kill(_ context.Context, db string) error      { return f.note("kill", db) }
func (f *fake) KillClient(id uint64) error                   { return f.note("kill client", id) }
func (f *fake) Reconnect(db string) error                    { return f.note("reconnect", db) }
func (f *fake) WaitClose(_ context.Context, db string) error { return f.note("wait", db) }
func (f *fake) Reload(context.Context) error                 { return f.note("reload") }
func (f *fake) Shutdown(how Shutdown) error                  { return f.note("shutdown", int(how)) }
func (f *fake) Set(key, value string) error                  { return f.note("set", key, value) }

// say has a session read messages, byte by byte, and returns what it answers, in words.
func say(t *testing.T, s *Session, messages ...[]byte) string {
	t.Helper()
	var out []byte
	for _, b := range bytes.Join(messages, nil) {
		s.Feed([]byte{b})
		for {
			answer, job, err := s.Next()
			out = append(out, answer...)
			if err != nil {
				var pe *pgerr.Error
				if errors.As(err, &pe) {
					return words(out) + " end:" + pe.SQLState
				}
				return words(out) + " end"
			}
			if job == nil {
				break
			}
			job.Run(context.Background())
			s.Done(job)
		}
	}
	return words(out)
}

// words are messages by type, errors by SQLSTATE, tags and rows in full.
func words(p []byte) string {
	var all []string
	for len(p) >= pgwire.HeaderSize {
		n := pgwire.HeaderSize + pgwire.Body(p)
		body := p[pgwire.HeaderSize:n]
		word := string(p[0])
		switch p[0] {
		case pgwire.ErrorResponse, pgwire.NoticeResponse:
			e, _ := pgwire.ReadError(body)
			word = e.SQLState
		case pgwire.CommandComplete:
			word = string(bytes.TrimRight(body, "\x00"))
		case pgwire.DataRow:
			var row []string
			pgwire.Row(body, func(_ int, v []byte) { row = append(row, string(v)) })
			word = "(" + strings.Join(row, ",") + ")"
		}
		all = append(all, word)
		p = p[n:]
	}
	return strings.Join(all, " ")
}

// TestCommands has each command reach the desk, in whatever case and quotes, and several in one text.
func TestCommands(t *testing.T) {
	for _, c := range []struct{ sql, done, want string }{
		{"PAUSE", "pause", "PAUSE Z"},
		{"pause;", "pause", "PAUSE Z"},
		{`Pause "My ""db"";" ;`, `pause My "db";`, "PAUSE Z"},
		{"RESUME shop -- now", "resume shop", "RESUME Z"},
		{"SUSPEND", "suspend", "SUSPEND Z"},
		{"DISABLE shop; /* and */ ENABLE shop", "disable shop true|disable shop false", "DISABLE ENABLE Z"},
		{"KILL 'shop'", "kill shop", "KILL Z"},
		{"KILL_CLIENT 18", "kill client 18", "KILL_CLIENT Z"},
		{"RECONNECT", "reconnect", "RECONNECT Z"},
		{"WAIT_CLOSE shop", "wait shop", "WAIT_CLOSE Z"},
		{"RELOAD", "reload", "RELOAD Z"},
		{"SHUTDOWN", "shutdown 0", "SHUTDOWN Z"},
		{"SHUTDOWN wait_for_servers", "shutdown 1", "SHUTDOWN Z"},
		{"SHUTDOWN WAIT_FOR_CLIENTS", "shutdown 2", "SHUTDOWN Z"},
		{"SET Pool_Size=20", "set pool_size 20", "SET Z"},
		{"SET x TO 'select 2'", "set x select 2", "SET Z"},
		{"", "", "I Z"},
		{" ; ;", "", "I Z"},
		{"SHOW VERSION", "", "T (v) SHOW Z"},
		{"SHOW server_version", "", "T (" + Speaks + "/bouncer) SHOW Z"},
		{"SHOW STATE; PAUSE", "pause", "T (active,no) (paused,no) (suspended,yes) SHOW PAUSE Z"},
	} {
		f := &fake{}
		if got := say(t, New(f, Everything), pgscript.Query(c.sql)); got != c.want || strings.Join(f.done, "|") != c.done {
			t.Errorf("%s: %s, done %q", c.sql, got, f.done)
		}
	}
}

// TestRefused refuses in words, and does nothing behind what it has refused.
func TestRefused(t *testing.T) {
	for _, c := range []struct {
		sql  string
		err  error
		want string
	}{
		{"PAUSE a b", nil, "42601 Z"},
		{"DISABLE", nil, "42601 Z"},
		{`PAUSE ""`, nil, "42601 Z"},
		{"RELOAD now", nil, "42601 Z"},
		{"SET a", nil, "42601 Z"},
		{"KILL_CLIENT ann", nil, "42601 Z"},
		{"SHUTDOWN soon", nil, "42601 Z"},
		{"SHOW", nil, "42601 Z"},
		{"SHOW ELEPHANTS", nil, "42601 Z"},
		{`"PAUSE"`, nil, "42601 Z"},
		{"SELECT 1", nil, "42601 Z"},
		{"PAUSE; BEGIN", nil, "42601 Z"},
		{"PAUSE 'a", nil, "42601 Z"},
		{"PAUSE /* a", nil, "42601 Z"},
		{"RESUME; SHOW VERSION", errors.New("a full disk"), "58000 Z"},
		{"RESUME", pgerr.New(pgerr.ConsoleDatabase, "x"), "3D000 Z"},
		{"RESUME", errPanics, "58000 Z"},
	} {
		f := &fake{err: c.err}
		if got := say(t, New(f, Everything), pgscript.Query(c.sql)); got != c.want || c.err == nil && len(f.done) > 0 {
			t.Errorf("%s: %s, done %q", c.sql, got, f.done)
		}
	}
}

// TestRights lets those who may look do nothing else.
func TestRights(t *testing.T) {
	for _, v := range verbs() {
		sql := map[string]string{"SHOW": "SHOW POOLS", "DISABLE": "DISABLE a", "ENABLE": "ENABLE a", "KILL_CLIENT": "KILL_CLIENT 1", "FORGET": "FORGET a", "SET": "SET a = b"}[v.name]
		if sql == "" {
			sql = v.name
		}
		f := &fake{}
		got := say(t, New(f, Look), pgscript.Query(sql), pgscript.Parse("", sql), pgscript.Bind("", ""), pgscript.Execute("", 0), pgscript.Sync())
		if denied := strings.Count(got, "42501"); denied != 2 && v.name != "SHOW" || denied != 0 && v.name == "SHOW" || len(f.done) > 0 {
			t.Errorf("%s: %s, done %q", sql, got, f.done)
		}
	}
	for _, sql := range []string{"SHOW FDS", "SHOW AUTH_CACHE", "SHOW AUTH_CACHE ann"} {
		if got := say(t, New(&fake{}, Look), pgscript.Query(sql)); got != "42501 Z" {
			t.Errorf("%s: %s", sql, got)
		}
	}
}

// TestColumns holds the columns against PgBouncer's, which come first.
func TestColumns(t *testing.T) {
	text, err := os.ReadFile("testdata/columns.txt")
	if err != nil {
		t.Fatal(err)
	}
	theirs := map[string]string{}
	for line := range strings.Lines(string(text)) {
		if name, cols, ok := strings.Cut(strings.TrimSpace(line), ": "); ok {
			theirs[name] = cols
		}
	}
	theirs["AUTH_CACHE"] = "cluster database user secret asked until key" // ours alone
	f := &fake{}
	for _, s := range shows() {
		var names []string
		for _, c := range s.columns {
			names = append(names, c.name)
		}
		if got := strings.Join(names, " "); theirs[s.name] == "" || !strings.HasPrefix(got+" ", theirs[s.name]+" ") {
			t.Errorf("SHOW %s has %s\nwant %s", s.name, got, theirs[s.name])
		}
		delete(theirs, s.name)
		for _, row := range s.rows(f) {
			if len(row) != len(s.columns) {
				t.Errorf("SHOW %s: a row has %d values, there are %d columns", s.name, len(row), len(s.columns))
			}
		}
	}
	if len(theirs) > 0 {
		t.Errorf("there is no %v", theirs)
	}
}

// TestRows shows a few rows as texts.
func TestRows(t *testing.T) {
	for sql, want := range map[string]string{
		"SHOW POOLS":          "(shop,ann,0,3,0,0,0,0,0,0,0,0,0,2,500000,session,round-robin,,,0,0,0)",
		"SHOW DATABASES":      "(shop,db,5432,shop,,20,0,0,0,transaction,disable,0,0,0,0,1,0,,0)",
		"SHOW CLIENTS":        "(C,ann,shop,none,active,10.0.0.1,99,,0,2001-09-09 01:46:40 UTC,,0,0,0,,,0,,,0,7,)",
		"SHOW ACTIVE_SOCKETS": "(C,ann,shop,none,cl_active,10.0.0.1,99,,0,2001-09-09 01:46:40 UTC,,0,0,0,,,0,,,0,7,0,0,0,0,0,0,0)",
		"SHOW STATS":          "(shop,0,0,123450000,0,0,0,0,1000000,0,0,0,0,2,5,1,0,250000,0,0,0,0,0,123450000)",
		"SHOW STATS_AVERAGES": "(shop,0,2,5,1,0,250000,0,0,0,0,0)",
		"SHOW USERS":          "(ann,,,,0,0,0,0) (bob,3,,session,0,0,0,0)",
		"SHOW DNS_HOSTS":      "(db,5,10.0.0.1,::1)",
		"SHOW DNS_ZONES":      "(example.com,4294967295,2)",
		"SHOW CONFIG":         "(a,1,2,yes) (b,x,,no)",
	} {
		if got := say(t, New(&fake{}, Look), pgscript.Query(sql)); !strings.Contains(got+" ", " "+want+" ") {
			t.Errorf("%s: %s\nwant %s", sql, got, want)
		}
	}
	if got := say(t, New(&fake{}, Look), pgscript.Query("SHOW TOTALS")); !strings.Contains(got, "(total_query_count,123450000)") || !strings.Contains(got, "(avg_query_count,5)") {
		t.Errorf("SHOW TOTALS: %s", got)
	}
}

// TestExtended speaks the extended protocol, errors and row limits included.
func TestExtended(t *testing.T) {
	sync, parse, execute := pgscript.Sync(), pgscript.Parse("", "SHOW STATE"), pgscript.Execute("", 0)
	bind := func(formats ...uint16) []byte { // for results
		body := binary.BigEndian.AppendUint16([]byte{0, 0, 0, 0, 0, 0}, uint16(len(formats)))
		for _, f := range formats {
			body = binary.BigEndian.AppendUint16(body, f)
		}
		return pgscript.Frame('B', body)
	}
	for _, c := range []struct {
		name string
		in   [][]byte
		want string
	}{
		{"one command", [][]byte{pgscript.Parse("", "SHOW VERSION"), pgscript.DescribeStatement(""), pgscript.Bind("", ""), pgscript.DescribePortal(""), pgscript.Execute("", 0), sync}, "1 t T 2 T (v) SHOW Z"},
		{"without rows", [][]byte{pgscript.Parse("", "PAUSE"), pgscript.DescribeStatement(""), pgscript.Bind("", ""), pgscript.Execute("", 0), sync}, "1 t n 2 PAUSE Z"},
		{"empty", [][]byte{pgscript.Parse("", ""), pgscript.Bind("", ""), pgscript.Execute("", 0), sync}, "1 2 I Z"},
		{"row by row", [][]byte{pgscript.Parse("", "SHOW STATE"), pgscript.Bind("p", ""), pgscript.Execute("p", 2), pgscript.Execute("p", 2), sync}, "1 2 (active,no) (paused,no) s (suspended,yes) SHOW Z"},
		{"named", [][]byte{pgscript.Parse("a", "RESUME"), pgscript.Parse("a", "PAUSE"), pgscript.Bind("", "a"), sync, pgscript.Bind("", "a"), pgscript.Execute("", 0), pgscript.CloseStatement("a"), pgscript.Bind("", "a"), sync}, "1 42P05 Z 2 RESUME 3 26000 Z"},
		{"no statement", [][]byte{pgscript.DescribeStatement("b"), pgscript.Execute("", 0), sync}, "26000 Z"},
		{"no portal", [][]byte{pgscript.Execute("b", 0), sync, pgscript.DescribePortal("b"), sync}, "34000 Z 34000 Z"},
		{"a portal ends", [][]byte{pgscript.Parse("", "PAUSE"), pgscript.Bind("p", ""), sync, pgscript.Execute("p", 0), sync}, "1 2 Z 34000 Z"},
		{"two commands", [][]byte{pgscript.Parse("", "PAUSE; RESUME"), sync}, "42601 Z"},
		{"a parameter", [][]byte{pgscript.Parse("", "PAUSE $1"), pgscript.Bind("", "", "x"), sync}, "1 42601 Z"},
		{"a format for each column", [][]byte{parse, bind(1, 0), execute, sync}, "1 2 (active,no) (paused,no) (suspended,yes) SHOW Z"},
		{"too many formats", [][]byte{parse, bind(0, 0, 0), execute, sync, bind(0), sync}, "1 08P01 Z 2 Z"},
		{"formats of no columns", [][]byte{pgscript.Parse("", "PAUSE"), bind(0, 7, 0), execute, sync}, "1 2 PAUSE Z"},
		{"no format", [][]byte{parse, bind(0, 7), pgscript.DescribePortal(""), execute, execute, sync}, "1 2 T 22023 Z"},
		{"goodbye", [][]byte{pgscript.Query("SHOW VERSION"), {'X', 0, 0, 0, 4}}, "T (v) SHOW Z end"},
		{"nonsense", [][]byte{{'?', 0, 0, 0, 4}}, " end:08P01"},
		{"too long", [][]byte{{'Q', 1, 0, 0, 4}}, " end:08P01"},
		{"malformed", [][]byte{{'P', 0, 0, 0, 5, 'x'}}, " end:08P01"},
	} {
		if got := say(t, New(&fake{}, Everything), c.in...); got != c.want {
			t.Errorf("%s: %s\nwant %s", c.name, got, c.want)
		}
	}
}

// TestBinary returns values in the binary format to who has asked for that.
func TestBinary(t *testing.T) {
	for _, c := range []struct {
		oid  uint32
		text string
		want string
	}{
		{textOID, "a", "a"},
		{int4OID, "70000", "\x00\x01\x11\x70"},
		{int8OID, "70000", "\x00\x00\x00\x00\x00\x01\x11\x70"},
		{numericOID, "0", "\x00\x00\x00\x00\x00\x00\x00\x00"},
		{numericOID, "123450000", "\x00\x03\x00\x02\x00\x00\x00\x00\x00\x01\x09\x29\x00\x00"},
	} {
		if got := binaryOf(c.oid, c.text); got != c.want {
			t.Errorf("%s as %d: %q, want %q", c.text, c.oid, got, c.want)
		}
	}
}

// TestHelp names every command.
func TestHelp(t *testing.T) {
	s := New(&fake{}, Look)
	s.Feed(pgscript.Query("SHOW HELP"))
	_, job, _ := s.Next()
	job.Run(context.Background())
	s.Done(job)
	answer, _, _ := s.Next()
	for _, v := range verbs() {
		if !strings.Contains(string(answer), "\n\t"+v.name) {
			t.Errorf("lacks %s: %s", v.name, answer)
		}
	}
}

// TestWho: the log calls an administrator only who may do everything.
func TestWho(t *testing.T) {
	if a, b := Everything.Who(), Look.Who(); a != "an administrator" || b != "somebody who may look at the console" {
		t.Errorf("%s, %s", a, b)
	}
}
