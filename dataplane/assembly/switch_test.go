package assembly_test

import (
	"context"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/heliosproxy/heliosproxy/dataplane/assembly"
	"github.com/heliosproxy/heliosproxy/dataplane/assembly/stage"

	"github.com/jackc/pgx/v5/pgconn"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/heliosproxy/heliosproxy/dataplane/pool"
	"github.com/heliosproxy/heliosproxy/dataplane/reactor"
	"github.com/heliosproxy/heliosproxy/pkg/resource"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/freeport"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgcluster"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// shop is a configuration with the database shop, which is postgres at node n1; n2 is a standby. What is edited comes instead.
func shop(srv *pgcluster.Server, mode heliosv1.PoolMode, max uint32, edit ...func(*resource.Set)) *resource.Set {
	s := stage.Config(srv, mode, max)
	s.Nodes["n2"] = &heliosv1.Node{Name: "n2", Cluster: "main", Host: srv.Host(), Port: uint32(srv.Port()), Role: heliosv1.NodeRole_NODE_ROLE_STANDBY}
	s.Databases = map[string]*heliosv1.Database{
		"shop": {Name: "shop", Cluster: "main", ServerName: "postgres", PoolProfile: "default"},
		"else": {Name: "else", Cluster: "main", ServerName: "elsewhere", PoolProfile: "default"},
	}
	for _, e := range edit {
		e(s)
	}
	return s
}

// switches lead shop elsewhere, and where those are then who ask who they are.
var switches = map[string]struct {
	to    func(*resource.Set)
	there string
}{
	"node": {func(s *resource.Set) {
		s.Nodes["n1"].Role, s.Nodes["n2"].Role = heliosv1.NodeRole_NODE_ROLE_STANDBY, heliosv1.NodeRole_NODE_ROLE_PRIMARY
	}, "postgres postgres"},
	"database": {func(s *resource.Set) { s.Databases["shop"].ServerName = "other" }, "other postgres"},
	"user":     {func(s *resource.Set) { s.Databases["shop"].ServerUser = "keeper" }, "postgres keeper"},
}

// whereAmI is what they ask.
const whereAmI = "SELECT current_database() || ' ' || current_user"

// enter logs in to a database.
func enter(addr, db string, params ...string) (*pgconn.PgConn, error) {
	cfg, err := pgconn.ParseConfig("postgres://postgres@" + addr + "/" + db + "?sslmode=disable")
	if err != nil {
		return nil, err
	}
	for i := 0; i < len(params); i += 2 {
		cfg.RuntimeParams[params[i]] = params[i+1]
	}
	ctx, stop := context.WithTimeout(context.Background(), time.Minute)
	defer stop()
	return pgconn.ConnectConfig(ctx, cfg)
}

// asks has one who has logged in ask a question, and logsIn one who logs in first. The answer comes by the channel.
func asks(c *pgconn.PgConn, sql string) <-chan string {
	got := make(chan string, 1)
	go func() { got <- stage.Ask(c, sql) }()
	return got
}

func logsIn(t *testing.T, addr, db, sql string, params ...string) <-chan string {
	got := make(chan string, 1)
	go func() {
		c, err := enter(addr, db, params...)
		if err != nil {
			got <- stage.TurnedDown(err)
			return
		}
		got <- stage.Ask(c, sql)
		c.Close(context.Background())
	}()
	return got
}

// heard is what comes by the channel, in time.
func heard(t *testing.T, what string, from <-chan string, want string) {
	t.Helper()
	select {
	case got := <-from:
		if got != want && (want == "" || !strings.HasPrefix(got, want)) {
			t.Errorf("%s: %s; want %s", what, got, want)
		}
	case <-time.After(30 * time.Second):
		t.Fatalf("%s: nothing in time; want %s", what, want)
	}
}

// waiters is how many clients wait.
func waiters(p *assembly.Proxy) (n int) {
	for _, c := range p.Desk().Clients() {
		if c.Wait > 0 {
			n++
		}
	}
	return n
}

// TestSwitch leads a database elsewhere while clients wait that are held, with a statement or at log-in. When they go on they are served there.
func TestSwitch(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{Conf: map[string]string{"wal_level": "logical"}})
	pg.Primary.Exec(t, "CREATE DATABASE other", "CREATE ROLE keeper LOGIN REPLICATION")
	for mode, of := range map[string]heliosv1.PoolMode{
		"transaction": heliosv1.PoolMode_POOL_MODE_TRANSACTION, "statement": heliosv1.PoolMode_POOL_MODE_STATEMENT, "session": heliosv1.PoolMode_POOL_MODE_SESSION,
	} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			p, addr := stage.Start(t, shop(pg.Primary, of, 2), func(o *assembly.Options) { o.Loops = 2 })
			admin := stage.ConsoleAt(t, addr)
			for name, sw := range switches {
				for _, hold := range []string{"PAUSE shop", "PAUSE", "SUSPEND"} {
					if _, err := p.Apply(shop(pg.Primary, of, 2), nil); err != nil {
						t.Fatal(err)
					}
					what := name + ", " + hold
					var all []<-chan string
					var waits *pgconn.PgConn
					if mode != "session" { // whoever is in has a server connection there
						var err error
						if waits, err = enter(addr, "shop"); err != nil {
							t.Fatal(err)
						}
						stage.Want(t, waits, whereAmI, "postgres postgres")
					}
					if got := stage.Tell(admin, hold); got != "" {
						t.Fatal(got)
					}
					if waits != nil {
						all = append(all, asks(waits, whereAmI))
					}
					// Of parameters that nobody has had yet the server has to say what they are.
					all = append(all, logsIn(t, addr, "shop", whereAmI, "application_name", what))
					if mode == "session" {
						all = append(all, logsIn(t, addr, "shop", whereAmI, "replication", "database"))
					}
					stage.Eventually(t, 20*time.Second, "all wait", func() bool { return waiters(p) == len(all) })
					if _, err := p.Apply(shop(pg.Primary, of, 2, sw.to), nil); err != nil {
						t.Fatal(err)
					}
					if got := stage.Tell(admin, "RESUME"); got != "" {
						t.Fatal(got)
					}
					for _, c := range all {
						heard(t, what, c, sw.there)
					}
					p.Hub().Pools.Each(func(pl *pool.Pool) {
						if node := map[bool]string{true: "n2", false: "n1"}[name == "node"]; pl.Node != node {
							t.Errorf("%s: there is a pool at %s", what, pl.Node)
						}
					})
					if waits != nil {
						waits.Close(context.Background())
					}
				}
			}
		})
	}
}

// TestSwitchQueue leads a database elsewhere while clients wait for a server connection that another one has: they need not wait for that any
// more. Nor does one wait who wants a walsender.
func TestSwitchQueue(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{Conf: map[string]string{"wal_level": "logical"}})
	pg.Primary.Exec(t, "CREATE DATABASE other", "CREATE ROLE keeper LOGIN REPLICATION")
	for mode, of := range map[string]heliosv1.PoolMode{"transaction": heliosv1.PoolMode_POOL_MODE_TRANSACTION, "session": heliosv1.PoolMode_POOL_MODE_SESSION} {
		for name, sw := range switches {
			p, addr := stage.Start(t, shop(pg.Primary, of, 1), func(o *assembly.Options) { o.Loops = 2 })
			busy, err := enter(addr, "shop")
			if err != nil {
				t.Fatal(err)
			}
			all := []<-chan string{logsIn(t, addr, "shop", whereAmI, "work_mem", "77kB")}
			if mode == "session" {
				all = append(all, logsIn(t, addr, "shop", whereAmI, "replication", "database"))
				stage.Want(t, busy, "SELECT 1", "1")
			} else {
				stage.Eventually(t, 20*time.Second, "the first is in", func() bool { return waiters(p) == 0 && len(p.Desk().Clients()) == 1 })
				heard(t, name, all[0], "postgres postgres")
				all = nil
				for range 3 {
					c, err := enter(addr, "shop")
					if err != nil {
						t.Fatal(err)
					}
					defer c.Close(context.Background())
					if len(all) == 0 {
						stage.Want(t, busy, "BEGIN", "")
					}
					all = append(all, asks(c, whereAmI))
				}
			}
			stage.Eventually(t, 20*time.Second, "all wait", func() bool { return waiters(p) == len(all) })
			if _, err := p.Apply(shop(pg.Primary, of, 1, sw.to), nil); err != nil {
				t.Fatal(err)
			}
			for _, c := range all {
				heard(t, mode+", "+name, c, sw.there)
			}
			stage.Want(t, busy, whereAmI, "postgres postgres") // a transaction, or a session, stays where it is
			if mode == "transaction" {
				stage.Want(t, busy, "COMMIT", "")
				stage.Want(t, busy, whereAmI, sw.there)
			}
			busy.Close(context.Background())
		}
	}
}

// TestSwitchTime: the time for which somebody waits in a queue goes on where his pool moves, however often that is.
func TestSwitchTime(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{})
	silent, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", freeport.For(t)))
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	mode, turns := heliosv1.PoolMode_POOL_MODE_TRANSACTION, 0
	quick := func(s *resource.Set) {
		s.PoolProfiles["default"].AcquireTimeout, s.PoolProfiles["default"].ConnectTimeout = durationpb.New(2*time.Second), durationpb.New(time.Minute)
	}
	silence := func(s *resource.Set) { // another one each time, whose server never answers
		turns++
		s.Nodes["n1"].Port, s.Databases["shop"].ServerName = uint32(silent.Addr().(*net.TCPAddr).Port), fmt.Sprint("db", turns)
	}
	p, addr := stage.Start(t, shop(pg.Primary, mode, 1, quick))
	busy, err := enter(addr, "shop")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close(context.Background())
	waits, err := enter(addr, "shop")
	if err != nil {
		t.Fatal(err)
	}
	defer waits.Close(context.Background())
	stage.Want(t, busy, "BEGIN", "")
	got := asks(waits, "SELECT 1")
	stage.Eventually(t, 20*time.Second, "it waits", func() bool { return waiters(p) == 1 })
	for began := time.Now(); ; {
		if _, err := p.Apply(shop(pg.Primary, mode, 1, quick, silence), nil); err != nil {
			t.Fatal(err)
		}
		select {
		case words := <-got:
			if !strings.HasPrefix(words, "53300 no server connection became free within 2s") {
				t.Errorf("it was told %s", words)
			}
			return
		case <-time.After(100 * time.Millisecond):
		}
		if time.Since(began) > 30*time.Second {
			t.Fatal("it waits for ever")
		}
	}
}

// TestSwitchGone takes a database away while clients of it wait that are held: each is told so at once, and its name can be resumed.
func TestSwitchGone(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{})
	mode := heliosv1.PoolMode_POOL_MODE_TRANSACTION
	p, addr := stage.Start(t, shop(pg.Primary, mode, 1))
	admin := stage.ConsoleAt(t, addr)
	gone := func(s *resource.Set) { delete(s.Databases, "shop") }
	const told, unknown = "57P01 terminating connection: database shop was removed from the proxy's configuration", `3D000 `
	for _, hold := range []string{"PAUSE shop", "PAUSE", "SUSPEND", ""} {
		if _, err := p.Apply(shop(pg.Primary, mode, 1), nil); err != nil {
			t.Fatal(err)
		}
		c, err := enter(addr, "shop")
		if err != nil {
			t.Fatal(err)
		}
		busy, err := enter(addr, "shop")
		if err != nil {
			t.Fatal(err)
		}
		if hold == "" { // another one has the only server connection
			stage.Want(t, busy, "BEGIN", "")
		} else if got := stage.Tell(admin, hold); got != "" {
			t.Fatal(got)
		}
		waits, enters := asks(c, whereAmI), logsIn(t, addr, "shop", whereAmI, "work_mem", "77kB")
		stage.Eventually(t, 20*time.Second, "both wait", func() bool { return waiters(p) == 2 })
		if _, err := p.Apply(shop(pg.Primary, mode, 1, gone), nil); err != nil {
			t.Fatal(err)
		}
		heard(t, hold+", with a statement", waits, told)
		heard(t, hold+", at log-in", enters, unknown)
		if strings.HasSuffix(hold, "shop") {
			if got := stage.Tell(admin, "RESUME shop"); got != "" {
				t.Errorf("what is gone and held is not resumed: %s", got)
			}
			if got := stage.Tell(admin, "RESUME shop"); !strings.HasPrefix(got, "3D000") {
				t.Errorf("what is neither is: %q", got)
			}
		}
		if got := stage.Tell(admin, "RESUME"); got != "" {
			t.Fatal(got)
		}
		busy.Close(context.Background())
	}
}

// TestWishMoved: who takes this process's place has it at once where nobody has a connection any more, and waits on where there is another pool
// of the name.
func TestWishMoved(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{})
	mode := heliosv1.PoolMode_POOL_MODE_TRANSACTION
	for name, next := range map[string]func(*resource.Set){
		"nobody": func(s *resource.Set) { s.Databases["shop"].ServerName = "other" }, "another": func(*resource.Set) {},
	} {
		p, addr := stage.Start(t, shop(pg.Primary, mode, 1))
		busy, err := enter(addr, "shop")
		if err != nil {
			t.Fatal(err)
		}
		stage.Want(t, busy, "BEGIN", "")
		k := pool.Key{Node: "n1", Database: "postgres", User: "postgres"}
		of, granted := p.Hub().Pools.At(k), make(chan string, 1)
		p.Succession().Place(k.Message(), func() { granted <- "granted" })
		stage.Eventually(t, 20*time.Second, "it waits", func() bool { _, n := of.Total(); return n == 1 })
		if _, err := p.Apply(shop(pg.Primary, mode, 1, func(s *resource.Set) { s.Databases["shop"].ServerName = "other" }), nil); err != nil {
			t.Fatal(err)
		}
		if _, err := p.Apply(shop(pg.Primary, mode, 1, next), nil); err != nil {
			t.Fatal(err)
		}
		if name == "another" { // and its one connection is somebody's
			c, err := enter(addr, "shop")
			if err != nil {
				t.Fatal(err)
			}
			stage.Want(t, c, "BEGIN", "")
			defer c.Close(context.Background())
		}
		select {
		case <-granted:
			t.Errorf("%s: there is a connection still", name)
		default:
		}
		busy.Close(context.Background())
		if name == "another" {
			stage.Eventually(t, 20*time.Second, "it waits there", func() bool { _, n := p.Hub().Pools.At(k).Total(); return n == 1 })
			p.Succession().Stay(reactor.ErrStopped)
			continue
		}
		heard(t, name, granted, "granted")
	}
}
