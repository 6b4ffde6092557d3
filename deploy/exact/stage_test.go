package exact

import (
	"errors"
	"fmt"
	"iter"
	"maps"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/heliosproxy/heliosproxy/dataplane/assembly"
	"github.com/heliosproxy/heliosproxy/dataplane/reactor"
	"github.com/heliosproxy/heliosproxy/pkg/resource"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgcluster"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgscript"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// stage is a PostgreSQL, a proxy in front of it, and harnesses that play at the same time in databases of their own.
type stage struct {
	pg        *pgcluster.Server
	set       *resource.Set
	logins    []Login // of the harnesses in turn
	harnesses []*Harness
	coverage  Coverage
}

// modes are the pool modes with the resource that asks for each.
func modes() map[Mode]heliosv1.PoolMode {
	return map[Mode]heliosv1.PoolMode{
		Session:     heliosv1.PoolMode_POOL_MODE_SESSION,
		Transaction: heliosv1.PoolMode_POOL_MODE_TRANSACTION,
		Statement:   heliosv1.PoolMode_POOL_MODE_STATEMENT,
	}
}

// newStage makes a stage with n harnesses, without a proxy; secure, everybody speaks TLS and logs in by SCRAM.
func newStage(t testing.TB, n int, secure bool) *stage {
	t.Helper()
	options := pgcluster.Options{
		MaxConnections: 50 + 30*n,
		Conf:           map[string]string{"max_prepared_transactions": "20", "synchronous_commit": "off", "jit": "off", "autovacuum": "off"},
	}
	if secure {
		options.HBA = []string{"hostssl all all 127.0.0.1/32 scram-sha-256"}
	}
	pg := pgcluster.Start(t, options).Primary
	st := &stage{pg: pg, logins: []Login{{}}, set: &resource.Set{
		Clusters: map[string]*heliosv1.Cluster{"main": {Name: "main"}},
		Nodes: map[string]*heliosv1.Node{"n1": {
			Name: "n1", Cluster: "main", Host: pg.Host(), Port: uint32(pg.Port()), Role: heliosv1.NodeRole_NODE_ROLE_PRIMARY,
		}},
		PoolProfiles: map[string]*heliosv1.PoolProfile{},
		Databases:    map[string]*heliosv1.Database{},
		Listeners:    map[string]*heliosv1.Listener{"main": {Name: "main", Address: "127.0.0.1:0", Auth: heliosv1.AuthMethod_AUTH_METHOD_TRUST}},
	}}
	if secure {
		st.secure(t)
	}
	pg.Exec(t, "CREATE ROLE r1", "CREATE ROLE r2", "CREATE DATABASE world")
	template, err := (&Harness{Login: st.logins[0], Wait: 20 * time.Second}).dial(pg.Addr(), "world")
	if err != nil {
		t.Fatal(err)
	}
	for _, sql := range World() {
		answers, err := template.ask(sql)
		if err != nil || answers[0].Type == 'E' {
			t.Fatalf("%s: %v %v", sql, answers, err)
		}
	}
	template.Close()
	for i := range n {
		h := &Harness{Coverage: &st.coverage, Login: st.logins[i%len(st.logins)]}
		h.Oracle = st.target(t, pg, i, Direct, 1)
		h.Oracle.Addr = pg.Addr()
		for _, m := range []Mode{Session, Transaction, Statement} {
			for _, servers := range []int{1, 3} {
				h.Targets = append(h.Targets, st.target(t, pg, i, m, servers))
			}
		}
		st.harnesses = append(st.harnesses, h)
	}
	return st
}

// target makes a database, and for a pool mode what the proxy has to know of it.
func (st *stage) target(t testing.TB, pg *pgcluster.Server, harness int, m Mode, servers int) Target {
	t.Helper()
	name := fmt.Sprintf("w%d_%v_%d", harness, m, servers)
	pg.Exec(t, "CREATE DATABASE "+name+" TEMPLATE world STRATEGY file_copy")
	if m != Direct {
		profile := fmt.Sprintf("%v_%d", m, servers)
		guard := map[Mode]heliosv1.LeakGuard{
			Session:     heliosv1.LeakGuard_LEAK_GUARD_TEXT, // it is not used
			Transaction: heliosv1.LeakGuard_LEAK_GUARD_CATALOG,
			Statement:   heliosv1.LeakGuard_LEAK_GUARD_ALWAYS,
		}
		st.set.PoolProfiles[profile] = &heliosv1.PoolProfile{
			Name: profile, Mode: modes()[m], DeferredBegin: servers == 3, LeakGuard: guard[m], Listen: heliosv1.Listen_LISTEN_PIN, MaxConnections: uint32(servers),
			IdleTimeout: durationpb.New(time.Hour), AcquireTimeout: durationpb.New(time.Minute), ConnectTimeout: durationpb.New(30 * time.Second),
		}
		st.set.Databases[name] = &heliosv1.Database{Name: name, Cluster: "main", PoolProfile: profile}
	}
	return Target{Mode: m, Servers: servers, Database: name, Admin: pg.Addr(), Real: name}
}

// open starts a proxy for the length of a test. Nothing is waited for longer than wait.
func (st *stage) open(t testing.TB, wait time.Duration) {
	t.Helper()
	if err := st.begin(t, wait); err != nil {
		t.Fatal(err)
	}
}

// begin is open for a proxy that may not let anybody in.
func (st *stage) begin(t testing.TB, wait time.Duration) error {
	t.Helper()
	return st.meet(t, startProxy(t, st.set), wait)
}

// meet lets the harnesses play at a proxy.
func (st *stage) meet(t testing.TB, addr string, wait time.Duration) error {
	for _, h := range st.harnesses {
		h.Wait = wait
		for i := range h.Targets {
			h.Targets[i].Addr = addr
		}
		t.Cleanup(h.Close)
		if err := h.fresh(); err != nil {
			return err
		}
	}
	return nil
}

// startProxy starts a proxy in this process.
func startProxy(t testing.TB, set *resource.Set) string {
	t.Helper()
	p, err := newProxy(set, func(*assembly.Options) {})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p.Addresses()["main"]
}

// newProxy starts a proxy with options of its own.
func newProxy(set *resource.Set, edit func(*assembly.Options)) (*assembly.Proxy, error) {
	log := zap.NewNop()
	if testing.Verbose() {
		log = zap.New(zapcore.NewCore(zapcore.NewConsoleEncoder(zap.NewDevelopmentEncoderConfig()), zapcore.Lock(os.Stderr), zap.WarnLevel))
	}
	set.Complete()
	o := assembly.Options{Log: log, Loops: 1, Reactor: reactor.Options{Poison: true}}
	edit(&o)
	p, err := assembly.New(o)
	if err != nil {
		return nil, err
	}
	if _, err := p.Apply(set, nil); err != nil {
		p.Close()
		return nil, err
	}
	return p, nil
}

// play plays sequences on all harnesses at once, until there are enough findings.
func (st *stage) play(enough int, sequences iter.Seq[Sequence]) (found []*Finding, err error) {
	work := make(chan Sequence)
	var mu sync.Mutex
	full := make(chan struct{})
	stop := sync.OnceFunc(func() { close(full) })
	var wg sync.WaitGroup
	for _, h := range st.harnesses {
		wg.Go(func() {
			crashes := 0
			for s := range work {
				fs, e := h.Play(s)
				if lost(fs, e) && st.crashed(&crashes) { // PostgreSQL itself, and whatever is played at the time
					fs, e = nil, st.recover(h)
				}
				for _, f := range fs { // at once: a run of an hour may not come to its end
					fmt.Fprintf(os.Stderr, "%v\n", f)
				}
				mu.Lock()
				found = append(found, fs...)
				err = errors.Join(err, e)
				if len(found) >= enough || err != nil {
					stop()
				}
				mu.Unlock()
			}
		})
	}
	for s := range sequences {
		select {
		case work <- s:
			continue
		case <-full:
		}
		break
	}
	close(work)
	wg.Wait()
	return found, err
}

// lost says whether a connection to PostgreSQL may have been lost.
func lost(found []*Finding, err error) bool {
	return err != nil || slices.ContainsFunc(found, func(f *Finding) bool {
		return f.Err != nil || slices.ContainsFunc(f.Got, func(m pgscript.Message) bool {
			c := m.Field('C')
			return c == "57P02" || c == "57P03" || c == "08006" || c == "08P01" && m.Field('V') == "FATAL"
		})
	})
}

// crashed says whether PostgreSQL has crashed more than seen times, which it then counts.
func (st *stage) crashed(seen *int) bool {
	for range 20 { // the log comes a little later
		if crashes, err := st.pg.Crashes(); err == nil && len(crashes) > *seen {
			*seen = len(crashes)
			return true
		}
		<-time.After(50 * time.Millisecond)
	}
	return false
}

// recover waits for PostgreSQL to be there again, and begins anew.
func (st *stage) recover(h *Harness) (err error) {
	for end := time.Now().Add(time.Minute); time.Now().Before(end); <-time.After(200 * time.Millisecond) {
		h.Close()
		if err = h.fresh(); err == nil {
			return nil
		}
	}
	return fmt.Errorf("PostgreSQL does not come back after it has crashed: %w", err)
}

// used returns how often each row of the table was needed.
func (st *stage) used() map[string]int {
	all := map[string]int{}
	for _, h := range st.harnesses {
		for name, n := range maps.All(h.Used) {
			all[name] += n
		}
	}
	return all
}

// of returns the harness that has made a finding.
func (st *stage) of(f *Finding) *Harness {
	for _, h := range st.harnesses {
		if slices.Contains(h.Targets, f.Target) {
			return h
		}
	}
	return nil
}
