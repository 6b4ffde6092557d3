package e2e

import (
	"context"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgcluster"
)

// run runs one of PostgreSQL's programs and returns what it printed.
func run(t testing.TB, env []string, program string, args ...string) string {
	t.Helper()
	out, err := try(t, env, program, args...)
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", program, strings.Join(args, " "), err, out)
	}
	return out
}

// try is run for a program that may fail.
func try(t testing.TB, env []string, program string, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 6*patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, postgresProgram(t, program), args...)
	cmd.Env = env
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// A background is a program that runs until it is interrupted.
type background struct {
	cmd  *exec.Cmd
	out  *syncBuffer
	errs *syncBuffer
	done chan error
}

// begin starts one of PostgreSQL's programs. It is killed at the end of the test if it runs still.
func begin(t testing.TB, env []string, program string, args ...string) *background {
	t.Helper()
	b := &background{cmd: exec.Command(postgresProgram(t, program), args...), out: &syncBuffer{}, errs: &syncBuffer{}, done: make(chan error, 1)}
	b.cmd.Env, b.cmd.Stdout, b.cmd.Stderr = env, b.out, b.errs
	if err := b.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		b.done <- b.cmd.Wait()
		close(ended)
	}()
	t.Cleanup(func() {
		_ = b.cmd.Process.Kill() // it has mostly ended
		<-ended
	})
	return b
}

// interrupt ends the program as Ctrl-C does and waits for it.
func (b *background) interrupt(t testing.TB) error {
	t.Helper()
	if err := b.cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	return b.wait(t)
}

func (b *background) wait(t testing.TB) error {
	t.Helper()
	select {
	case err := <-b.done:
		return err
	case <-time.After(3 * patience):
		t.Fatalf("%s does not end; it says:\n%s", b.cmd.Path, b.errs)
		return nil
	}
}

// logical is a server from which changes can be decoded.
func logical(t testing.TB) *pgcluster.Server {
	return pgcluster.Start(t, pgcluster.Options{Conf: map[string]string{"wal_level": "logical", "max_replication_slots": "10"}}).Primary
}

// changes makes changes of every size, among them a row that no buffer of the proxy holds.
func changes(t testing.TB, s *pgcluster.Server) {
	s.Exec(t, "create table if not exists changed(a int primary key, b text)",
		"insert into changed select g, repeat('x', g) from generate_series(1, 2000) g",
		"insert into changed values (0, repeat('wide', 500000))",
		"update changed set b = 'new' where a % 7 = 0", "delete from changed where a % 3 = 0", "truncate changed", "insert into changed values (-1, 'the last one')")
}

// TestLogicalReplication: what pg_recvlogical gets of a slot through the proxy is what it gets directly.
func TestLogicalReplication(t *testing.T) {
	server := logical(t)
	proxy := StartProxy(t, server, Options{Mode: "session"})
	changes(t, server) // the table is there before the slots are
	var got [2]string
	for i, env := range [][]string{Direct(server), proxy.Env()} {
		slot := []string{"s0", "s1"}[i]
		run(t, env, "pg_recvlogical", "-d", "postgres", "--slot", slot, "--create-slot", "-P", "test_decoding")
	}
	changes(t, server)
	for i, env := range [][]string{Direct(server), proxy.Env()} {
		slot := []string{"s0", "s1"}[i]
		b := begin(t, env, "pg_recvlogical", "-d", "postgres", "--slot", slot, "--start", "-f", "-", "-F", "1", "-s", "1", "-o", "skip-empty-xacts=1", "-o", "include-xids=0")
		Within(t, patience, "all changes have come", func() bool { return strings.Contains(b.out.String(), "the last one") })
		if err := b.interrupt(t); err != nil {
			t.Errorf("pg_recvlogical: %v\n%s", err, b.errs)
		}
		got[i] = b.out.String()
		run(t, env, "pg_recvlogical", "-d", "postgres", "--slot", slot, "--drop-slot")
	}
	if got[0] != got[1] {
		t.Errorf("directly %d bytes, through the proxy %d others", len(got[0]), len(got[1]))
	}
	if !strings.Contains(got[1], strings.Repeat("wide", 500000)) {
		t.Error("the wide row is not among them: nothing was compared")
	}
	if n := server.Query(t, "select count(*) from pg_replication_slots")[0][0]; n != "0" {
		t.Errorf("%s slots are left", n)
	}
}

// TestSubscription: a subscriber copies a table and follows it through the proxy, as it does directly.
func TestSubscription(t *testing.T) {
	publisher, subscriber := logical(t), pgcluster.Start(t, pgcluster.Options{}).Primary
	proxy := StartProxy(t, publisher, Options{Mode: "session", MaxConnections: 5})
	const table = "create table followed(a int primary key, b text, c float8)"
	publisher.Exec(t, table, "insert into followed select g, 'row ' || g, pi() * g from generate_series(1, 20000) g", "create publication everything for all tables")
	subscriber.Exec(t, table, "create subscription follows connection '"+proxy.DSN("postgres", "postgres")+"' publication everything")
	publisher.Exec(t, "update followed set b = 'new' where a % 5 = 0", "delete from followed where a % 7 = 0", "insert into followed values (-1, 'the last one', 'NaN')")
	const sum = "select count(*), md5(string_agg(f::text, ',' order by a)) from followed f"
	want := publisher.Query(t, sum)[0]
	Within(t, 3*patience, "the subscriber has everything", func() bool {
		got := subscriber.Query(t, sum)[0]
		return got[0] == want[0] && got[1] == want[1]
	})
	if n := publisher.Query(t, "select count(*) from pg_stat_replication where application_name = 'follows'")[0][0]; n != "1" {
		t.Errorf("%s walsenders for the subscription", n)
	}
	subscriber.Exec(t, "drop subscription follows") // drops the slot at the publisher, through the proxy
	if n := publisher.Query(t, "select count(*) from pg_replication_slots")[0][0]; n != "0" {
		t.Errorf("%s slots are left", n)
	}
}
