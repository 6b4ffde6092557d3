package assembly_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/heliosproxy/heliosproxy/dataplane/assembly"
	"github.com/heliosproxy/heliosproxy/dataplane/assembly/stage"
	"github.com/heliosproxy/heliosproxy/dataplane/reactor"
	"github.com/heliosproxy/heliosproxy/pkg/pgerr"
	"github.com/heliosproxy/heliosproxy/pkg/resource"
	"github.com/heliosproxy/heliosproxy/pkg/scram"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgcluster"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgscript"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// TestClientLimits refuses clients that are too many, by each of the bounds, and lets the next in when one has left. Who is refused
// is told so; cancel requests are none of them.
func TestClientLimits(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{})
	for _, c := range []struct {
		name string
		edit func(*resource.Set)
		want string
		keys string
	}{
		{"all", func(s *resource.Set) { s.Limits["default"].MaxClients = 2 }, "53300 too many clients in all: the limit is 2", "limits.max_clients (max_client_conn in a pgbouncer.ini)"},
		{"address", func(s *resource.Set) { s.Limits["default"].MaxClientsPerAddress = 2 }, `53300 too many clients from address "127.0.0.1": the limit is 2`, "limits.max_clients_per_address"},
		{"database", func(s *resource.Set) { s.Limits["default"].MaxClientsPerDatabase = 2 }, `53300 too many clients in database "postgres": the limit is 2`, "limits.max_clients_per_database and databases.max_clients (max_db_client_connections in a pgbouncer.ini)"},
		{"one database", func(s *resource.Set) {
			s.Limits["default"].MaxClientsPerDatabase = 1
			s.Databases["postgres"] = proto.Clone(s.Databases["*"]).(*heliosv1.Database)
			s.Databases["postgres"].Name, s.Databases["postgres"].MaxClients = "postgres", 2
		}, `53300 too many clients in database "postgres": the limit is 2`, "limits.max_clients_per_database and databases.max_clients (max_db_client_connections in a pgbouncer.ini)"},
		{"user", func(s *resource.Set) { s.Limits["default"].MaxClientsPerUser = 2 }, `53300 too many clients of user "postgres": the limit is 2`, "limits.max_clients_per_user and users.max_clients (max_user_client_connections in a pgbouncer.ini)"},
		{"one user", func(s *resource.Set) {
			s.Limits["default"].MaxClientsPerUser = 1
			s.Users["postgres"] = &heliosv1.User{Name: "postgres", MaxClients: 2}
		}, `53300 too many clients of user "postgres": the limit is 2`, "limits.max_clients_per_user and users.max_clients (max_user_client_connections in a pgbouncer.ini)"},
	} {
		t.Run(c.name, func(t *testing.T) {
			set := stage.Config(pg.Primary, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 4)
			c.edit(set)
			p, addr := stage.Start(t, set)
			a, b := stage.Connect(t, addr, "postgres"), stage.Connect(t, addr, "postgres")
			for range 3 { // who is refused is not counted
				_, err := stage.From("127.0.0.1", addr, "postgres", "postgres", "")
				if stage.TurnedDown(err) != c.want {
					t.Errorf("the third: %v, want %s", err, c.want)
				}
				var pe *pgconn.PgError
				if stage.AsPg(err, &pe) && pe.Hint != "Try again later, or raise the limit: see "+c.keys+"." {
					t.Errorf("the third: the hint is %q, want %s", pe.Hint, c.keys)
				}
			}
			done := make(chan error, 1)
			go func() { _, err := a.Exec(context.Background(), "SELECT pg_sleep(60)").ReadAll(); done <- err }()
			stage.Eventually(t, 10*time.Second, "a statement runs", func() bool {
				return stage.Ask(pgConn(t, pg), "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(60)%' AND pid <> pg_backend_pid() AND state = 'active'") == "1"
			})
			if err := a.CancelRequest(context.Background()); err != nil {
				t.Error(err)
			}
			if err := <-done; !strings.Contains(fmt.Sprint(err), "57014") {
				t.Errorf("a statement that was cancelled at a full door: %v", err)
			}
			b.Close(context.Background())
			stage.Eventually(t, 10*time.Second, "a client gets in when another has left", func() bool {
				c, err := stage.From("127.0.0.1", addr, "postgres", "postgres", "")
				if err == nil {
					c.Close(context.Background())
				}
				return err == nil
			})
			a.Close(context.Background())
			stage.Eventually(t, 10*time.Second, "nobody is counted", func() bool { return p.Hub().Clients.In() == 0 })
		})
	}
}

// pgConn is a connection to the server itself.
func pgConn(t *testing.T, pg *pgcluster.Cluster) *pgconn.PgConn {
	t.Helper()
	c, err := stage.TryConnect(pg.Primary.Addr(), "postgres")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(context.Background()) })
	return c
}

// TestFailedAtOnce has many connections asked for a password before one of them has failed: no more of them are told whether theirs is
// right than would be one after the other.
func TestFailedAtOnce(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{})
	set := stage.Config(pg.Primary, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 2)
	set.Limits["default"].MaxFailedLogins, set.Limits["default"].FailedLoginWindow = proto.Uint32(3), durationpb.New(time.Hour)
	set.Listeners["main"].Auth = heliosv1.AuthMethod_AUTH_METHOD_PASSWORD
	set.Users["postgres"] = &heliosv1.User{Name: "postgres", Secret: stage.Secret("right")}
	_, addr := stage.Start(t, set)
	var all []*pgscript.Client
	for range 8 {
		c := pgscript.Dial(t, "tcp", addr)
		c.Send(pgscript.Startup(pgscript.Version30, "user", "postgres", "database", "postgres"))
		c.Until("R")
		all = append(all, c)
	}
	var got []string
	for i, c := range all {
		password := "wrong"
		if i == len(all)-1 {
			password = "right"
		}
		c.Send(pgscript.Password(password))
		said := c.Until("E")
		got = append(got, said[len(said)-1].Field('C'))
	}
	if got, want := strings.Join(got, ", "), "28P01, 28P01, 28P01, 28000, 28000, 28000, 28000, 28000"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// TestFailedLogins has a user wait at the address where he has failed, there or not, and nobody else.
func TestFailedLogins(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{})
	set := stage.Config(pg.Primary, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 2)
	set.Limits["default"].MaxFailedLogins, set.Limits["default"].FailedLoginWindow = proto.Uint32(3), durationpb.New(time.Hour)
	set.Listeners["main"].Auth = heliosv1.AuthMethod_AUTH_METHOD_SCRAM
	set.Users["postgres"] = &heliosv1.User{Name: "postgres", Secret: stage.Secret("right")}
	set.Users["bob"] = &heliosv1.User{Name: "bob", Secret: stage.Secret("right"), ServerUser: "postgres"}
	p, addr := stage.Start(t, set)
	attempt := func(ip, user, password string) string {
		c, err := stage.From(ip, addr, user, "postgres", password)
		if err == nil {
			c.Close(context.Background())
		}
		return stage.TurnedDown(err)
	}
	check := func(what, got, want string) {
		t.Helper()
		if got != want {
			t.Errorf("%s: %q, want %q", what, got, want)
		}
	}
	for range 2 { // twice two failures, for the right password forgets them
		for range 2 {
			check("a wrong password", attempt("127.0.0.1", "postgres", "wrong"), `28P01 password authentication failed for user "postgres"`)
		}
		check("the right password", attempt("127.0.0.1", "postgres", "right"), "")
	}
	for _, user := range []string{"postgres", "nobody"} {
		for range 3 {
			check(user, attempt("127.0.0.1", user, "wrong"), fmt.Sprintf("28P01 password authentication failed for user %q", user))
		}
		got := attempt("127.0.0.1", user, "right")
		if want := fmt.Sprintf("28000 too many failed log-ins of user %q from this address: try again in ", user); !strings.HasPrefix(got, want) {
			t.Errorf("%s who has to wait: %q, want %q", user, got, want)
		}
	}
	check("another user", attempt("127.0.0.1", "bob", "right"), "")
	check("from elsewhere", attempt("127.0.0.2", "postgres", "right"), "")
	for i := range 30 - 4 - 6 {
		attempt("127.0.0.1", fmt.Sprint("guess", i), "wrong")
	}
	if got := attempt("127.0.0.1", "bob", "right"); !strings.HasPrefix(got, "28000 too many failed log-ins from this address: try again in ") {
		t.Errorf("an address that has tried many users: %q", got)
	}
	check("from elsewhere", attempt("127.0.0.2", "bob", "right"), "")

	m := p.Metrics().Counted.Unadmitted
	if n := p.Hub().Failures.Count(); n != 33 {
		t.Errorf("%d failures are reported", n)
	}
	if m[pgerr.AuthenticationFailed] != 30 || m[pgerr.TooManyFailures] != 3 {
		t.Errorf("counted are %d wrong passwords and %d that had to wait", m[pgerr.AuthenticationFailed], m[pgerr.TooManyFailures])
	}
}

// TestServerRefuses counts log-ins that the server refuses as those that the proxy does, by the SQLSTATE that the client was told.
func TestServerRefuses(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{})
	p, addr := stage.Start(t, stage.Config(pg.Primary, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 2))
	for _, attempt := range [][3]string{{"nobody", "postgres", `28000 role "nobody" does not exist`}, {"postgres", "nowhere", `3D000 database "nowhere" does not exist`}} {
		if _, err := stage.From("127.0.0.1", addr, attempt[0], attempt[1], ""); stage.TurnedDown(err) != attempt[2] {
			t.Errorf("got %v, want %s", err, attempt[2])
		}
	}
	m := p.Metrics().Counted
	got := map[string]uint64{}
	for i, n := range m.Denied.Counts {
		got[m.Denied.States[i]] += n
	}
	if got["28000"] != 1 || got["3D000"] != 1 || m.Denied.Others != 0 {
		t.Errorf("counted are %v and %d others", got, m.Denied.Others)
	}
}

// TestLoginsQueue has log-ins that compute wait for each other, refuses those that are too many, in words, also where TLS was asked
// for, and holds nobody up who is in.
func TestLoginsQueue(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{})
	keys, _ := scram.Derive("right", []byte("0123456789abcdef"), 4096)
	set := stage.Config(pg.Primary, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 2)
	set.Limits["default"].MaxWaitingLogins = 2
	set.Listeners["main"].Auth = heliosv1.AuthMethod_AUTH_METHOD_PASSWORD
	pki := stage.NewPKI(t)
	set.Listeners["main"].Tls = &heliosv1.ClientTLS{CertFile: pki.Cert, KeyFile: pki.Key}
	set.Users["postgres"] = &heliosv1.User{Name: "postgres", Secret: stage.Secret(keys.String()), ServerPassword: stage.Secret("any")}
	p, addr := stage.Start(t, set, func(o *assembly.Options) { o.Reactor.Computing = 1 })
	first, err := stage.From("127.0.0.1", addr, "postgres", "postgres", "right")
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close(context.Background())
	taken, release := make(chan struct{}), make(chan struct{})
	go p.Group().Compute(func() { close(taken); <-release }) // the only place
	<-taken
	var all sync.WaitGroup
	var mu sync.Mutex
	got := map[string]int{}
	for range 10 {
		all.Go(func() {
			c, err := stage.From("127.0.0.1", addr, "postgres", "postgres", "right")
			if err == nil {
				c.Close(context.Background())
			}
			mu.Lock()
			got[stage.TurnedDown(err)]++
			mu.Unlock()
		})
	}
	stage.Eventually(t, 20*time.Second, "log-ins wait", func() bool { return p.Group().Waiting() == 2 })
	for i, ask := range [][]byte{pgscript.SSLRequest(), {22, 3, 1, 0, 1, 1}} {
		raw, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		raw.SetDeadline(time.Now().Add(20 * time.Second))
		raw.Write(ask)
		b := make([]byte, 1000)
		n, _ := raw.Read(b)
		raw.Close()
		if s := string(b[:n]); i == 0 && !strings.Contains(s, "C53300") || i == 1 && s != "\x15\x03\x01\x00\x02\x02\x50" {
			t.Errorf("TLS while others are at it: %q", s)
		}
	}
	stage.Want(t, first, "SELECT 1", "1")
	close(release)
	all.Wait()
	if got[""] < 2 || got["53300 too many log-ins are under way"] != 10-got[""] || got[""] == 10 {
		t.Errorf("10 at once: %v", got)
	}
	if c, err := tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"postgresql"}}); err != nil {
		t.Errorf("behind the storm: %v", err)
	} else {
		c.Close()
	}
}

// TestFilesRunOut tells clients that there are hardly any file descriptors left, and keeps some for servers. It is not run beside other
// tests, who open files too.
func TestFilesRunOut(t *testing.T) {
	pg := pgcluster.Start(t, pgcluster.Options{})
	var last int
	for range 300 {
		f, err := os.Open("/dev/null")
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		last = int(f.Fd())
	}
	files := (last + 40) * 8 / 7 // so that the first eighth of those that are kept begins there
	_, addr := stage.Start(t, stage.Config(pg.Primary, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 2), func(o *assembly.Options) { o.Files = files })
	told, closed := 0, 0
	for range 80 {
		c, err := stage.From("127.0.0.1", addr, "postgres", "postgres", "")
		switch got := stage.TurnedDown(err); {
		case err == nil:
			defer c.Close(context.Background())
			stage.Want(t, c, "SELECT 1", "1")
		case strings.HasPrefix(got, "53300 too many clients for the files that it may open: the limit is "):
			told++
		default:
			closed++
		}
	}
	if told == 0 || reactor.OpenFiles() < files {
		t.Errorf("%d were told, %d not", told, closed)
	}
}
