package serve

import (
	"crypto/rand"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/heliosproxy/heliosproxy/dataplane/auth"
	"github.com/heliosproxy/heliosproxy/dataplane/pool"
	"github.com/heliosproxy/heliosproxy/dataplane/reactor"
	"github.com/heliosproxy/heliosproxy/dataplane/snapshot"
	"github.com/heliosproxy/heliosproxy/dataplane/state/admission"
	"github.com/heliosproxy/heliosproxy/dataplane/state/cancelkeys"
	"github.com/heliosproxy/heliosproxy/dataplane/state/statement"
	"github.com/heliosproxy/heliosproxy/pkg/resource"
	"github.com/heliosproxy/heliosproxy/pkg/scram"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgscript"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// stage is a loop that the test steps itself, with one server connection and clients that are memory.
type stage struct {
	t      testing.TB
	loop   *reactor.Loop
	hub    *Hub
	server *reactor.Memory
}

// newStage makes a stage whose pool has one server connection, logged in.
func newStage(t testing.TB, edit ...func(*resource.Set)) *stage {
	g, err := reactor.NewGroup(1, reactor.Options{})
	if err != nil {
		t.Fatal(err)
	}
	s := &stage{t: t, loop: g.Loops()[0]}
	set := &resource.Set{
		Clusters:     map[string]*heliosv1.Cluster{"main": {Name: "main"}},
		Nodes:        map[string]*heliosv1.Node{"n1": {Name: "n1", Cluster: "main", Host: "127.0.0.1", Port: 1, Role: heliosv1.NodeRole_NODE_ROLE_PRIMARY}},
		PoolProfiles: map[string]*heliosv1.PoolProfile{"p": {Name: "p", Mode: heliosv1.PoolMode_POOL_MODE_TRANSACTION, MaxConnections: 1, AcquireTimeout: durationpb.New(time.Minute)}},
		Listeners:    map[string]*heliosv1.Listener{"l": {Name: "l", Auth: heliosv1.AuthMethod_AUTH_METHOD_TRUST}},
		Users:        map[string]*heliosv1.User{},
		Databases:    map[string]*heliosv1.Database{"*": {Name: "*", Cluster: "main", PoolProfile: "p"}},
		Limits:       map[string]*heliosv1.Limits{"default": {MaxPreparedStatements: 100, MaxPreparedPerServer: 100, MaxPreparedBytes: 1 << 20, MaxStatementBytes: 1 << 20, LoginTimeout: durationpb.New(time.Minute), MaxWaitingLogins: 1}},
	}
	for _, e := range edit {
		e(set)
	}
	snap, err := snapshot.Compile(set, 1)
	if err != nil {
		t.Fatal(err)
	}
	s.hub = &Hub{
		Log: zap.NewNop(), Pools: pool.NewRegistry(g.Loops()), Keys: cancelkeys.New[*Conn](), Statements: statement.NewRegistry("h_"),
		Current: func() *snapshot.Snapshot { return snap }, Fate: func() Fate { return Stays }, MockSecret: func() string { return "" },
		Clients: &admission.Clients{}, Failures: admission.NewFailures(10),
	}
	NewLocal(s.hub, s.loop)
	s.loop.Dialer = func(reactor.Address) *reactor.Endpoint {
		e, m := s.loop.NewMemory()
		s.server = m
		m.Feed(pgscript.Greeting(77, []byte("1234")))
		return e
	}
	return s
}

// client logs a client in.
func (s *stage) client() *reactor.Memory {
	e, m := s.loop.NewMemory()
	Accept(s.hub, e, reactor.Address{}, &Door{Listener: &snapshot.Listener{Door: &auth.Door{Method: auth.Trust}}})
	m.Feed(pgscript.Startup(pgscript.Version30, "user", "u", "database", "d"))
	for range 20 {
		s.loop.Step()
	}
	if n := len(m.Sent); n < 6 || m.Sent[n-6] != 'Z' {
		s.t.Fatalf("log-in: %q", m.Sent)
	}
	m.Take()
	return m
}

// trip sends a unit through to the server and its answer back.
func (s *stage) trip(c *reactor.Memory, ask, answer []byte) {
	c.Feed(ask)
	s.loop.Step()
	if len(s.server.Sent) == 0 {
		s.t.Fatal("nothing came to the server")
	}
	s.server.Take()
	s.server.Feed(answer)
	s.loop.Step()
	if n := len(c.Sent); n < 6 || c.Sent[n-6] != 'Z' {
		s.t.Fatalf("answer: %q", c.Sent)
	}
	c.Take()
}

func join(msgs ...[]byte) (out []byte) {
	for _, m := range msgs {
		out = append(out, m...)
	}
	return out
}

var answer = [][]byte{pgscript.RowDescription(pgscript.Column{Name: "abalance", OID: 23}), pgscript.DataRow("12345"), pgscript.CommandComplete("SELECT 1"), pgscript.ReadyForQuery('I')}

func trips(s *stage) map[string]func() {
	c := s.client()
	const sql = "SELECT abalance FROM pgbench_accounts WHERE aid = 12345;"
	simple, rows := pgscript.Query(sql), join(answer...)
	ext := join(pgscript.Parse("", "SELECT abalance FROM pgbench_accounts WHERE aid = $1"), pgscript.Bind("", "", "12345"), pgscript.DescribePortal(""), pgscript.Execute("", 0), pgscript.Sync())
	extRows := join(pgscript.ParseComplete(), pgscript.BindComplete(), rows)
	prep := join(pgscript.Bind("", "P_0", "12345"), pgscript.DescribePortal(""), pgscript.Execute("", 0), pgscript.Sync())
	prepRows := join(pgscript.BindComplete(), rows)
	s.trip(c, join(pgscript.Parse("P_0", sql), pgscript.Sync()), join(pgscript.ParseComplete(), pgscript.ReadyForQuery('I')))
	return map[string]func(){
		"simple":   func() { s.trip(c, simple, rows) },
		"extended": func() { s.trip(c, ext, extRows) },
		"prepared": func() { s.trip(c, prep, prepRows) },
	}
}

// bounded gives sessions a time for everything.
func bounded(set *resource.Set) {
	p := set.PoolProfiles["p"]
	for _, at := range []**durationpb.Duration{&p.QueryTimeout, &p.TransactionTimeout, &p.IdleTransactionTimeout, &p.ClientIdleTimeout} {
		*at = durationpb.New(time.Minute)
	}
}

// TestNoAllocation walks statements from client to server and back without allocating, also where they may take only so long.
func TestNoAllocation(t *testing.T) {
	for _, s := range []*stage{newStage(t), newStage(t, bounded)} {
		for name, f := range trips(s) {
			f()
			if n := testing.AllocsPerRun(1000, f); n != 0 {
				t.Errorf("%s: %v allocations a query", name, n)
			}
		}
	}
}

// BenchmarkWalk is the walk of a statement over memory endpoints: what a query costs beside the kernel.
func BenchmarkWalk(b *testing.B) {
	for _, name := range []string{"simple", "extended", "prepared"} {
		b.Run(name, func(b *testing.B) {
			f := trips(newStage(b))[name]
			b.ReportAllocs()
			for b.Loop() {
				f()
			}
		})
	}
	b.Run("bounded", func(b *testing.B) {
		f := trips(newStage(b, bounded))["simple"]
		b.ReportAllocs()
		for b.Loop() {
			f()
		}
	})
}

// TestPanic lets a walk panic: its session ends with words, the loop serves the others.
func TestPanic(t *testing.T) {
	s := newStage(t)
	good, bad := s.client(), s.client()
	current := s.hub.Current
	s.hub.Current = func() *snapshot.Snapshot { panic("planted") }
	bad.Feed(pgscript.Query("SELECT 1"))
	s.loop.Step()
	if !strings.Contains(string(bad.Sent), "CXX000\x00") || !bad.Closed() {
		t.Errorf("the session that panicked was told %q, closed %v", bad.Sent, bad.Closed())
	}
	s.hub.Current = current
	s.trip(good, pgscript.Query("SELECT 1"), join(answer...))
	if n := s.loop.Local.(*Local).Meter.Panics; n != 1 {
		t.Errorf("%d panics were counted", n)
	}
}

// TestNotReady logs in before there is a configuration.
func TestNotReady(t *testing.T) {
	s := newStage(t)
	s.hub.Current = func() *snapshot.Snapshot { return nil }
	e, m := s.loop.NewMemory()
	Accept(s.hub, e, reactor.Address{}, &Door{Listener: &snapshot.Listener{Door: &auth.Door{Method: auth.Trust}}})
	m.Feed(pgscript.Startup(pgscript.Version30, "user", "u"))
	s.loop.Step()
	if !strings.Contains(string(m.Sent), "C57P03\x00") {
		t.Errorf("the client was told %q", m.Sent)
	}
}

// BenchmarkLogin is the walk of a connection that logs in and says goodbye. That by SCRAM includes what the client computes.
func BenchmarkLogin(b *testing.B) {
	hello := pgscript.Startup(pgscript.Version30, "user", "u", "database", "d")
	keys, key := scram.Derive("secret", []byte("0123456789abcdef"), 4096)
	for _, c := range []struct {
		name   string
		method auth.Method
	}{{"trust", auth.Trust}, {"scram", auth.SCRAM}} {
		b.Run(c.name, func(b *testing.B) {
			s := newStage(b, func(set *resource.Set) {
				set.Users["u"] = &heliosv1.User{Name: "u", Secret: &heliosv1.Secret{Value: keys.String()}, ServerPassword: &heliosv1.Secret{Value: "secret"}}
			})
			s.client()
			door := &Door{Listener: &snapshot.Listener{Door: &auth.Door{Method: c.method}}}
			s.loop.Step()
			b.ReportAllocs()
			for b.Loop() {
				e, m := s.loop.NewMemory()
				Accept(s.hub, e, reactor.Address{}, door)
				m.Feed(hello)
				s.loop.Step()
				if c.method == auth.SCRAM {
					s.prove(m, key, keys.ServerKey)
				}
				m.Feed(pgscript.Terminate())
				s.loop.Step()
				if !m.Closed() {
					b.Fatalf("%q", m.Sent)
				}
			}
		})
	}
}

// prove answers a listener that has asked for SCRAM.
func (s *stage) prove(m *reactor.Memory, key scram.ClientKey, server scram.Key) {
	cl, err := scram.NewClient(rand.Reader)
	if err != nil {
		s.t.Fatal(err)
	}
	m.Take()
	m.Feed(pgscript.SASLInitial(scram.Mechanism, string(cl.First())))
	s.loop.Step()
	if _, _, err := cl.Salt(m.Sent[9:]); err != nil {
		s.t.Fatalf("%q: %v", m.Sent, err)
	}
	m.Take()
	m.Feed(pgscript.SASLResponse(string(cl.Final(key, server))))
	s.loop.Step()
	if n := len(m.Sent); n < 6 || m.Sent[n-6] != 'Z' {
		s.t.Fatalf("log-in: %q", m.Sent)
	}
}
