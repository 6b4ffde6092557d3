package e2e

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgcluster"
)

// psql runs a script and returns what psql printed, errors included.
func psql(t *testing.T, env []string, dir, script string) string {
	t.Helper()
	cmd := exec.Command(postgresProgram(t, "psql"), "-X", "-a")
	cmd.Env, cmd.Dir, cmd.Stdin = env, dir, strings.NewReader(script)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("psql: %v\n%s", err, out)
	}
	return string(out)
}

// TestPsqlAsDirectly: what psql prints through the proxy is what it prints without.
func TestPsqlAsDirectly(t *testing.T) {
	scripts := map[string]string{
		"describe":    "\\d\n\\d+ t\n\\dt *.*\n\\l\n\\du\n\\df+ now\n",
		"error":       "begin;\ninsert into t values (1, 'x');\nselect 1/0;\nselect 2;\nrollback;\nselect count(*) from t;\n",
		"savepoint":   "begin;\nsavepoint a;\nselect * from missing;\nrollback to a;\nselect 3;\ncommit;\n",
		"several":     "select 1\\; select 2\\; select 1/0\\; select 3;\n",
		"notice":      "do $$ begin raise notice 'hey %', 1; end $$;\nselect 'é', E'\\\\t', $a$;$a$;\n",
		"settings":    "set datestyle = 'German';\nselect date '2024-02-01';\nshow datestyle;\nreset datestyle;\nselect date '2024-02-01';\n",
		"fetch":       "\\set FETCH_COUNT 7\nselect g from generate_series(1, 20) g;\n",
		"copy inline": "copy t from stdin;\n5\tfive\n6\tsix\n\\.\nselect * from t order by 1;\ndelete from t;\n",
		"copy error":  "copy t from stdin;\n5\tfive\nsix\tsix\n\\.\nselect count(*) from t;\n",
		"encoding":    "\\encoding latin1\nselect convert_to('é', 'latin1'), 'x';\n\\encoding\n",
	}
	for _, mode := range []string{"transaction", "session"} {
		server := pgcluster.Start(t, pgcluster.Options{}).Primary
		server.Exec(t, "create table t(a int primary key, b text)", "create view v as select * from t")
		proxy := StartProxy(t, server, Options{Mode: mode})
		for name, script := range scripts {
			t.Run(mode+"/"+name, func(t *testing.T) {
				want, got := psql(t, Direct(server), "", script), psql(t, proxy.Env(), "", script)
				if got != want {
					t.Errorf("through the proxy:\n%s\ndirectly:\n%s", got, want)
				}
			})
		}
	}
}

// TestCopyOfManyRows: \copy in and out gives the same file back.
func TestCopyOfManyRows(t *testing.T) {
	server := pgcluster.Start(t, pgcluster.Options{}).Primary
	server.Exec(t, "create table t(a int, b text)")
	proxy := StartProxy(t, server, Options{})
	dir, rows := t.TempDir(), full(1_000_000, 100_000)
	var want bytes.Buffer
	for i := range rows {
		fmt.Fprintf(&want, "%d\tthis is row %d\n", i, i)
	}
	if err := os.WriteFile(filepath.Join(dir, "in"), want.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	out := psql(t, proxy.Env(), dir, "\\copy t from 'in'\n\\copy (select * from t order by a) to 'out'\n")
	if n := strings.Count(out, fmt.Sprintf("COPY %d", rows)); n != 2 {
		t.Errorf("psql says:\n%s", out)
	}
	got, err := os.ReadFile(filepath.Join(dir, "out"))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want.Bytes()) {
		t.Errorf("%d bytes went in, %d others came out", want.Len(), len(got))
	}
}

// TestCtrlC: psql's Ctrl-C ends a statement at once, and nothing else.
func TestCtrlC(t *testing.T) {
	const sleeping = "select count(*)" + clientBackends + " and query like '%sleep(60)%' and state = 'active'"
	server := pgcluster.Start(t, pgcluster.Options{}).Primary
	for _, mode := range []string{"transaction", "session"} {
		t.Run(mode, func(t *testing.T) {
			proxy := StartProxy(t, server, Options{Mode: mode})
			cmd := exec.Command(postgresProgram(t, "psql"), "-X", "-c", "select pg_sleep(60)")
			cmd.Env = proxy.Env()
			out := &syncBuffer{}
			cmd.Stdout, cmd.Stderr = out, out
			start := time.Now()
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			Within(t, patience, "the statement runs", func() bool {
				return server.Query(t, sleeping)[0][0] == "1"
			})
			if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
				t.Fatal(err)
			}
			_ = cmd.Wait() // psql's status tells of the cancelled statement; its output is compared
			text := out.String()
			if !strings.Contains(text, "canceling statement due to user request") {
				t.Errorf("psql says:\n%s", text)
			}
			if took := time.Since(start); took > patience {
				t.Errorf("took %v", took)
			}
			if n := server.Query(t, sleeping)[0][0]; n != "0" {
				t.Error("the statement runs on")
			}
			if got := psql(t, proxy.Env(), "", "select 'next';\n"); !strings.Contains(got, "next\n") {
				t.Errorf("the next client got:\n%s", got)
			}
		})
	}
}

// TestListenInSessionMode: a notification reaches a client that is idle.
func TestListenInSessionMode(t *testing.T) {
	server := pgcluster.Start(t, pgcluster.Options{}).Primary
	proxy := StartProxy(t, server, Options{Mode: "session"})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	conn, err := pgx.Connect(ctx, proxy.DSN("postgres", "postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if _, err := conn.Exec(ctx, "listen news"); err != nil {
		t.Fatal(err)
	}
	if pid := server.Query(t, fmt.Sprintf("select count(*) from pg_stat_activity where pid = %d", conn.PgConn().PID())); pid[0][0] != "1" {
		t.Error("in session mode the pid that a client is told is not the server's")
	}
	for _, payload := range []string{"first", "second"} {
		server.Exec(t, "notify news, '"+payload+"'")
		n, err := conn.WaitForNotification(ctx)
		if err != nil || n.Channel != "news" || n.Payload != payload {
			t.Fatalf("got %+v, %v, want %s", n, err, payload)
		}
	}
}
