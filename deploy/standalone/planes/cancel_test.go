package planes

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"go.uber.org/zap"
	"google.golang.org/protobuf/types/known/durationpb"

	control "github.com/heliosproxy/heliosproxy/controlplane/assembly"
	data "github.com/heliosproxy/heliosproxy/dataplane/assembly"
	"github.com/heliosproxy/heliosproxy/deploy/standalone/command"
	"github.com/heliosproxy/heliosproxy/pkg/resource"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/freeport"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgcluster"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgscript"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// fleet is three proxies behind a TCP balancer, and their control plane.
type fleet struct {
	t       *testing.T
	pg      *pgcluster.Server
	control *control.ControlPlane
	door    string // the control plane's
	proxies [3]*data.Proxy
	addrs   [3]string
	dirs    [3]string
	lb      string
	next    atomic.Int32 // whose turn it is at the balancer
}

// newFleet starts it, and returns when each proxy knows the two others.
func newFleet(t *testing.T) *fleet {
	t.Helper()
	f := &fleet{t: t, pg: pgcluster.Start(t, pgcluster.Options{}).Primary, door: filepath.Join(t.TempDir(), "s")}
	for _, name := range []string{"transaction", "session"} {
		f.pg.Exec(t, "CREATE DATABASE "+name)
	}
	l, err := net.Listen("unix", f.door)
	if err != nil {
		t.Fatal(err)
	}
	f.control, err = control.Start(t.Context(), control.Options{
		Log: zap.NewNop(), Store: control.Memory(), Stream: []control.Door{{Listener: l}}, MaxConfigBytes: 1 << 20,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.control.Close() })
	if _, err := f.control.Replace(t.Context(), f.resources(), "test"); err != nil {
		t.Fatal(err)
	}
	for i := range f.proxies {
		f.dirs[i], f.addrs[i] = t.TempDir(), fmt.Sprint("127.0.0.1:", freeport.For(t))
		f.start(i)
	}
	f.eventually("all know each other", func() bool {
		for i := range f.proxies {
			if f.ask(f.connectTo(i, "postgres", "3.0", "pgbouncer"), "SHOW PEERS") != "2 rows" {
				return false
			}
		}
		return true
	})
	f.balance()
	return f
}

// resources are a database in each pool mode.
func (f *fleet) resources() *resource.Set {
	at := netip.MustParseAddrPort(f.pg.Addr())
	set := &resource.Set{
		Clusters:     map[string]*heliosv1.Cluster{"main": {Name: "main"}},
		Nodes:        map[string]*heliosv1.Node{"n": {Name: "n", Cluster: "main", Host: at.Addr().String(), Port: uint32(at.Port()), Role: heliosv1.NodeRole_NODE_ROLE_PRIMARY}},
		PoolProfiles: map[string]*heliosv1.PoolProfile{},
		Databases:    map[string]*heliosv1.Database{},
		Listeners:    map[string]*heliosv1.Listener{"main": {Name: "main", Address: "127.0.0.1:0", Auth: heliosv1.AuthMethod_AUTH_METHOD_TRUST}},
		Users:        map[string]*heliosv1.User{},
	}
	for name, mode := range map[string]heliosv1.PoolMode{"transaction": heliosv1.PoolMode_POOL_MODE_TRANSACTION, "session": heliosv1.PoolMode_POOL_MODE_SESSION} {
		set.PoolProfiles[name] = &heliosv1.PoolProfile{Name: name, Mode: mode, MaxConnections: 5, AcquireTimeout: durationpb.New(time.Minute)}
		set.Databases[name] = &heliosv1.Database{Name: name, Cluster: "main", PoolProfile: name}
	}
	return set
}

// start starts a proxy, or starts it again with what it has on its disk.
func (f *fleet) start(i int) {
	f.t.Helper()
	p, err := data.New(data.Options{Log: zap.NewNop(), NodeID: fmt.Sprint("px", i), Loops: 1, Listen: map[string]string{"main": f.addrs[i]}})
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { p.Close() })
	if err := p.Follow(data.ControlPlane{
		Addresses: []string{"unix:" + f.door}, Source: heliosv1.Source_SOURCE_CONTROL_PLANE, Group: control.DefaultGroup, StateDir: f.dirs[i], MaxConfigBytes: 1 << 20,
	}); err != nil {
		f.t.Fatal(err)
	}
	f.proxies[i] = p
	f.eventually("it listens", func() bool { return p.Addresses()["main"] == f.addrs[i] })
}

// balance gives each connection to the next proxy.
func (f *fleet) balance() {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		f.t.Fatal(err)
	}
	f.lb = l.Addr().String()
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			to, err := net.Dial("tcp", f.addrs[(f.next.Add(1)-1)%3])
			if err != nil {
				c.Close()
				continue
			}
			all.Go(func() { io.Copy(to, c); to.(*net.TCPConn).CloseWrite() })
			all.Go(func() { io.Copy(c, to); c.Close(); to.Close() })
		}
	})
	f.t.Cleanup(func() { l.Close() })
}

func (f *fleet) connectTo(i int, user, version, db string) *pgconn.PgConn {
	return f.connect(f.addrs[i], user, version, db)
}

func (f *fleet) connect(addr, user, version, db string) *pgconn.PgConn {
	f.t.Helper()
	cfg, err := pgconn.ParseConfig(fmt.Sprintf("postgres://%s@%s/%s?sslmode=disable&max_protocol_version=%s", user, addr, db, version))
	if err != nil {
		f.t.Fatal(err)
	}
	c, err := pgconn.ConnectConfig(context.Background(), cfg)
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { c.Close(context.Background()) })
	return c
}

// ask returns the SQLSTATE of an error, or how many rows there are.
func (f *fleet) ask(c *pgconn.PgConn, sql string) string {
	rs, err := c.Exec(context.Background(), sql).ReadAll()
	var pe *pgconn.PgError
	switch {
	case errors.As(err, &pe):
		return pe.Code
	case err != nil:
		return err.Error()
	}
	return fmt.Sprint(len(rs[0].Rows), " rows")
}

func (f *fleet) eventually(what string, ok func() bool) {
	f.t.Helper()
	for end, tick := time.After(30*time.Second), time.NewTicker(10*time.Millisecond); !ok(); {
		select {
		case <-end:
			f.t.Fatal("not within 30 s: ", what)
		case <-tick.C:
		}
	}
}

// sleep lets a connection sleep at the server, and returns when it does; the channel has what came of it.
func (f *fleet) sleep(c *pgconn.PgConn) <-chan string {
	f.t.Helper()
	done := make(chan string, 1)
	go func() { done <- f.ask(c, "SELECT pg_sleep(120)") }()
	f.eventually("it sleeps", f.sleeps)
	return done
}

func (f *fleet) sleeps() bool {
	return f.pg.Query(f.t, "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%' AND state = 'active'")[0][0] == "1"
}

// counted is how many cancel requests a proxy has had, by what became of them.
func (f *fleet) counted(i int) map[string]uint64 {
	all := map[string]uint64{}
	s := f.proxies[i].Metrics()
	for how, n := range s.Counted.Cancels.All {
		all[how] = n
	}
	return all
}

// cancelled says whether what a connection has running ends within the test's patience when it is cancelled, at whichever proxy that comes in.
func (f *fleet) cancelled(what string, c *pgconn.PgConn) {
	f.t.Helper()
	done := f.sleep(c)
	if err := c.CancelRequest(context.Background()); err != nil {
		f.t.Fatalf("%s: %v", what, err)
	}
	select {
	case got := <-done:
		if got != "57014" {
			f.t.Fatalf("%s: %s", what, got)
		}
	case <-time.After(20 * time.Second):
		f.t.Fatalf("%s: nothing was cancelled", what)
	}
	if got := f.ask(c, "SELECT 5"); got != "1 rows" {
		f.t.Fatalf("%s: afterwards %s", what, got)
	}
}

// TestCancelAcrossProxies cancels statements through proxies that do not run them, with the control plane and without, after a restart, and
// beside 10,000 keys that are wrong.
func TestCancelAcrossProxies(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	// The proxies speak 3.2 until they know that the server does not: each client of 3.2 is the first of its user.
	for _, version := range []string{"3.0", "3.2"} {
		for _, db := range []string{"transaction", "session"} {
			user := db + version[2:]
			f.pg.Exec(t, "CREATE ROLE "+user+" LOGIN")
			for home := range 3 {
				f.next.Store(int32(home))
				c := f.connect(f.lb, user, version, db)
				if want := map[string]int{"3.0": 4, "3.2": 32}[version]; len(c.SecretKey()) != want {
					t.Fatalf("%s, %s: a key of %d bytes", db, version, len(c.SecretKey()))
				}
				f.cancelled(fmt.Sprintf("%s, %s, connected to %d and cancelled at the next", db, version, home), c)
				c.Close(context.Background())
			}
		}
	}
	sum := map[string]uint64{}
	for i := range 3 {
		for how, n := range f.counted(i) {
			sum[how] += n
		}
	}
	// Of those of which the key names nobody, three, a proxy is asked in vain.
	if sum["served"] != 12 || sum["forwarded"] != 12 || sum["unknown"] > 3 || sum["limited"]+sum["peer_failed"] > 0 {
		t.Errorf("12 statements were cancelled at the wrong proxy: %v", sum)
	}

	// Without the control plane, and after a restart of a proxy, what is known is on the disk.
	f.control.Close()
	f.proxies[1].Close()
	f.start(1)
	for _, db := range []string{"transaction", "session"} {
		for home := range 3 {
			f.next.Store(int32(home))
			f.cancelled(fmt.Sprintf("%s, without a control plane, connected to %d", db, home), f.connect(f.lb, db+"0", "3.0", db))
		}
	}

	// Keys that are wrong cancel nothing, whatever about them is right.
	victim := f.connectTo(0, "transaction0", "3.0", "transaction")
	done := f.sleep(victim)
	before := f.counted(1)
	var all sync.WaitGroup
	const guesses, guessers = 10_000, 20
	for range guessers {
		all.Go(func() {
			for i := range guesses / guessers {
				pid, secret := victim.PID(), make([]byte, 4)
				switch i % 4 {
				case 1:
					pid = 1 + rand.Uint32N(4_194_304)
				case 2:
					pid = 1<<30 | rand.Uint32N(1<<30)
				case 3:
					secret = make([]byte, 32)
				}
				for j := range secret {
					secret[j] = byte(rand.Uint32())
				}
				if string(secret) == string(victim.SecretKey()) {
					continue
				}
				c, err := net.Dial("tcp", f.addrs[1])
				if err != nil {
					t.Error(err)
					return
				}
				c.Write(pgscript.CancelRequest(pid, secret))
				io.Copy(io.Discard, c) // until the proxy closes it
				c.Close()
			}
		})
	}
	other := f.connectTo(1, "session0", "3.0", "session")
	for range 100 {
		if got := f.ask(other, "SELECT 5"); got != "1 rows" {
			t.Fatalf("beside it: %s", got)
		}
	}
	all.Wait()
	after := f.counted(1)
	wrong := after["unknown"] + after["limited"] + after["peer_failed"] - before["unknown"] - before["limited"] - before["peer_failed"]
	if wrong != guesses || after["served"] != before["served"] || after["forwarded"] != before["forwarded"] {
		t.Errorf("of %d keys that are wrong %d were: %v, before %v", guesses, wrong, after, before)
	}
	if after["limited"] < guesses/4 {
		t.Errorf("only %d were limited", after["limited"])
	}
	select {
	case got := <-done:
		t.Fatalf("the victim was cancelled: %s", got)
	default:
	}
	if !f.sleeps() {
		t.Error("the victim does not sleep any more")
	}
	// He himself can.
	c, err := net.Dial("tcp", f.addrs[2])
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.Write(pgscript.CancelRequest(victim.PID(), victim.SecretKey()))
	io.Copy(io.Discard, c)
	if got := <-done; got != "57014" {
		t.Errorf("the victim's own cancel: %s", got)
	}
}

// TestCancelByFile cancels at the wrong one of two proxies that have each other from their files.
func TestCancelByFile(t *testing.T) {
	t.Parallel()
	f := &fleet{t: t, pg: pgcluster.Start(t, pgcluster.Options{}).Primary}
	f.pg.Exec(t, "CREATE DATABASE transaction")
	var all [2]command.DataPlane
	for i := range all {
		p, err := Standalone(command.Options{
			Log: zap.NewNop(), NodeID: fmt.Sprint("px", i), Loops: 1, StateDir: t.TempDir(), MaxConfigBytes: 1 << 20,
			Shutdown: func(command.Ending) {},
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { p.Close() })
		if err := p.Apply(f.resources()); err != nil {
			t.Fatal(err)
		}
		all[i], f.addrs[i] = p, p.Addresses()["main"]
	}
	for i, p := range all {
		p.Meet(&heliosv1.Peers{YourNumber: uint32(i + 1), Peers: []*heliosv1.Peer{{Number: uint32(2 - i), Address: f.addrs[1-i]}}})
	}
	c := f.connectTo(0, "postgres", "3.0", "transaction")
	done := f.sleep(c)
	at, err := net.Dial("tcp", f.addrs[1])
	if err != nil {
		t.Fatal(err)
	}
	defer at.Close()
	at.Write(pgscript.CancelRequest(c.PID(), c.SecretKey()))
	io.Copy(io.Discard, at)
	if got := <-done; got != "57014" {
		t.Errorf("it ends with %s", got)
	}
}
