package assembly_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/heliosproxy/heliosproxy/dataplane/assembly"
	"github.com/heliosproxy/heliosproxy/dataplane/assembly/stage"
	"github.com/heliosproxy/heliosproxy/dataplane/pool"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgcluster"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// TestQueueOrder has sessions wait for one server connection, on one loop and on three: they get it in the
// order of asking.
func TestQueueOrder(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{})
	for _, loops := range []int{1, 3} {
		pg.Primary.Exec(t, "DROP TABLE IF EXISTS served; CREATE TABLE served (id serial, i int)")
		p, addr := stage.Start(t, stage.Config(pg.Primary, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 1), func(o *assembly.Options) { o.Loops = loops })
		const n = 12
		holder := stage.Connect(t, addr, "postgres")
		stage.Want(t, holder, "BEGIN", "")
		var sessions sync.WaitGroup
		for i := range n {
			c := stage.Connect(t, addr, "postgres")
			sessions.Go(func() { stage.Want(t, c, fmt.Sprintf("INSERT INTO served (i) VALUES (%d)", i), "") })
			stage.Eventually(t, 15*time.Second, "it waits", func() bool {
				waiting := 0
				p.Hub().Pools.Each(func(p *pool.Pool) { _, waiting = p.Total() })
				return waiting == i+1
			})
			<-time.After(5 * time.Millisecond) // longer than others may go ahead on their own loop
		}
		stage.Want(t, holder, "COMMIT", "")
		sessions.Wait()
		for k, row := range pg.Primary.Query(t, "SELECT i FROM served ORDER BY id") {
			if row[0] != fmt.Sprint(k) {
				t.Errorf("%d loops: session %s was served as number %d", loops, row[0], k)
			}
		}
	}
}

// TestWaitNotice tells those who wait for long which place they have, once in each wait.
func TestWaitNotice(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{})
	set := stage.Config(pg.Primary, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 1)
	set.PoolProfiles["default"].WaitNotice = durationpb.New(60 * time.Millisecond)
	p, addr := stage.Start(t, set)
	holder := stage.Connect(t, addr, "postgres")
	a, toA := stage.Noticed(t, addr, "postgres")
	b, toB := stage.Noticed(t, addr, "postgres")
	for range 2 {
		stage.Want(t, holder, "BEGIN", "")
		done := make(chan string, 2)
		for i, c := range []*pgconn.PgConn{a, b} {
			go func() { done <- stage.Ask(c, "SELECT 1") }()
			stage.Eventually(t, 15*time.Second, "it waits", func() bool {
				waiting := 0
				p.Hub().Pools.Each(func(p *pool.Pool) { _, waiting = p.Total() })
				return waiting == i+1
			})
			<-time.After(5 * time.Millisecond)
		}
		stage.Want(t, holder, "SELECT pg_sleep(0.2)", "")
		stage.Want(t, holder, "COMMIT", "")
		for range 2 {
			if got := <-done; got != "1" {
				t.Error(got)
			}
		}
	}
	const said = "NOTICE 00000 still waiting for a server connection after 60ms: "
	for _, x := range []struct {
		got  []string
		want string
	}{{*toA, said + "number 1 in the queue of 2, 0 ahead"}, {*toB, said + "number 2 in the queue of 2, 1 ahead"}} {
		if len(x.got) != 2 || x.got[0] != x.want || x.got[1] != x.want {
			t.Errorf("%q, want twice %s", x.got, x.want)
		}
	}
}
