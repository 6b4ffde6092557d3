package assembly_test

import (
	"math"
	"runtime"
	"testing"

	"github.com/heliosproxy/heliosproxy/dataplane/assembly"
	"github.com/heliosproxy/heliosproxy/dataplane/assembly/stage"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgcluster"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgscript"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// TestCostOfAQuery counts allocations and system calls at 64 clients on 16 server connections. A machine that is busy with something else
// wakes a loop for fewer events at a time, so the cheapest of some runs counts: what each query costs, all of them pay.
func TestCostOfAQuery(t *testing.T) {
	pg := pgcluster.Start(t, pgcluster.Options{})
	p, addr := stage.Start(t, stage.Config(pg.Primary, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 16), func(o *assembly.Options) { o.Reactor.Poison = false })
	stage.Pgbench(t, addr, "-i", "-s", "1", "-q")
	for _, mode := range []string{"simple", "extended", "prepared"} {
		stage.Pgbench(t, addr, "-n", "-S", "-c", "64", "-t", "5", "-M", mode) // the connections and buffers are there
		calls, allocs := math.Inf(1), math.Inf(1)
		for try := 0; try < 5 && (calls > maxCalls || allocs > maxAllocs); try++ {
			c, a := costs(t, p, addr, mode)
			calls, allocs = min(calls, c), min(allocs, a)
		}
		if calls > maxCalls {
			t.Errorf("%s: %.2f system calls a query", mode, calls)
		}
		if allocs > maxAllocs {
			t.Errorf("%s: %.2f allocations a query", mode, allocs)
		}
	}
}

const (
	maxCalls  = 5
	maxAllocs = 1 // 64 log-ins among 6,400 queries
)

// costs runs pgbench and returns what a query has cost.
func costs(t *testing.T, p *assembly.Proxy, addr, mode string) (calls, allocs float64) {
	var m0, m1 runtime.MemStats
	q0, c0 := p.Count()
	runtime.ReadMemStats(&m0)
	stage.Pgbench(t, addr, "-n", "-S", "-c", "64", "-t", "100", "-M", mode)
	runtime.ReadMemStats(&m1)
	q1, c1 := p.Count()
	queries := float64(q1 - q0)
	calls, allocs = float64(c1-c0)/queries, float64(m1.Mallocs-m0.Mallocs)/queries
	t.Logf("%s: %.0f queries, %.2f system calls and %.3f allocations each, log-ins included", mode, queries, calls, allocs)
	return calls, allocs
}

// TestIdleClients holds 2,000 idle clients and looks at goroutines and memory.
func TestIdleClients(t *testing.T) {
	pg := pgcluster.Start(t, pgcluster.Options{})
	_, addr := stage.Start(t, stage.Config(pg.Primary, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 5))
	const n = 1000 // and as many ends of them in this process
	connectOne := func() *pgscript.Client {
		c := pgscript.Dial(t, "tcp", addr)
		c.Login(pgscript.Login{User: "postgres", Database: "postgres"})
		return c
	}
	connectOne().Run(pgscript.Query("SELECT 1"))
	before := runtime.NumGoroutine()
	for range n {
		connectOne()
	}
	if grown := runtime.NumGoroutine() - before; grown > 10 {
		t.Errorf("%d clients made %d goroutines", n, grown)
	}
}
