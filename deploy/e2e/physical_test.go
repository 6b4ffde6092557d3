package e2e

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/heliosproxy/heliosproxy/pkg/testkit/freeport"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgcluster"
)

// startCopy runs a server on a copied data directory, which becomes the servers' account's, for the length of the test.
// It returns the environment in which libpq's programs reach it.
func startCopy(t testing.TB, c *pgcluster.Cluster, dir string) []string {
	t.Helper()
	port := freeport.For(t)
	cmd := exec.Command(postgresProgram(t, "postgres"), "-D", dir, "-p", fmt.Sprint(port), "-c", "unix_socket_directories="+c.Dir())
	cmd.Dir = c.Dir()
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGQUIT}
	if os.Geteuid() == 0 {
		st, err := os.Stat(c.Dir())
		if err != nil {
			t.Fatal(err)
		}
		own := st.Sys().(*syscall.Stat_t)
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: own.Uid, Gid: own.Gid}
		err = filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			return os.Lchown(path, int(own.Uid), int(own.Gid))
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	log := &syncBuffer{}
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGINT) // if it has ended by itself the test has failed already
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("the server on the copy logged:\n%s", log)
		}
	})
	env := libpqEnv(port)
	Within(t, 3*patience, "the server on the copy takes connections", func() bool {
		_, err := try(t, env, "psql", "-X", "-c", "select 1")
		return err == nil
	})
	return env
}

// dump returns what pg_dump says of a server's database. The keys of its \restrict differ from one to the next.
func dump(t testing.TB, env []string, args ...string) string {
	t.Helper()
	var kept strings.Builder
	for line := range strings.Lines(run(t, env, "pg_dump", args...)) {
		if !strings.HasPrefix(line, `\restrict`) && !strings.HasPrefix(line, `\unrestrict`) {
			kept.WriteString(line)
		}
	}
	return kept.String()
}

// TestBaseBackup: a base backup through the proxy is whole, a server runs on it, and follows its primary through the proxy.
func TestBaseBackup(t *testing.T) {
	cluster := pgcluster.Start(t, pgcluster.Options{})
	server := cluster.Primary
	proxy := StartProxy(t, server, Options{Mode: "session"})
	pgbench(t, proxy, "-i", "-q", "-s", "2")
	dir := filepath.Join(cluster.Dir(), "copy")
	run(t, proxy.Env(), "pg_basebackup", "-D", dir, "-R", "-c", "fast", "-d", "application_name=follower")
	run(t, proxy.Env(), "pg_verifybackup", dir)
	settings, err := os.ReadFile(filepath.Join(dir, "postgresql.auto.conf"))
	if err != nil || !strings.Contains(string(settings), fmt.Sprintf("port=%d ", proxy.Port)) {
		t.Fatalf("the standby would not connect to the proxy: %v\n%s", err, settings)
	}
	standby := startCopy(t, cluster, dir)

	pgbench(t, proxy, "-n", "-c", "4", "-t", "200")
	rows := server.Query(t, "select client_port, pg_current_wal_lsn() from pg_stat_replication where application_name = 'follower' and state = 'streaming'")
	if len(rows) != 1 {
		t.Fatalf("the standby does not stream: %v", server.Query(t, "select application_name, state from pg_stat_replication"))
	}
	Within(t, 3*patience, "the standby has replayed everything", func() bool {
		return strings.TrimSpace(run(t, standby, "psql", "-XAtc", "select pg_last_wal_replay_lsn() >= '"+rows[0][1]+"'")) == "t"
	})
	want, got := dump(t, Direct(server)), dump(t, standby)
	if want != got {
		t.Errorf("the dump of the primary has %d bytes, that of the standby %d others", len(want), len(got))
	}
	if len(want) < 100_000 {
		t.Errorf("a dump of %d bytes: nothing was compared", len(want))
	}
}

// streams waits until a client of the server streams.
func streams(t testing.TB, server *pgcluster.Server) {
	t.Helper()
	Within(t, patience, "it streams", func() bool {
		return server.Query(t, "select count(*) from pg_stat_replication where state = 'streaming'")[0][0] == "1"
	})
}

// TestReceiveWAL: the segments that pg_receivewal gets through the proxy are the server's own.
func TestReceiveWAL(t *testing.T) {
	server := pgcluster.Start(t, pgcluster.Options{}).Primary
	proxy := StartProxy(t, server, Options{Mode: "session"})
	dir := t.TempDir()
	segment := server.Query(t, "select pg_walfile_name(pg_current_wal_lsn()), current_setting('data_directory')")[0]
	b := begin(t, proxy.Env(), "pg_receivewal", "-D", dir, "--synchronous", "-n")
	streams(t, server)
	pgbench(t, proxy, "-i", "-q", "-s", "1")
	server.Exec(t, "select pg_switch_wal()", "create table after_it()")
	path := filepath.Join(dir, segment[0])
	Within(t, 2*patience, "the segment is there and closed", func() bool {
		_, err := os.Stat(path)
		return err == nil
	})
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile(filepath.Join(segment[1], "pg_wal", segment[0]))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) || len(got) != 16<<20 {
		t.Errorf("segment %s: the server has %d bytes, pg_receivewal %d others", segment[0], len(want), len(got))
	}
	if err := b.interrupt(t); err != nil {
		t.Errorf("pg_receivewal: %v\n%s", err, b.errs)
	}
}

// TestReplicationRefused: what is refused is refused with words, by the proxy or by the server, and costs nobody else anything.
func TestReplicationRefused(t *testing.T) {
	server := logical(t)
	server.Exec(t, "create role bare login")
	for _, mode := range []string{"transaction", "statement"} {
		proxy := StartProxy(t, server, Options{Mode: mode})
		for _, args := range [][]string{
			{"pg_basebackup", "-D", filepath.Join(t.TempDir(), "no")},
			{"pg_receivewal", "-D", t.TempDir(), "-n"},
			{"pg_recvlogical", "-d", "postgres", "--slot", "s", "--create-slot"},
		} {
			out, err := try(t, proxy.Env(), args[0], args[1:]...)
			if err == nil || !strings.Contains(out, "replication connections are not possible in pool mode "+mode) {
				t.Errorf("%s in mode %s: %v\n%s", args[0], mode, err, out)
			}
		}
	}
	proxy := StartProxy(t, server, Options{Mode: "session"})
	directly, err1 := try(t, append(Direct(server), "PGUSER=bare"), "pg_recvlogical", "-d", "postgres", "--slot", "s", "--create-slot")
	through, err2 := try(t, append(proxy.Env(), "PGUSER=bare"), "pg_recvlogical", "-d", "postgres", "--slot", "s", "--create-slot")
	last := func(s string) string { return s[strings.LastIndex(s, "FATAL")+1:] }
	if err1 == nil || err2 == nil || last(directly) != last(through) || !strings.Contains(through, "FATAL") {
		t.Errorf("a user without REPLICATION is told\n%s\ndirectly\n%s", through, directly)
	}
}

// TestServerKilledInStream: a client whose server is killed hears of it.
func TestServerKilledInStream(t *testing.T) {
	server := logical(t)
	proxy := StartProxy(t, server, Options{Mode: "session"})
	run(t, proxy.Env(), "pg_recvlogical", "-d", "postgres", "--slot", "s", "--create-slot", "-P", "test_decoding")
	b := begin(t, proxy.Env(), "pg_recvlogical", "-d", "postgres", "--slot", "s", "--start", "-f", "-", "-n")
	streams(t, server)
	server.Kill(t)
	if err := b.wait(t); err == nil || !strings.Contains(b.errs.String(), "FATAL:  server closed the connection unexpectedly; whether") {
		t.Errorf("pg_recvlogical: %v\n%s", err, b.errs)
	}
	server.Start(t)
	run(t, proxy.Env(), "pg_recvlogical", "-d", "postgres", "--slot", "s", "--drop-slot")
}

// TestIdleStream: a stream on which nothing happens stays, beyond every time that bounds sessions and connections.
func TestIdleStream(t *testing.T) {
	server := logical(t)
	proxy := StartProxy(t, server, Options{More: "[[databases]]\nname = \"*\"\npool.mode = \"session\"\npool.idle_timeout_secs = 1\n"})
	run(t, proxy.Env(), "pg_recvlogical", "-d", "postgres", "--slot", "s", "--create-slot", "-P", "test_decoding")
	b := begin(t, proxy.Env(), "pg_recvlogical", "-d", "postgres", "--slot", "s", "--start", "-f", "-", "-n", "-F", "0")
	time.Sleep(full(90*time.Second, 3*time.Second))
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	conn, err := pgx.Connect(ctx, proxy.DSN("postgres", "postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if _, err := conn.Exec(ctx, "create table late(a int); insert into late values (17)"); err != nil {
		t.Fatal(err)
	}
	Within(t, patience, "the change comes", func() bool { return strings.Contains(b.out.String(), "INSERT: a[integer]:17") })
	if err := b.interrupt(t); err != nil {
		t.Errorf("pg_recvlogical: %v\n%s", err, b.errs)
	}
}
