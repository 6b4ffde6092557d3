package assembly_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/heliosproxy/heliosproxy/dataplane/assembly/stage"
	"github.com/heliosproxy/heliosproxy/dataplane/pool"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgcluster"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgscript"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// refusedWith says whether a log-in was refused with the SQLSTATE code and words.
func refusedWith(t *testing.T, err error, code, words string) {
	t.Helper()
	var pe *pgconn.PgError
	if !stage.AsPg(err, &pe) || pe.Code != code || !strings.Contains(pe.Message, words) {
		t.Errorf("%v, want %s %s", err, code, words)
	}
}

// TestReplicationMode asks for replication where server connections are shared: refused, with words, in every form of asking.
func TestReplicationMode(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{})
	for mode, name := range map[heliosv1.PoolMode]string{heliosv1.PoolMode_POOL_MODE_TRANSACTION: "transaction", heliosv1.PoolMode_POOL_MODE_STATEMENT: "statement"} {
		_, addr := stage.Start(t, stage.Config(pg.Primary, mode, 2))
		for _, ask := range []string{"database", "true", "1"} {
			_, err := stage.TryConnect(addr, "postgres", "replication", ask)
			refusedWith(t, err, "0A000", "pool mode "+name)
		}
		_, err := stage.TryConnect(addr, "postgres", "replication", "maybe")
		refusedWith(t, err, "22023", "maybe")
		stage.Want(t, stage.Connect(t, addr, "postgres", "replication", "off"), "SELECT 1", "1")
	}
}

// TestReplication talks to walsenders: SQL and commands, each client with a server connection of its own that has its parameters.
func TestReplication(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{Conf: map[string]string{"wal_level": "logical"}})
	pg.Primary.Exec(t, "create role bare login", "create role copier login replication")
	p, addr := stage.Start(t, stage.Config(pg.Primary, heliosv1.PoolMode_POOL_MODE_SESSION, 5))

	c := stage.Connect(t, addr, "copier", "replication", "database", "application_name", "a standby", "options", "-c work_mem=77kB")
	id := pg.Primary.Query(t, "select system_identifier from pg_control_system()")[0][0]
	rs, err := c.Exec(context.Background(), "IDENTIFY_SYSTEM").ReadAll()
	if err != nil || string(rs[0].Rows[0][0]) != id {
		t.Errorf("IDENTIFY_SYSTEM: %v, %v, want %s", rs, err, id)
	}
	stage.Want(t, c, "SELECT current_setting('application_name')", "a standby")
	stage.Want(t, c, "SHOW work_mem", "77kB")
	stage.Want(t, c, "SELECT backend_type FROM pg_stat_activity WHERE pid=pg_backend_pid()", "walsender")
	stage.Want(t, c, "SELECT 1/0", "22012 division by zero")
	rows := pg.Primary.Query(t, "select count(*) from pg_stat_activity where backend_type='walsender'")
	if rows[0][0] != "1" {
		t.Errorf("%s walsenders for one client", rows[0][0])
	}
	if m := p.Metrics(); len(m.Clients) != 1 || m.Clients[0].State != "replication" || len(m.Servers) != 1 || m.Servers[0].State != "replication" {
		t.Errorf("metrics: %+v %+v", m.Clients, m.Servers)
	}
	err = c.ExecParams(context.Background(), "SELECT $1", [][]byte{[]byte("1")}, nil, nil, nil).Read().Err
	refusedWith(t, err, "08P01", "extended query protocol not supported in a replication connection")

	physical := stage.Connect(t, addr, "copier", "replication", "true")
	if got := stage.Ask(physical, "SELECT 1"); !strings.Contains(got, "physical replication") && !strings.Contains(got, "cannot execute SQL commands") {
		t.Errorf("SQL at a physical walsender: %s", got)
	}
	c.Close(context.Background())
	physical.Close(context.Background())
	stage.Eventually(t, 10*time.Second, "the walsenders are gone, and none is kept", func() bool {
		n := 0
		p.Hub().Pools.Each(func(p *pool.Pool) { conns, _ := p.Total(); n += conns })
		return n == 0
	})
	_, err = stage.TryConnect(addr, "bare", "replication", "database")
	refusedWith(t, err, "42501", "")
	stage.Want(t, stage.Connect(t, addr, "bare"), "SELECT 1", "1") // the refusal was that connection's alone
}

// TestReplicationPlaces has a pool that is full: a free connection makes room for a walsender, one that is in use does not, and
// what comes back is closed for who waits.
func TestReplicationPlaces(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{Conf: map[string]string{"wal_level": "logical"}})
	p, addr := stage.Start(t, stage.Config(pg.Primary, heliosv1.PoolMode_POOL_MODE_SESSION, 2))
	a, b := stage.Connect(t, addr, "postgres"), stage.Connect(t, addr, "postgres")
	a.Close(context.Background())
	w := stage.Connect(t, addr, "postgres", "replication", "database") // a's place
	stage.Want(t, w, "SELECT count(*) FROM pg_stat_activity WHERE client_port>0 AND application_name=''", "2")

	type outcome struct {
		c   *pgconn.PgConn
		err error
	}
	came := make(chan outcome, 1)
	go func() {
		c, err := stage.TryConnect(addr, "postgres", "replication", "database")
		came <- outcome{c, err}
	}()
	stage.Eventually(t, 10*time.Second, "somebody waits", func() bool {
		n := 0
		p.Hub().Pools.Each(func(p *pool.Pool) { _, n = p.Total() })
		return n == 1
	})
	b.Close(context.Background())
	x := <-came
	if x.err != nil {
		t.Fatal(x.err)
	}
	defer x.c.Close(context.Background())
	stage.Want(t, x.c, "SELECT count(*) FROM pg_stat_activity WHERE backend_type='walsender'", "2")

	next := stage.Config(pg.Primary, heliosv1.PoolMode_POOL_MODE_SESSION, 2)
	next.PoolProfiles["default"].AcquireTimeout = durationpb.New(300 * time.Millisecond)
	if _, err := p.Apply(next, nil); err != nil {
		t.Fatal(err)
	}
	_, err := stage.TryConnect(addr, "postgres", "replication", "database")
	refusedWith(t, err, "53300", "300ms")
	w.Close(context.Background())
	stage.Want(t, stage.Connect(t, addr, "postgres"), "SELECT 1", "1") // who gave up has left nothing behind
}

// TestReplicationEnds ends streams from every side.
func TestReplicationEnds(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{Conf: map[string]string{"wal_level": "logical"}})
	set := stage.Config(pg.Primary, heliosv1.PoolMode_POOL_MODE_SESSION, 5)
	p, addr := stage.Start(t, set)
	stream := func(slot string) (*pgscript.Client, pgscript.Session) {
		c := pgscript.Dial(t, "tcp", addr)
		s := c.Login(pgscript.Login{User: "postgres", Database: "postgres", Params: []string{"replication", "database"}})
		c.Send(pgscript.Query("CREATE_REPLICATION_SLOT " + slot + " TEMPORARY LOGICAL test_decoding"))
		c.Until("Z")
		c.Send(pgscript.Query("START_REPLICATION SLOT " + slot + " LOGICAL 0/0"))
		c.Until("W")
		return c, s
	}

	c, _ := stream("terminated")
	pg.Primary.Query(t, "select pg_terminate_backend(active_pid) from pg_replication_slots where slot_name='terminated'")
	if m := c.Until("E"); m[len(m)-1].Field('C') != "57P01" {
		t.Errorf("a walsender that was terminated: %s", m[len(m)-1].Backend())
	}
	c.ExpectEOF()

	c, s := stream("canceled")
	k := pgscript.Dial(t, "tcp", addr)
	k.Send(pgscript.CancelRequest(s.PID, s.Secret))
	if m := c.Until("E"); m[len(m)-1].Field('C') != "57014" {
		t.Errorf("a stream that was cancelled: %s", m[len(m)-1].Backend())
	}
	c.Until("Z")
	if got := c.Run(pgscript.Query("SELECT 5")); !strings.Contains(strings.Join(got, "\n"), "5") {
		t.Errorf("after a cancel: %q", got)
	}

	c, _ = stream("gone")
	c.Close()
	stage.Eventually(t, 10*time.Second, "the walsender of a client that is gone has ended", func() bool {
		return pg.Primary.Query(t, "select count(*) from pg_replication_slots where slot_name='gone'")[0][0] == "0"
	})

	c, _ = stream("stopped")
	pg.Primary.Kill(t)
	if m := c.Until("E"); m[len(m)-1].Field('C') != "08006" {
		t.Errorf("a server that was killed: %s", m[len(m)-1].Backend())
	}
	c.ExpectEOF()
	pg.Primary.Start(t)

	c, _ = stream("removed")
	next := stage.Config(pg.Primary, heliosv1.PoolMode_POOL_MODE_SESSION, 5)
	next.Databases = map[string]*heliosv1.Database{"other": {Name: "other", Cluster: "main", PoolProfile: "default"}}
	if _, err := p.Apply(next, nil); err != nil {
		t.Fatal(err)
	}
	if m := c.Until("E"); m[len(m)-1].Field('C') != "57P01" {
		t.Errorf("a database that was removed: %s", m[len(m)-1].Backend())
	}
	if _, err := p.Apply(set, nil); err != nil {
		t.Fatal(err)
	}

	c, _ = stream("drained")
	done := make(chan error, 1)
	ctx, stop := context.WithTimeout(context.Background(), 20*time.Second)
	defer stop()
	go func() { done <- p.Drain(ctx) }()
	if m := c.Until("E"); m[len(m)-1].Field('C') != "57P01" || !strings.Contains(m[len(m)-1].Field('M'), "the proxy is shutting down") {
		t.Errorf("a proxy that shuts down: %s", m[len(m)-1].Backend())
	}
	c.ExpectEOF()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// TestReplicationSlow has clients that do not read, and a server that does not: the loop that they share serves others, and who is
// slow gets everything in the end.
func TestReplicationSlow(t *testing.T) {
	t.Parallel()
	const rows = 100_000
	pg := pgcluster.Start(t, pgcluster.Options{Conf: map[string]string{"wal_level": "logical"}})
	p, addr := stage.Start(t, stage.Config(pg.Primary, heliosv1.PoolMode_POOL_MODE_SESSION, 5))
	slow := pgscript.Dial(t, "tcp", addr)
	slow.Login(pgscript.Login{User: "postgres", Database: "postgres", Params: []string{"replication", "database"}})
	slow.Send(pgscript.Query("COPY (SELECT repeat('x', 1000) FROM generate_series(1, 100000)) TO STDOUT"))
	sent := func() (n uint64) {
		for _, a := range p.Desk().Counts() {
			n += a.ToClient
		}
		return n
	}
	var last uint64
	same := 0
	stage.Eventually(t, 20*time.Second, "the slow client's buffers are full", func() bool {
		now := sent()
		if now != last || now < 100_000 {
			last, same = now, 0
			return false
		}
		same++
		return same > 10
	})
	c := stage.Connect(t, addr, "postgres")
	_, before := p.Count()
	for range 100 {
		stage.Want(t, c, "SELECT 1", "1")
	}
	if _, after := p.Count(); after-before > 100*40 {
		t.Errorf("%d system calls for 100 statements beside a client that does not read", after-before)
	}
	done := make(chan error, 1)
	ctx, stop := context.WithTimeout(context.Background(), 60*time.Second)
	defer stop()
	go func() { done <- p.Drain(ctx) }()
	stage.Eventually(t, 10*time.Second, "the other session has ended", func() bool { return strings.HasPrefix(stage.Ask(c, "SELECT 1"), "57P01 ") || c.IsClosed() })
	if n := len(slow.Until("Z")); n < rows {
		t.Errorf("the slow client got %d messages, want %d rows", n, rows)
	}
	slow.Expect("E 57P01 terminating connection: the proxy is shutting down") // its command had an end of its own, and has come to it
	slow.ExpectEOF()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// TestReplicationLogin lets in who may do nothing at the server but replicate, with a password on both sides.
func TestReplicationLogin(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{HBA: []string{"host replication copier 127.0.0.1/32 scram-sha-256"}})
	pg.Primary.CreateRole(t, "copier", "its own", "scram-sha-256")
	pg.Primary.Exec(t, "alter role copier replication")
	set := stage.Config(pg.Primary, heliosv1.PoolMode_POOL_MODE_SESSION, 5)
	set.Listeners["main"].Auth = heliosv1.AuthMethod_AUTH_METHOD_SCRAM
	set.Users["copier"] = &heliosv1.User{Name: "copier", Secret: stage.Secret("its own")}
	_, addr := stage.Start(t, set)
	for range 2 {
		c := stage.Connect(t, addr, "copier", "password", "its own", "replication", "yes")
		if got := stage.Ask(c, "IDENTIFY_SYSTEM"); len(got) < 10 {
			t.Errorf("IDENTIFY_SYSTEM: %s", got)
		}
	}
	_, err := stage.TryConnect(addr, "copier", "password", "another's", "replication", "yes")
	refusedWith(t, err, "28P01", "password authentication failed")
	_, err = stage.TryConnect(addr, "copier", "password", "its own", "replication", "database")
	refusedWith(t, err, "28000", "no pg_hba.conf entry")
}
