package assembly

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"google.golang.org/protobuf/proto"

	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgcluster"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// connect opens a client connection; params are start-up parameters.
func connect(t testing.TB, addr, user string, params ...string) *pgconn.PgConn {
	t.Helper()
	c, err := tryConnect(addr, user, params...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(context.Background()) })
	return c
}

func tryConnect(addr, user string, params ...string) (*pgconn.PgConn, error) {
	cfg, err := pgconn.ParseConfig(fmt.Sprintf("postgres://%s@%s/postgres?sslmode=disable", user, addr))
	if err != nil {
		return nil, err
	}
	for i := 0; i < len(params); i += 2 {
		if params[i] == "password" {
			cfg.Password = params[i+1]
			continue
		}
		cfg.RuntimeParams[params[i]] = params[i+1]
	}
	return pgconn.ConnectConfig(context.Background(), cfg)
}

// ask runs SQL and returns the first column of the last row, or the error as "SQLSTATE text".
func ask(c *pgconn.PgConn, sql string) string {
	rs, err := c.Exec(context.Background(), sql).ReadAll()
	if err != nil {
		if pe, ok := err.(*pgconn.PgError); ok {
			return pe.Code + " " + pe.Message
		}
		return err.Error()
	}
	for i := len(rs) - 1; i >= 0; i-- {
		if n := len(rs[i].Rows); n > 0 {
			return string(rs[i].Rows[n-1][0])
		}
	}
	return ""
}

func want(t testing.TB, c *pgconn.PgConn, sql, answer string) {
	t.Helper()
	if got := ask(c, sql); got != answer {
		t.Errorf("%s: got %q, want %q", sql, got, answer)
	}
}

// TestSettings has eight sessions with settings of their own on one server connection: each sees its
// own, in turn with the others, also after RESET and DISCARD ALL.
func TestSettings(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{})
	pg.Primary.Exec(t, "CREATE ROLE r1; CREATE ROLE r2")
	_, addr := start(t, config(pg.Primary, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 1))
	type sess struct {
		params []string
		first  []string // statements at the beginning
		show   string
		is     string
	}
	all := []sess{
		{first: []string{"SET search_path TO a, \"B c\", public"}, show: "SHOW search_path", is: `a, "B c", public`},
		{first: []string{"SET TIME ZONE 'Asia/Tokyo'"}, show: "SHOW TimeZone", is: "Asia/Tokyo"},
		{first: []string{"SET statement_timeout = '3s'"}, show: "SHOW statement_timeout", is: "3s"},
		{first: []string{"SET ROLE r1"}, show: "SELECT current_user", is: "r1"},
		{first: []string{"SET my.own = 'it''s'"}, show: "SELECT current_setting('my.own')", is: "it's"},
		{first: []string{"BEGIN", "SET TimeZone = 'Asia/Tokyo'", "ROLLBACK"}, show: "SHOW TimeZone", is: "UTC"},
		{first: []string{"BEGIN; SET LOCAL TimeZone = 'Asia/Tokyo'; COMMIT"}, show: "SHOW TimeZone", is: "UTC"},
		{params: []string{"options", "-c work_mem=1MB -c search_path=x,z", "DateStyle", "German"}, show: "SELECT current_setting('work_mem') || current_setting('search_path') || current_setting('datestyle')", is: "1MBx,zGerman, DMY"},
	}
	conns := make([]*pgconn.PgConn, len(all))
	for i, s := range all {
		conns[i] = connect(t, addr, "postgres", s.params...)
		for _, sql := range s.first {
			want(t, conns[i], sql, "")
		}
	}
	pid := ask(conns[0], "SELECT pg_backend_pid()")
	for round := range 3 {
		for i, s := range all {
			want(t, conns[i], s.show, s.is)
			if got := ask(conns[i], "SELECT pg_backend_pid()"); got != pid {
				t.Fatalf("round %d: session %d is on another server connection", round, i)
			}
		}
	}
	if got := conns[7].ParameterStatus("DateStyle"); got != "German, DMY" {
		t.Errorf("DateStyle reported at log-in: %q", got)
	}
	for i, after := range map[int]string{0: `"$user", public`, 1: "UTC", 2: "0", 4: ""} {
		name := strings.Fields(all[i].show)[1]
		if i == 4 {
			name = "my.own"
		}
		want(t, conns[i], "RESET "+name, "")
		want(t, conns[i], all[i].show, after)
	}
	want(t, conns[3], "RESET ROLE", "")
	want(t, conns[3], all[3].show, "postgres")
	want(t, conns[7], "SET work_mem = '2MB'", "")
	want(t, conns[7], "SHOW work_mem", "2MB")
	want(t, conns[7], "RESET work_mem", "")
	want(t, conns[7], all[7].show, all[7].is)
	want(t, conns[7], "SET DateStyle TO 'ISO, MDY'; SET search_path TO public", "")
	want(t, conns[7], "DISCARD ALL", "")
	want(t, conns[7], all[7].show, all[7].is)
	if got := conns[7].ParameterStatus("DateStyle"); got != "German, DMY" {
		t.Errorf("DateStyle reported after DISCARD ALL: %q", got)
	}
	for _, c := range conns {
		want(t, c, "DISCARD ALL", "")
	}
	want(t, conns[1], "SHOW TimeZone", "UTC")
}

// TestSessionMode has the session's first settings come back in pool mode session too, and nothing of one
// client left for the next.
func TestSessionMode(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{})
	_, addr := start(t, config(pg.Primary, heliosv1.PoolMode_POOL_MODE_SESSION, 1))
	for range 2 {
		c := connect(t, addr, "postgres", "options", "-c work_mem=1MB", "TimeZone", "Asia/Tokyo")
		if pid := fmt.Sprint(c.PID()); ask(c, "SELECT pg_backend_pid()") != pid {
			t.Errorf("the key has pid %s, which is not the server's", pid)
		}
		want(t, c, "PREPARE p AS SELECT 1; SET work_mem = '2MB'; SET my.own = 'x'; CREATE TEMP TABLE tt (a int)", "")
		want(t, c, "EXECUTE p", "1")
		want(t, c, "SHOW work_mem", "2MB")
		prepare(t, c, "r", "RESET work_mem")
		if r := c.ExecPrepared(context.Background(), "r", nil, nil, nil).Read(); r.Err != nil || r.CommandTag.String() != "RESET" {
			t.Errorf("RESET, prepared: %v, tag %q", r.Err, r.CommandTag)
		}
		want(t, c, "SHOW work_mem", "1MB")
		want(t, c, "SET TimeZone = 'UTC'; RESET ALL", "")
		want(t, c, "SHOW TimeZone", "Asia/Tokyo")
		want(t, c, "DISCARD ALL", "")
		want(t, c, "SHOW work_mem", "1MB")
		want(t, c, "EXECUTE p", `26000 prepared statement "p" does not exist`)
		want(t, c, "LISTEN news; SET my.own = 'left'; PREPARE q AS SELECT 2; SELECT pg_advisory_lock(1)", "")
		pg.Primary.Exec(t, "NOTIFY news, 'hear'")
		ctx, stop := context.WithTimeout(context.Background(), 5*time.Second)
		if err := c.WaitForNotification(ctx); err != nil {
			t.Errorf("a notification while idle: %v", err)
		}
		stop()
		c.Close(context.Background())
	}
	c := connect(t, addr, "postgres")
	want(t, c, "SHOW work_mem", "4MB")
	want(t, c, "SELECT current_setting('my.own', true)", "")
	want(t, c, "SELECT count(*) FROM pg_prepared_statements", "0")
	want(t, c, "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'", "0")
}

// TestUnixSocket serves at a unix socket in front of a server's unix socket.
func TestUnixSocket(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{})
	set := config(pg.Primary, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 2)
	set.Nodes["n1"].Host = pg.Primary.SocketDir()
	dir := t.TempDir()
	sock := &heliosv1.Listener{Name: "sock", Address: "unix:" + dir + "/.s.PGSQL.6432", SocketMode: "0700"}
	set.Listeners["sock"] = sock
	p, _ := start(t, set)
	for _, x := range []struct{ mode, want string }{{"0700", "-rwx------"}, {"0770", "-rwxrwx---"}, {"", "-rwxrwxrwx"}} {
		sock = proto.Clone(sock).(*heliosv1.Listener)
		sock.SocketMode, set.Listeners["sock"] = x.mode, sock
		if _, err := p.Apply(set, nil); err != nil {
			t.Fatal(err)
		}
		if st, err := os.Stat(dir + "/.s.PGSQL.6432"); err != nil || st.Mode().Perm().String() != x.want {
			t.Errorf("mode %q: %v, %v", x.mode, st.Mode(), err)
		}
	}
	sock = proto.Clone(sock).(*heliosv1.Listener)
	sock.SocketGroup, set.Listeners["sock"] = "no such group", sock
	if _, err := p.Apply(set, nil); err == nil || !strings.Contains(err.Error(), "unknown group") {
		t.Errorf("a group that is not there: %v", err)
	}
	c, err := pgconn.Connect(context.Background(), "host="+dir+" port=6432 user=postgres dbname=postgres sslmode=disable")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(context.Background())
	want(t, c, "SELECT inet_server_addr() IS NULL", "t")
}

// TestRoleDropped drops a role between two transactions of a session that has it: the next statement
// fails as the server says, and nothing of it runs.
func TestRoleDropped(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{})
	pg.Primary.Exec(t, "CREATE ROLE gone; CREATE TABLE proof (a int); GRANT ALL ON proof TO PUBLIC")
	_, addr := start(t, config(pg.Primary, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 1))
	a, b := connect(t, addr, "postgres"), connect(t, addr, "postgres")
	want(t, a, "SET ROLE gone", "")
	want(t, b, "DROP ROLE gone", "")
	for range 2 {
		want(t, a, "INSERT INTO proof VALUES (1)", `22023 role "gone" does not exist`)
		if r, err := a.ExecParams(context.Background(), "INSERT INTO proof VALUES (2)", nil, nil, nil, nil).Close(); err == nil {
			t.Errorf("extended: %v", r)
		}
	}
	want(t, b, "SELECT count(*) FROM proof", "0")
	want(t, b, "SELECT current_user", "postgres")
}

// TestServerConfiguredAnew changes a server's default under the proxy: new clients are told the new value.
func TestServerConfiguredAnew(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{})
	_, addr := start(t, config(pg.Primary, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 1))
	zone := func() string {
		c := connect(t, addr, "postgres")
		defer c.Close(context.Background())
		zone := c.ParameterStatus("TimeZone")
		want(t, c, "SELECT 1", "1") // a server tells with the next answer
		return zone
	}
	if got := zone(); got != "UTC" {
		t.Fatalf("TimeZone is %s", got)
	}
	pg.Primary.Exec(t, "ALTER SYSTEM SET TimeZone = 'Asia/Tokyo'")
	pg.Primary.Exec(t, "SELECT pg_reload_conf()")
	eventually(t, 15*time.Second, "new clients are told", func() bool { return zone() == "Asia/Tokyo" })
}

// TestStartupRefused sends start-up parameters that the server does not take.
func TestStartupRefused(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{})
	pg.Primary.Exec(t, "CREATE ROLE plain LOGIN")
	_, addr := start(t, config(pg.Primary, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 1))
	for _, c := range []struct{ user, name, value, code string }{
		{"postgres", "TimeZone", "Nowhere", "22023"},
		{"postgres", "nothing_such", "1", "42704"},
		{"postgres", "options", "-c work_mem=x", "22023"},
		{"postgres", "options", "-q", "08P01"},
		{"plain", "log_statement", "all", "42501"},
		{"postgres", "client_encoding", "EBCDIC", "22023"},
	} {
		_, err := tryConnect(addr, c.user, c.name, c.value)
		var pe *pgconn.PgError
		if !asPg(err, &pe) || pe.Code != c.code || pe.Severity != "FATAL" {
			t.Errorf("%s=%s: %v, want FATAL %s", c.name, c.value, err, c.code)
		}
	}
	want(t, connect(t, addr, "plain"), "SHOW TimeZone", "UTC")
}
