package e2e

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgcluster"
)

// TestDriverPool: pgx's pool in its default mode, which prepares everything, on far fewer server connections.
func TestDriverPool(t *testing.T) {
	server := pgcluster.Start(t, pgcluster.Options{}).Primary
	server.Exec(t, "create table counters(id int primary key, n int not null)", "insert into counters select g, 0 from generate_series(1, 100) g")
	proxy := StartProxy(t, server, Options{MaxConnections: 5})
	stop := WatchConnections(t, server)
	config, err := pgxpool.ParseConfig(proxy.DSN("postgres", "postgres") + " pool_max_conns=50")
	if err != nil {
		t.Fatal(err)
	}
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	end := time.Now().Add(full(30*time.Second, 4*time.Second))
	var commits atomic.Int64
	var wg sync.WaitGroup
	for g := range 50 {
		wg.Go(func() {
			for i := 0; time.Now().Before(end); i++ {
				if err := driverTurn(ctx, pool, g, i); err != nil {
					t.Errorf("goroutine %d, turn %d: %v", g, i, err)
					return
				}
				commits.Add(1)
			}
		})
	}
	wg.Wait()
	if most := stop(); most > 5 {
		t.Errorf("%d server connections at one moment, 5 allowed", most)
	}
	if got := server.Query(t, "select sum(n) from counters")[0][0]; got != fmt.Sprint(commits.Load()) {
		t.Errorf("%d transactions committed, the server counts %s", commits.Load(), got)
	}
	t.Logf("%d transactions", commits.Load())
}

// driverTurn is one transaction and one query outside of it; statements differ between goroutines.
func driverTurn(ctx context.Context, pool *pgxpool.Pool, g, i int) error {
	tx, err := pool.Begin(ctx)
	if err != nil {
		return err
	}
	defer tx.Rollback(ctx) //nolint:errcheck // after Commit it does nothing
	if _, err := tx.Exec(ctx, "update counters set n = n + $2 where id = $1", g+1, 1); err != nil {
		return err
	}
	if err := tx.Commit(ctx); err != nil {
		return err
	}
	var sum int
	err = pool.QueryRow(ctx, fmt.Sprintf("select $1::int + $2::int + %d", g%7), g, i).Scan(&sum)
	if err == nil && sum != g+i+g%7 {
		err = fmt.Errorf("got %d, want %d", sum, g+i+g%7)
	}
	return err
}

// TestCancelStorm: half of 64 clients cancel what they do at random moments, waiting for a server connection or not; the other
// half never cancels and must never be told that it did.
func TestCancelStorm(t *testing.T) {
	const clients = 64
	server := pgcluster.Start(t, pgcluster.Options{}).Primary
	proxy := StartProxy(t, server, Options{MaxConnections: 5})
	statement := full(time.Second, 100*time.Millisecond)
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	end := time.Now().Add(full(30*time.Second, 5*time.Second))
	var cancelled, completed atomic.Int64
	var wg sync.WaitGroup
	for c := range clients {
		wg.Go(func() {
			conn, err := pgconn.Connect(ctx, proxy.DSN("postgres", "postgres"))
			if err != nil {
				t.Errorf("client %d: %v", c, err)
				return
			}
			defer conn.Close(context.WithoutCancel(ctx))
			cancels := c%2 == 0
			for time.Now().Before(end) {
				err := stormTurn(ctx, conn, statement, cancels)
				var pgErr *pgconn.PgError
				switch {
				case err == nil:
					completed.Add(1)
				case cancels && errors.As(err, &pgErr) && pgErr.Code == "57014":
					cancelled.Add(1)
				default:
					t.Errorf("client %d (cancels: %v): %v", c, cancels, err)
					return
				}
			}
		})
	}
	wg.Wait()
	t.Logf("%d statements completed, %d cancelled", completed.Load(), cancelled.Load())
	if cancelled.Load() < 10 || completed.Load() < 10 {
		t.Error("too few to tell anything")
	}
}

// stormTurn runs a statement, and cancels it at a random moment if told to.
func stormTurn(ctx context.Context, conn *pgconn.PgConn, length time.Duration, cancels bool) error {
	sent := make(chan error, 1)
	if cancels {
		at := time.Duration(rand.Int64N(int64(3 * length)))
		time.AfterFunc(at, func() { sent <- conn.CancelRequest(ctx) })
	} else {
		sent <- nil
	}
	_, err := conn.Exec(ctx, fmt.Sprintf("select pg_sleep(%f)", length.Seconds())).ReadAll()
	if cancelErr := <-sent; cancelErr != nil {
		return fmt.Errorf("send the cancel: %w", cancelErr)
	}
	return err
}
