package sessions

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"google.golang.org/protobuf/proto"

	"github.com/heliosproxy/heliosproxy/dataplane/assembly/stage"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgcluster"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// TestSettings has eight sessions with settings of their own on one server connection: each sees its
// own, in turn with the others, also after RESET and DISCARD ALL.
func TestSettings(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{})
	pg.Primary.Exec(t, "CREATE ROLE r1; CREATE ROLE r2")
	_, addr := stage.Start(t, stage.Config(pg.Primary, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 1))
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
		conns[i] = stage.Connect(t, addr, "postgres", s.params...)
		for _, sql := range s.first {
			stage.Want(t, conns[i], sql, "")
		}
	}
	pid := stage.Ask(conns[0], "SELECT pg_backend_pid()")
	for round := range 3 {
		for i, s := range all {
			stage.Want(t, conns[i], s.show, s.is)
			if got := stage.Ask(conns[i], "SELECT pg_backend_pid()"); got != pid {
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
		stage.Want(t, conns[i], "RESET "+name, "")
		stage.Want(t, conns[i], all[i].show, after)
	}
	stage.Want(t, conns[3], "RESET ROLE", "")
	stage.Want(t, conns[3], all[3].show, "postgres")
	stage.Want(t, conns[7], "SET work_mem = '2MB'", "")
	stage.Want(t, conns[7], "SHOW work_mem", "2MB")
	stage.Want(t, conns[7], "RESET work_mem", "")
	stage.Want(t, conns[7], all[7].show, all[7].is)
	stage.Want(t, conns[7], "SET DateStyle TO 'ISO, MDY'; SET search_path TO public", "")
	stage.Want(t, conns[7], "DISCARD ALL", "")
	stage.Want(t, conns[7], all[7].show, all[7].is)
	if got := conns[7].ParameterStatus("DateStyle"); got != "German, DMY" {
		t.Errorf("DateStyle reported after DISCARD ALL: %q", got)
	}
	for _, c := range conns {
		stage.Want(t, c, "DISCARD ALL", "")
	}
	stage.Want(t, conns[1], "SHOW TimeZone", "UTC")
}

// TestSessionMode has the session's first settings come back in pool mode session too, and nothing of one
// client left for the next.
func TestSessionMode(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{})
	_, addr := stage.Start(t, stage.Config(pg.Primary, heliosv1.PoolMode_POOL_MODE_SESSION, 1))
	for range 2 {
		c := stage.Connect(t, addr, "postgres", "options", "-c work_mem=1MB", "TimeZone", "Asia/Tokyo")
		if pid := fmt.Sprint(c.PID()); stage.Ask(c, "SELECT pg_backend_pid()") != pid {
			t.Errorf("the key has pid %s, which is not the server's", pid)
		}
		stage.Want(t, c, "PREPARE p AS SELECT 1; SET work_mem = '2MB'; SET my.own = 'x'; CREATE TEMP TABLE tt (a int)", "")
		stage.Want(t, c, "EXECUTE p", "1")
		stage.Want(t, c, "SHOW work_mem", "2MB")
		stage.Prepare(t, c, "r", "RESET work_mem")
		if r := c.ExecPrepared(context.Background(), "r", nil, nil, nil).Read(); r.Err != nil || r.CommandTag.String() != "RESET" {
			t.Errorf("RESET, prepared: %v, tag %q", r.Err, r.CommandTag)
		}
		stage.Want(t, c, "SHOW work_mem", "1MB")
		stage.Want(t, c, "SET TimeZone = 'UTC'; RESET ALL", "")
		stage.Want(t, c, "SHOW TimeZone", "Asia/Tokyo")
		stage.Want(t, c, "DISCARD ALL", "")
		stage.Want(t, c, "SHOW work_mem", "1MB")
		stage.Want(t, c, "EXECUTE p", `26000 prepared statement "p" does not exist`)
		stage.Want(t, c, "LISTEN news; SET my.own = 'left'; PREPARE q AS SELECT 2; SELECT pg_advisory_lock(1)", "")
		pg.Primary.Exec(t, "NOTIFY news, 'hear'")
		ctx, stop := context.WithTimeout(context.Background(), 5*time.Second)
		if err := c.WaitForNotification(ctx); err != nil {
			t.Errorf("a notification while idle: %v", err)
		}
		stop()
		c.Close(context.Background())
	}
	c := stage.Connect(t, addr, "postgres")
	stage.Want(t, c, "SHOW work_mem", "4MB")
	stage.Want(t, c, "SELECT current_setting('my.own', true)", "")
	stage.Want(t, c, "SELECT count(*) FROM pg_prepared_statements", "0")
	stage.Want(t, c, "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'", "0")
}

// TestUnixSocket serves at a unix socket in front of a server's unix socket.
func TestUnixSocket(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{})
	set := stage.Config(pg.Primary, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 2)
	set.Nodes["n1"].Host = pg.Primary.SocketDir()
	dir := t.TempDir()
	sock := &heliosv1.Listener{Name: "sock", Address: "unix:" + dir + "/.s.PGSQL.6432", SocketMode: "0700"}
	set.Listeners["sock"] = sock
	p, _ := stage.Start(t, set)
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
	stage.Want(t, c, "SELECT inet_server_addr() IS NULL", "t")
}

// TestRoleDropped drops a role between two transactions of a session that has it: the next statement
// fails as the server says, and nothing of it runs.
func TestRoleDropped(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{})
	pg.Primary.Exec(t, "CREATE ROLE gone; CREATE TABLE proof (a int); GRANT ALL ON proof TO PUBLIC")
	_, addr := stage.Start(t, stage.Config(pg.Primary, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 1))
	a, b := stage.Connect(t, addr, "postgres"), stage.Connect(t, addr, "postgres")
	stage.Want(t, a, "SET ROLE gone", "")
	stage.Want(t, b, "DROP ROLE gone", "")
	for range 2 {
		stage.Want(t, a, "INSERT INTO proof VALUES (1)", `22023 role "gone" does not exist`)
		if r, err := a.ExecParams(context.Background(), "INSERT INTO proof VALUES (2)", nil, nil, nil, nil).Close(); err == nil {
			t.Errorf("extended: %v", r)
		}
	}
	stage.Want(t, b, "SELECT count(*) FROM proof", "0")
	stage.Want(t, b, "SELECT current_user", "postgres")
}

// TestServerConfiguredAnew changes a server's default under the proxy: new clients are told the new value.
func TestServerConfiguredAnew(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{})
	_, addr := stage.Start(t, stage.Config(pg.Primary, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 1))
	zone := func() string {
		c := stage.Connect(t, addr, "postgres")
		defer c.Close(context.Background())
		zone := c.ParameterStatus("TimeZone")
		stage.Want(t, c, "SELECT 1", "1") // a server tells with the next answer
		return zone
	}
	if got := zone(); got != "UTC" {
		t.Fatalf("TimeZone is %s", got)
	}
	pg.Primary.Exec(t, "ALTER SYSTEM SET TimeZone = 'Asia/Tokyo'")
	pg.Primary.Exec(t, "SELECT pg_reload_conf()")
	stage.Eventually(t, 15*time.Second, "new clients are told", func() bool { return zone() == "Asia/Tokyo" })
}

// TestStartupRefused sends start-up parameters that the server does not take.
func TestStartupRefused(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{})
	pg.Primary.Exec(t, "CREATE ROLE plain LOGIN")
	_, addr := stage.Start(t, stage.Config(pg.Primary, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 1))
	for _, c := range []struct{ user, name, value, code string }{
		{"postgres", "TimeZone", "Nowhere", "22023"},
		{"postgres", "nothing_such", "1", "42704"},
		{"postgres", "options", "-c work_mem=x", "22023"},
		{"postgres", "options", "-q", "08P01"},
		{"plain", "log_statement", "all", "42501"},
		{"postgres", "client_encoding", "EBCDIC", "22023"},
	} {
		_, err := stage.TryConnect(addr, c.user, c.name, c.value)
		var pe *pgconn.PgError
		if !stage.AsPg(err, &pe) || pe.Code != c.code || pe.Severity != "FATAL" {
			t.Errorf("%s=%s: %v, want FATAL %s", c.name, c.value, err, c.code)
		}
	}
	stage.Want(t, stage.Connect(t, addr, "plain"), "SHOW TimeZone", "UTC")
}
