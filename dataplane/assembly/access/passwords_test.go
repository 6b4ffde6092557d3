package access

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/heliosproxy/heliosproxy/dataplane/assembly"
	"github.com/heliosproxy/heliosproxy/dataplane/assembly/stage"
	"github.com/heliosproxy/heliosproxy/pkg/resource"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgcluster"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// TestPasswordSources opens servers with passwords that live elsewhere: in a passfile, in a file, in what a command prints.
func TestPasswordSources(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{HBA: []string{"host all postgres 127.0.0.1/32 trust", "host all all 127.0.0.1/32 scram-sha-256"}})
	s := pg.Primary
	for _, name := range []string{"ann", "bob", "asker"} {
		s.CreateRole(t, name, name+"'s c4n4ry", "scram-sha-256")
	}
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	put := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(at(name)+".new", []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(at(name)+".new", at(name)); err != nil {
			t.Fatal(err)
		}
	}
	change := func(password string) { // and closes what was opened with the one before
		t.Helper()
		s.Exec(t, "SET password_encryption = 'scram-sha-256'; ALTER ROLE ann PASSWORD '"+password+"'", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'ann'")
	}
	rec := &stage.Record{}
	with := func(x *heliosv1.PasswordSource) (*assembly.Proxy, string) {
		t.Helper()
		set := stage.Config(s, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 10)
		set.Clusters["main"].Passwords = x
		set.Users["bob"] = &heliosv1.User{Name: "bob", Secret: stage.Secret("bob's c4n4ry")}
		set.Users["said"] = &heliosv1.User{Name: "said", ServerUser: "asker", ServerPassword: stage.Secret("asker's c4n4ry")}
		set.Users["ann"] = &heliosv1.User{Name: "ann"}
		return stage.Start(t, set, rec.Log)
	}
	check := func(what, addr, user, want string) {
		t.Helper()
		if got := stage.Psql(t, addr, "user="+user, "SELECT current_user"); got != want && (!strings.Contains(want, " ") || !strings.Contains(got, want)) {
			t.Errorf("%s: %s; want %s", what, got, want)
		}
	}

	put("pass", "# what is where\n127.0.0.1:*:postgres:ann:ann's c4n4ry\n*:*:*:asker:wrong c4n4ry\n")
	_, addr := with(&heliosv1.PasswordSource{Passfile: at("pass")})
	check("a line of a passfile", addr, "ann", "ann")
	check("no line, but a password of his own", addr, "bob", "bob")
	check("neither", addr, "eve", "asks for a password that the proxy does not have")
	check("a password that is said for servers", addr, "said", "asker")

	put("token", "ann's c4n4ry\n")
	px, addr := with(&heliosv1.PasswordSource{File: at("token")})
	check("a file", addr, "ann", "ann")
	put("token", "another c4n4ry\n")
	change("another c4n4ry")
	check("a file that was renewed", addr, "ann", "ann")
	before := stage.Psql(t, addr, "user=ann", "SELECT pg_backend_pid()")
	if _, err := px.Apply(sourced(s, &heliosv1.PasswordSource{File: at("token")}), nil); err != nil {
		t.Fatal(err)
	}
	if got := stage.Psql(t, addr, "user=ann", "SELECT pg_backend_pid()"); got != before {
		t.Errorf("a reload with the same source: server process %s, before %s", got, before)
	}
	put("elsewhere", "another c4n4ry\n")
	if _, err := px.Apply(sourced(s, &heliosv1.PasswordSource{File: at("elsewhere")}), nil); err != nil {
		t.Fatal(err)
	}
	if got := stage.Psql(t, addr, "user=ann", "SELECT pg_backend_pid()"); got == before {
		t.Error("a reload with another source goes on with the connections of before")
	}

	put("token", "")
	_, addr = with(&heliosv1.PasswordSource{File: at("token")})
	check("an empty file", addr, "ann", `there is no password for server n1 as "ann": password file "`+at("token")+`": the first line is empty`)

	put("token", "another c4n4ry")
	script := []string{"sh", "-c", `echo "$2" >> "$1/runs"; cat "$1/token"; echo; echo c4n4ry >&2`, "sh", dir, "{host} {port} {user} {database}"}
	runs := func() string {
		text, err := os.ReadFile(at("runs"))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	_, addr = with(&heliosv1.PasswordSource{Command: script})
	conns := make([]*pgconn.PgConn, 8)
	var all sync.WaitGroup
	for i := range conns {
		conns[i] = stage.Connect(t, addr, "ann")
		all.Go(func() { stage.Want(t, conns[i], "BEGIN", "") })
	}
	all.Wait()
	if n := s.Query(t, "SELECT count(*) >= 8 FROM pg_stat_activity WHERE usename = 'ann'"); n[0][0] != "t" {
		t.Errorf("8 transactions have not 8 connections: %v", n)
	}
	_, port := stage.Split(s.Addr())
	line := "127.0.0.1 " + port + " ann postgres\n"
	if got := runs(); got != line {
		t.Errorf("for 8 connections the command was run for %q, want %q", got, line)
	}
	put("token", "third c4n4ry")
	change("third c4n4ry")
	stage.Eventually(t, 20*time.Second, "the connections of before are gone", func() bool {
		return stage.Psql(t, addr, "user=ann", "SELECT current_user") == "ann"
	})
	if got := runs(); got != line+line {
		t.Errorf("after the password was refused the command was run for %q, want %q", got, line+line)
	}

	_, addr = with(&heliosv1.PasswordSource{Command: []string{"sh", "-c", "echo c4n4ry; echo c4n4ry >&2; exit 7", "c4n4ry"}})
	_, err := stage.TryConnect(addr, "ann")
	var pe *pgconn.PgError
	const failed = `there is no password for server n1 as "ann": password command "sh": exit status 7`
	if !stage.AsPg(err, &pe) || pe.Code != "08001" || pe.Message != failed {
		t.Errorf("a command that fails: %v", err)
	}
	check("a command that fails, and a password of his own", addr, "bob", "exit status 7")
	check("a command that fails, and a password that is said for servers", addr, "said", "asker")

	set := stage.Config(s, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 2)
	set.PoolProfiles["default"].ConnectTimeout = durationpb.New(500 * time.Millisecond)
	set.Nodes["n1"].Passwords = &heliosv1.PasswordSource{Command: []string{"sleep", "1000"}}
	_, addr = stage.Start(t, set, rec.Log)
	check("a command that takes too long", addr, "ann", `password command "sleep": nothing within 500ms`)

	logged := rec.String()
	if !strings.Contains(logged, strings.ReplaceAll(failed, `"`, `\"`)) {
		t.Errorf("the log does not say why the command has failed: %s", logged)
	}
	if strings.Contains(logged, "c4n4ry") {
		t.Errorf("a password is in the log: %s", logged)
	}
}

// sourced is the configuration of a server whose passwords come from x.
func sourced(s *pgcluster.Server, x *heliosv1.PasswordSource) *resource.Set {
	set := stage.Config(s, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 10)
	set.Clusters["main"].Passwords = x
	set.Users["ann"] = &heliosv1.User{Name: "ann"}
	return set
}

// TestPasswordSourcesOfLookups opens the connection that looks users up with a password that lives elsewhere, and servers with what
// users prove where there is none for them.
func TestPasswordSourcesOfLookups(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{HBA: []string{"host all postgres 127.0.0.1/32 trust", "host all all 127.0.0.1/32 scram-sha-256"}})
	s := pg.Primary
	s.CreateRole(t, "ann", "ann's", "scram-sha-256")
	s.CreateRole(t, "asker", "asker's", "scram-sha-256")
	s.Exec(t, "ALTER ROLE asker SUPERUSER")
	pass := filepath.Join(t.TempDir(), "pass")
	if err := os.WriteFile(pass, []byte("*:*:*:asker:asker's\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	set := stage.Asking(pg, time.Minute)
	set.Databases["*"].AuthQuery.User = "asker"
	set.Nodes["n1"].Passwords = &heliosv1.PasswordSource{Passfile: pass}
	_, addr := stage.Start(t, set)
	if got := stage.Psql(t, addr, stage.As("ann", "ann's"), "SELECT current_user"); got != "ann" {
		t.Error(got)
	}
}

// TestPasswordSourcesRefused refuses at once what this machine does not have, and waits for a file that may come.
func TestPasswordSourcesRefused(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{})
	dir := t.TempDir()
	open := filepath.Join(dir, "open")
	if err := os.WriteFile(open, []byte("*:*:*:*:c4n4ry\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(open, 0o604); err != nil {
		t.Fatal(err)
	}
	rec := &stage.Record{}
	o := assembly.Options{Loops: 1}
	rec.Log(&o)
	p, err := assembly.New(o)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	for _, c := range []struct {
		source *heliosv1.PasswordSource
		err    string
	}{
		{&heliosv1.PasswordSource{Passfile: open}, "has group or world access"},
		{&heliosv1.PasswordSource{Passfile: filepath.Join(dir, "missing")}, "no such file"},
		{&heliosv1.PasswordSource{Command: []string{filepath.Join(dir, "missing")}}, "no such file"},
		{&heliosv1.PasswordSource{File: filepath.Join(dir, "missing")}, ""},
	} {
		_, err := p.Apply(sourced(pg.Primary, c.source), nil)
		switch {
		case c.err == "" && err != nil:
			t.Errorf("%v: %v", c.source, err)
		case c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err) || !strings.Contains(err.Error(), "passwords")):
			t.Errorf("%v: %v, want %q", c.source, err, c.err)
		}
	}
	if !strings.Contains(rec.String(), "no such file") || strings.Contains(rec.String(), "c4n4ry") {
		t.Errorf("the log: %s", rec)
	}
}
