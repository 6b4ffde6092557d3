package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/heliosproxy/heliosproxy/pkg/testkit/freeport"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgcluster"
)

// TestDoorsOfTheControlPlane: nobody comes in without the right token, and is told which flag gives it; and no address is taken
// that another machine could reach.
//
// It was seen to find a door that takes every token (identity: check) and one that takes any address (bearer: Loopback).
func TestDoorsOfTheControlPlane(t *testing.T) {
	t.Parallel()
	p := startProcesses(t)
	node, admin := p.dir+"/cp/node.token", p.dir+"/cp/admin.token"
	for _, file := range []string{node, admin} {
		if at, err := os.Stat(file); err != nil || at.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", file, at, err)
		}
	}
	p.want(1, "", []string{"--token-file", node, "get", "all"}, "not the admin token.*--token-file")
	p.want(1, "", []string{"--token-file", p.dir + "/none", "get", "all"}, "--token-file.*no such file")
	p.want(2, "", []string{"--server", "10.0.0.1:7400", "get", "all"}, "--server .*is not a loopback address: tokens travel in clear text")
	p.through(p.stream, "stranger", "--token-file", admin)
	Within(t, patience, "a proxy with another token is turned away", func() bool {
		return strings.Contains(p.log.String(), "the control plane turns this proxy away") && strings.Contains(p.log.String(), "this is not the node token: --token-file has to")
	})
	if all, _ := p.fleet(); len(all) != 0 {
		t.Errorf("the fleet is %v", all)
	}
	for _, args := range []string{
		"controlplane --data-dir " + p.dir + "/no --admin-listen 0.0.0.0:7400",
		"controlplane --data-dir " + p.dir + "/no --stream-listen [::]:7401",
		"dataplane --control-plane 10.0.0.1:7401 --token-file " + node,
		"dataplane --control-plane " + p.stream + ",example.com:7401 --token-file " + node,
	} {
		ctx, stop := context.WithTimeout(t.Context(), patience)
		cmd := exec.CommandContext(ctx, program(t), strings.Fields(args)...)
		out, _ := cmd.CombinedOutput() // the exit code is looked at
		stop()
		flag := "--" + found(t, `--((?:admin|stream)-listen|control-plane)`, args)
		if code := cmd.ProcessState.ExitCode(); code != 2 || !strings.Contains(string(out), flag) || !strings.Contains(string(out), "is not a loopback address: tokens travel in clear text") {
			t.Errorf("%s: exit code %d\n%s", args, code, out)
		}
	}
	// Without any token: the environment that helioctl is given here has one.
	cmd := exec.Command("env", "-u", "HELIOCTL_TOKEN_FILE", helioctlProgram(), "--server", p.admin, "get", "all")
	cmd.Env = append(os.Environ(), "HELIOCTL_CONFIG=/dev/null")
	out, _ := cmd.CombinedOutput()
	if cmd.ProcessState.ExitCode() != 1 || !strings.Contains(string(out), "no token was sent: give one with --token-file") || !strings.Contains(string(out), admin) {
		t.Errorf("without a token: %d\n%s", cmd.ProcessState.ExitCode(), out)
	}
}

// helioctlProgram is the path of helioctl.
func helioctlProgram() string {
	if path := os.Getenv("HELIOCTL"); path != "" {
		return path
	}
	return "../../bin/helioctl"
}

// TestRemovedWhileInUse: when a Database or a User goes, its idle sessions end with 57P01, and those in a transaction when that has
// ended, with what it did; and nobody new comes in.
//
// It was seen to find a proxy that leaves sessions of what was removed alone until they speak (assembly: no look at sessions after a swap).
func TestRemovedWhileInUse(t *testing.T) {
	t.Parallel()
	server := pgcluster.Start(t, pgcluster.Options{}).Primary
	server.Exec(t, "create table t(a int)", "create role app login", "grant all on t to app", "create role stays login", "create database other")
	p := startProcesses(t, "a")
	base := strings.NewReplacer("auth: trust", "auth: password", `name: "*"`, `name: postgres`).Replace(resources(server, 5))
	p.want(0, base+`---
apiVersion: helios/v1
kind: Database
metadata: {name: other}
spec: {cluster: main, poolProfile: web}
---
apiVersion: helios/v1
kind: Database
metadata: {name: renamed}
spec: {cluster: main, poolProfile: web, serverName: postgres}
---
apiVersion: helios/v1
kind: User
metadata: {name: app}
spec: {secret: pw}
---
apiVersion: helios/v1
kind: User
metadata: {name: stays}
spec: {secret: pw}
`, []string{"apply", "-f", "-"})
	hash := p.follow(patience, "", "a")
	connect := func(database, user string) (*pgx.Conn, error) {
		ctx, stop := context.WithTimeout(t.Context(), patience)
		defer stop()
		c, err := pgx.Connect(ctx, fmt.Sprintf("host=127.0.0.1 port=%d dbname=%s user=%s password=pw sslmode=disable", p.ports["a"], database, user))
		if err == nil {
			t.Cleanup(func() { _ = c.Close(context.Background()) })
		}
		return c, err
	}
	for i, tt := range []struct{ what, kind, name, database, user, otherDatabase, otherUser string }{
		{"a database", "database", "renamed", "renamed", "app", "postgres", "app"},
		{"a user", "user", "app", "postgres", "app", "postgres", "stays"},
	} {
		var all [3]*pgx.Conn
		for j, who := range [][2]string{{tt.database, tt.user}, {tt.database, tt.user}, {tt.otherDatabase, tt.otherUser}} {
			c, err := connect(who[0], who[1])
			if err != nil {
				t.Fatalf("%s: %v: %v", tt.what, who, err)
			}
			if _, err := c.Exec(t.Context(), "select 1"); err != nil {
				t.Fatal(err)
			}
			all[j] = c
		}
		idle, busy, other := all[0], all[1], all[2]
		tx, err := busy.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tx.Exec(t.Context(), "insert into t values ($1)", i); err != nil {
			t.Fatal(err)
		}
		p.want(1, "", []string{"delete", tt.kind, tt.name}, "of kind "+strings.ToUpper(tt.kind[:1])+tt.kind[1:]+".*--allow-destructive")
		p.want(0, "", []string{"delete", tt.kind, tt.name, "--allow-destructive"})
		hash = p.follow(patience, hash, "a")
		ends(t, tt.what+": an idle session", func() error { // it is told without asking for anything
			ctx, stop := context.WithTimeout(t.Context(), patience)
			defer stop()
			_, err := idle.PgConn().ReceiveMessage(ctx)
			return err
		})
		if _, err := tx.Exec(t.Context(), "insert into t values ($1)", i); err != nil {
			t.Errorf("%s: in a transaction: %v", tt.what, err)
		}
		if err := tx.Commit(t.Context()); err != nil {
			t.Errorf("%s: the end of a transaction: %v", tt.what, err)
		}
		ends(t, tt.what+": after its transaction", func() error { _, err := busy.Exec(t.Context(), "select 1"); return err })
		if _, err := other.Exec(t.Context(), "select 1"); err != nil {
			t.Errorf("%s: somebody else: %v", tt.what, err)
		}
		if _, err := connect(tt.database, tt.user); err == nil {
			t.Errorf("%s: somebody new came in", tt.what)
		}
		if got := server.Query(t, fmt.Sprintf("select count(*) from t where a = %d", i))[0][0]; got != "2" {
			t.Errorf("%s: %s rows of two inserts", tt.what, got)
		}
	}
}

// ends wants a session to be told that it ends.
func ends(t *testing.T, what string, use func() error) {
	t.Helper()
	var said *pgconn.PgError
	if err := use(); !errors.As(err, &said) || said.Code != "57P01" {
		t.Errorf("%s: %v, want 57P01", what, err)
	}
}

// TestStandaloneAnswers: a proxy that a file configures tells helioctl what it runs as a member of a fleet does, and says where to
// change it.
//
// It was seen to find a standalone proxy whose configuration does not say that it is of a file (planes: Source).
func TestStandaloneAnswers(t *testing.T) {
	t.Parallel()
	server := pgcluster.Start(t, pgcluster.Options{}).Primary
	p := &processes{t: t, dir: t.TempDir(), log: &syncBuffer{}}
	p.admin = "unix:" + filepath.Join(p.dir, "admin.sock")
	door := &Proxy{Port: freeport.For(t), AdminPort: freeport.For(t)}
	if err := os.MkdirAll(p.dir+"/cp", 0o700); err != nil {
		t.Fatal(err)
	}
	damage(t, p.dir+"/cp/admin.token", []byte("unused\n")) // helioctl is told to send one; a socket asks for none
	cmd := p.start("--config", writeFile(t, "proxy.toml", door.config(server, Options{})), "--state-dir", p.dir, "--node-id", "alone")
	defer p.kill(cmd)
	var got struct {
		Node, Hash, Source string
		Generation         struct{ Epoch, Revision int }
		Resources          []any
	}
	read := func() bool {
		code, out := p.helioctl("", "node", "config", "alone", "-o", "json")
		return code == 0 && json.Unmarshal([]byte(out), &got) == nil && got.Hash != ""
	}
	Within(t, patience, "the proxy says what it runs", read)
	if got.Node != "alone" || len(got.Hash) != 64 || got.Source != "file" || got.Generation.Epoch != 1 || got.Generation.Revision < 1 || len(got.Resources) < 5 {
		t.Errorf("node config: %+v", got)
	}
	if at, err := os.Stat(strings.TrimPrefix(p.admin, "unix:")); err != nil || at.Mode().Perm() != 0o600 {
		t.Errorf("the socket: %v, %v", at, err)
	}
	before := got.Hash
	p.want(1, resources(server, 3), []string{"apply", "-f", "-"}, "this proxy's configuration is a file: change the file and send SIGHUP")
	p.want(1, "", []string{"undo"}, "this proxy's configuration is a file")
	if !read() || got.Hash != before {
		t.Errorf("a refused write has changed %s to %s", before, got.Hash)
	}
	// Commands are no writes.
	p.want(0, "", []string{"pause"}, `^alone: paused$`)
	p.want(0, "", []string{"resume"}, `^alone: resumed$`)
	p.want(0, "", []string{"servers", "-o", "json"}, `"servers": \[\]`)
}
