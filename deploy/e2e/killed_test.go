package e2e

import (
	"context"
	"io"
	"os/exec"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgcluster"
)

const (
	victims = 50
	allowed = 20
)

// busy counts the connections of clients that are in a transaction or at work.
const busy = "select count(*)" + clientBackends + " and state <> 'idle'"

// TestKilledClients: clients that die with SIGKILL in the middle of something leave nothing open on the server after a second,
// and every server connection can be used.
func TestKilledClients(t *testing.T) {
	script := map[string]string{
		"transaction": `\set aid random(1, 100000)
begin;
update pgbench_accounts set abalance = abalance + 1 where aid = :aid;
\sleep 20 ms
select 1;
end;
`,
		"sleep": "begin;\nselect pg_sleep(3600);\nend;\n",
	}
	server := pgcluster.Start(t, pgcluster.Options{}).Primary
	proxy := StartProxy(t, server, Options{MaxConnections: allowed})
	pgbench(t, proxy, "-i", "-q", "-s", "1")
	server.Exec(t, "create table copied(a int, b text)")
	stop := WatchConnections(t, server)
	rounds := full(20, 3)
	for name, text := range script {
		path := writeFile(t, name+".sql", text)
		t.Run(name, func(t *testing.T) {
			for range rounds {
				killRound(t, proxy, server, func() *exec.Cmd {
					return exec.Command(postgresProgram(t, "pgbench"), "-n", "-c", "1", "-T", "3600", "-f", path)
				})
			}
		})
	}
	t.Run("copy", func(t *testing.T) {
		for range rounds {
			killRound(t, proxy, server, func() *exec.Cmd {
				cmd := exec.Command(postgresProgram(t, "psql"), "-X", "-q", "-c", "begin; copy copied from stdin")
				r, w := io.Pipe()
				cmd.Stdin = r
				go func() {
					for { // for as long as psql takes it
						if _, err := io.WriteString(w, "1\tx\n"); err != nil {
							return
						}
						time.Sleep(time.Millisecond)
					}
				}()
				t.Cleanup(func() { r.Close() })
				return cmd
			})
		}
		if rows := server.Query(t, "select count(*) from copied"); rows[0][0] != "0" {
			t.Errorf("%s rows of a COPY that never ended", rows[0][0])
		}
	})
	if most := stop(); most > allowed {
		t.Errorf("%d server connections at one moment, %d allowed", most, allowed)
	}
}

// killRound starts the victims, waits until all server connections are at work, kills, and looks.
func killRound(t *testing.T, p *Proxy, server *pgcluster.Server, victim func() *exec.Cmd) {
	t.Helper()
	var all []*exec.Cmd
	for range victims {
		cmd := victim()
		cmd.Env = p.Env()
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		all = append(all, cmd)
	}
	Within(t, 2*patience, "most server connections are at work", func() bool {
		n := server.Query(t, busy)[0][0]
		return len(n) == 2 && n >= "15"
	})
	for _, cmd := range all {
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
	}
	killed := time.Now()
	for _, cmd := range all {
		_, _ = cmd.Process.Wait() // reaped; how it ended is known
	}
	time.Sleep(time.Until(killed.Add(full(time.Second, 3*time.Second)))) // machines that run the short form are shared
	asked := time.Now()
	if n := server.Query(t, busy)[0][0]; n != "0" {
		t.Logf("the server took %v to say so", time.Since(asked))
		t.Errorf("after %v %s transactions are open: %v", time.Since(killed), n,
			server.Query(t, "select state, wait_event, left(query, 60)"+clientBackends+" and state <> 'idle'"))
		Within(t, patience, "all transactions end", func() bool { return server.Query(t, busy)[0][0] == "0" })
		t.Logf("after %v they had ended", time.Since(killed))
	}
	useAll(t, p)
}

// useAll holds as many transactions at once as server connections are allowed.
func useAll(t *testing.T, p *Proxy) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var begun, done sync.WaitGroup
	begun.Add(allowed)
	for range allowed {
		done.Go(func() {
			err := holdTransaction(ctx, p, &begun)
			if err != nil {
				t.Errorf("use all server connections: %v", err)
			}
		})
	}
	done.Wait()
}

// holdTransaction begins, waits until all others have begun, and commits.
func holdTransaction(ctx context.Context, p *Proxy, begun *sync.WaitGroup) error {
	arrived := sync.OnceFunc(begun.Done)
	defer arrived()
	conn, err := pgx.Connect(ctx, p.DSN("postgres", "postgres"))
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	tx, err := conn.Begin(ctx)
	if err != nil {
		return err
	}
	arrived()
	begun.Wait()
	return tx.Commit(ctx)
}
