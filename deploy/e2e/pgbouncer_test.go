package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/heliosproxy/heliosproxy/pkg/testkit/freeport"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgcluster"
)

// inFront is a pgbouncer.ini in a directory, in which the program runs.
type inFront struct {
	dir   string
	proxy *Proxy
}

func (f *inFront) write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(f.dir, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (f *inFront) command(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	path, err := filepath.Abs(program(t))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, args...)
	cmd.Dir, cmd.Env = f.dir, append(os.Environ(), "XDG_STATE_HOME="+f.dir, "STATE_DIRECTORY="+f.dir)
	return cmd
}

// says is what one query answers, or the error.
func (f *inFront) says(database, user, password, query string) string {
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, fmt.Sprintf("host=127.0.0.1 port=%d dbname='%s' user=%s password=%s sslmode=disable", f.proxy.Port, database, user, password))
	if err != nil {
		return err.Error()
	}
	defer conn.Close(ctx)
	var answer string
	if err := conn.QueryRow(ctx, query).Scan(&answer); err != nil {
		return err.Error()
	}
	return answer
}

// exporter asks the console exactly what Debian's prometheus-pgbouncer-exporter does, and finds what that looks for.
func (f *inFront) exporter(t *testing.T, user, password string) {
	t.Helper()
	ctx := context.Background()
	conn, err := pgconn.Connect(ctx, fmt.Sprintf("host=127.0.0.1 port=%d dbname=pgbouncer user=%s password=%s sslmode=disable", f.proxy.Port, user, password))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	for table, columns := range map[string]string{
		"STATS": "database total_requests total_received total_sent total_query_time", "POOLS": "database user cl_active cl_waiting",
		"DATABASES": "database pool_size reserve_pool", "LISTS": "list items",
	} {
		results, err := conn.Exec(ctx, "SHOW "+table+";").ReadAll()
		if err != nil || len(results) != 1 || len(results[0].Rows) == 0 {
			t.Fatalf("SHOW %s: %v, %v", table, results, err)
		}
		has := map[string]bool{}
		for _, c := range results[0].FieldDescriptions {
			has[c.Name] = true
		}
		for _, c := range strings.Fields(columns) {
			if !has[c] {
				t.Errorf("SHOW %s lacks %s", table, c)
			}
		}
		if table == "POOLS" && len(results[0].Rows) < 6 {
			t.Errorf("SHOW POOLS has %d rows", len(results[0].Rows))
		}
	}
}

// asks returns the rows of a command of the console.
func (f *inFront) asks(t *testing.T, user, password, sql string) [][][]byte {
	ctx := context.Background()
	conn, err := pgconn.Connect(ctx, fmt.Sprintf("host=127.0.0.1 port=%d dbname=pgbouncer user=%s password=%s sslmode=disable", f.proxy.Port, user, password))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	results, err := conn.Exec(ctx, sql).ReadAll()
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return results[0].Rows
}

// held says whether all clients are paused.
func (f *inFront) held(t *testing.T, user, password string) bool {
	return string(f.asks(t, user, password, "SHOW STATE")[1][1]) == "yes"
}

// shows says whether a setting has the value.
func (f *inFront) shows(t *testing.T, user, password, key, value string) bool {
	for _, row := range f.asks(t, user, password, "SHOW CONFIG") {
		if string(row[0]) == key {
			return string(row[1]) == value
		}
	}
	return false
}

// TestPgBouncerIni: a pgbouncer.ini with databases on two servers, a wildcard, users, rules, users of the database and an include runs as it is, by
// PgBouncer's signals; a key that does not exist is told with its line.
func TestPgBouncerIni(t *testing.T) {
	const password, looked = "an-open-secret", "another-secret"
	hba := []string{"host all postgres 127.0.0.1/32 trust", "local all all scram-sha-256", "host all all 127.0.0.1/32 scram-sha-256"}
	var servers [2]*pgcluster.Server
	for i := range servers {
		servers[i] = pgcluster.Start(t, pgcluster.Options{HBA: hba}).Primary
		servers[i].CreateRole(t, "ann", password, "scram-sha-256")
		servers[i].CreateRole(t, "carl", looked, "scram-sha-256")
	}
	a, b := servers[0], servers[1]
	a.Exec(t, "create database shop")
	b.Exec(t, "create database stock", `create database "old stock"`)
	f := &inFront{dir: t.TempDir(), proxy: &Proxy{Port: freeport.For(t)}}
	f.write(t, "userlist.txt", fmt.Sprintf("; who may come\n\"ann\" %q\n\"postgres\" \"\"\n", password))
	f.write(t, "rules", "host \"old stock\" carl all reject\nhost all ann 127.0.0.1/32 scram-sha-256\nhost all all 127.0.0.1/32 md5\n")
	databases := fmt.Sprintf(`[databases]
shop = host=127.0.0.1 port=%[1]d
shop_session = host=127.0.0.1 port=%[1]d dbname=shop pool_mode=session pool_size=2
socket = host=%[3]s port=%[1]d dbname=postgres
stock = host=127.0.0.1 port=%[2]d
reports = host=127.0.0.1 port=%[2]d dbname=stock pool_size=3
"old stock" = host=127.0.0.1 port=%[2]d dbname='old stock'
* = host=127.0.0.1 port=%[2]d
`, a.Port(), b.Port(), a.SocketDir())
	f.write(t, "databases.ini", databases)
	f.write(t, "pgbouncer.ini", fmt.Sprintf(`;; as PgBouncer had it
%%include databases.ini
[users]
ann = max_user_client_connections=20
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = %d
unix_socket_dir = .
pool_mode = transaction
auth_type = hba
auth_hba_file = rules
auth_file = userlist.txt
auth_user = postgres
admin_users = ann
max_client_conn = 50
default_pool_size = 5
pidfile = pgbouncer.pid
logfile = pgbouncer.log
pkt_buf = 4096
a_key_that_does_not_exist = 1
`, f.proxy.Port))
	if out, err := f.command(t, "check", "--pgbouncer-ini", "pgbouncer.ini").CombinedOutput(); err != nil {
		t.Fatalf("check: %v\n%s", err, out)
	}
	f.proxy.launch(t, f.command(t, "--pgbouncer-ini", "pgbouncer.ini", "--state-dir", f.dir))

	const where = "select current_user || ' ' || current_database() || ' ' || current_setting('port')"
	at := func(user, database string, s *pgcluster.Server) string {
		return fmt.Sprintf("%s %s %d", user, database, s.Port())
	}
	for _, c := range []struct{ database, user, password, want string }{
		{"shop", "ann", password, at("ann", "shop", a)},
		{"shop_session", "ann", password, at("ann", "shop", a)},
		{"socket", "ann", password, at("ann", "postgres", a)},
		{"stock", "ann", password, at("ann", "stock", b)},
		{"reports", "ann", password, at("ann", "stock", b)},
		{"old stock", "ann", password, at("ann", "old stock", b)},
		{"template1", "ann", password, at("ann", "template1", b)},
		{"shop", "carl", looked, at("carl", "shop", a)},
		{"stock", "carl", looked, at("carl", "stock", b)},
		{"old stock", "carl", looked, "pg_hba.conf rejects connection"},
		{"shop", "ann", "wrong", "password authentication failed"},
		{"shop", "nobody", "wrong", "password authentication failed"},
	} {
		if got := f.says(c.database, c.user, c.password, where); got != c.want && (!strings.Contains(got, c.want) || strings.HasPrefix(c.want, c.user)) {
			t.Errorf("%s as %s: got %q, want %q", c.database, c.user, got, c.want)
		}
	}
	f.exporter(t, "ann", password)
	if text, err := os.ReadFile(filepath.Join(f.dir, "pgbouncer.pid")); err != nil || strings.TrimSpace(string(text)) != fmt.Sprint(f.proxy.cmd.Process.Pid) {
		t.Errorf("pidfile: %q, %v", text, err)
	}
	if text, err := os.ReadFile(filepath.Join(f.dir, "pgbouncer.log")); err != nil || !strings.Contains(string(text), "heliosproxy ready") {
		t.Errorf("logfile: %q, %v", text, err)
	}

	if log := f.proxy.log.String(); !strings.Contains(log, "pgbouncer.ini:20: a_key_that_does_not_exist: unknown parameter") {
		t.Errorf("a key that does not exist is not told:\n%s", log)
	}

	// What PgBouncer would not read changes nothing and is told with its line, also that of an included file; what it would read is in force.
	f.write(t, "databases.ini", databases+"shop = host=127.0.0.1 pool_sise=3\n")
	f.proxy.Signal(t, syscall.SIGHUP)
	const mistake = "databases.ini:9: databases.shop.pool_sise: unrecognized connection parameter: pool_sise\n"
	Within(t, patience, "the mistake is told", func() bool { return strings.Contains(f.proxy.log.String(), mistake) })
	out, err := f.command(t, "--pgbouncer-ini", "pgbouncer.ini").CombinedOutput()
	if exit, ok := err.(*exec.ExitError); !ok || exit.ExitCode() != 1 || !strings.Contains(string(out), mistake) {
		t.Errorf("a key that PgBouncer does not know: %v\n%s", err, out)
	}
	f.write(t, "databases.ini", databases+fmt.Sprintf("again = host=127.0.0.1 port=%d dbname=shop\n", a.Port()))
	f.proxy.Signal(t, syscall.SIGHUP)
	Within(t, patience, "the file is read again", func() bool { return f.says("again", "ann", password, where) == at("ann", "shop", a) })

	// What was set on the console is gone when the file is read again, even if nothing has changed there.
	if f.asks(t, "ann", password, "SET default_pool_size = 7"); !f.shows(t, "ann", password, "default_pool_size", "7") {
		t.Error("SET changes nothing")
	}
	f.proxy.Signal(t, syscall.SIGHUP)
	Within(t, patience, "what the file says is in force", func() bool { return f.shows(t, "ann", password, "default_pool_size", "5") })

	// SIGUSR1 holds clients until SIGUSR2, and SIGINT waits for a transaction, but not for those who are held.
	f.proxy.Signal(t, syscall.SIGUSR1)
	Within(t, patience, "all are held", func() bool { return f.held(t, "ann", password) })
	waits := make(chan string, 1)
	go func() { waits <- f.says("shop", "ann", password, where) }()
	f.proxy.Signal(t, syscall.SIGUSR2)
	if got := <-waits; got != at("ann", "shop", a) {
		t.Errorf("who was held: %s", got)
	}
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, f.proxy.DSN("shop", "ann")+" password="+password)
	if err != nil {
		t.Fatal(err)
	}
	tx, err := conn.Begin(ctx)
	if err != nil {
		t.Fatal(err)
	}
	other, err := pgx.Connect(ctx, f.proxy.DSN("shop", "ann")+" password="+password)
	if err != nil {
		t.Fatal(err)
	}
	f.proxy.Signal(t, syscall.SIGUSR1)
	Within(t, patience, "all are held again", func() bool { return f.held(t, "ann", password) })
	go func() {
		_, err := other.Exec(ctx, "select 1")
		waits <- fmt.Sprint(err)
	}()
	f.proxy.Signal(t, syscall.SIGINT)
	if got := <-waits; !strings.Contains(got, "57P01") {
		t.Errorf("who is held while it ends: %s", got)
	}
	Within(t, patience, "nobody is let in", func() bool { return strings.Contains(f.says("shop", "ann", password, where), "refused") })
	if _, err := tx.Exec(ctx, "select 1"); err != nil {
		t.Errorf("the transaction did not live on: %v", err)
	}
	if err := tx.Commit(ctx); err != nil {
		t.Errorf("the transaction did not end well: %v", err)
	}
	f.proxy.Leave(t)
	if _, err := os.Stat(filepath.Join(f.dir, "pgbouncer.pid")); !os.IsNotExist(err) {
		t.Errorf("the pidfile is still there: %v", err)
	}
}
