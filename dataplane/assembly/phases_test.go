package assembly_test

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/heliosproxy/heliosproxy/dataplane/assembly/stage"
	"github.com/heliosproxy/heliosproxy/dataplane/state/meter"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgcluster"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgscript"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// TestPhases says where a statement was slow: at the server, in the queue, while a connection was opened, at the client. What it says is
// what the client has waited.
func TestPhases(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{HBA: []string{"host all all all trust"}})
	for _, c := range []struct {
		name string
		most meter.Phase
		run  func(t *testing.T, addr string) (took time.Duration)
	}{
		{"a slow server", meter.Server, func(t *testing.T, addr string) time.Duration {
			x := stage.Connect(t, addr, "postgres")
			began := time.Now()
			stage.Want(t, x, "SELECT pg_sleep(1)", "")
			return time.Since(began)
		}},
		{"a slow server in a transaction whose client thinks", meter.Server, func(t *testing.T, addr string) (took time.Duration) {
			x := stage.Connect(t, addr, "postgres")
			for _, sql := range []string{"BEGIN", "SELECT pg_sleep(1)", "COMMIT"} {
				began := time.Now()
				stage.Want(t, x, sql, "")
				took += time.Since(began)
				<-time.After(200 * time.Millisecond)
			}
			return took
		}},
		{"a full pool", meter.Queue, func(t *testing.T, addr string) time.Duration {
			holds, x := holder(t, addr), stage.Connect(t, addr, "postgres")
			stage.Want(t, holds, "BEGIN", "")
			committed := make(chan struct{})
			time.AfterFunc(time.Second, func() { defer close(committed); stage.Ask(holds, "COMMIT") })
			began := time.Now()
			stage.Want(t, x, "SELECT 1", "1")
			defer func() { <-committed }()
			return time.Since(began)
		}},
		{"a full pool for too long", meter.Queue, func(t *testing.T, addr string) time.Duration {
			holds, x := holder(t, addr), stage.Connect(t, addr, "postgres")
			stage.Want(t, holds, "BEGIN", "")
			began := time.Now()
			if got := stage.Ask(x, "SELECT 1"); !strings.HasPrefix(got, "53300") {
				t.Errorf("it was let through: %s", got)
			}
			return time.Since(began)
		}},
		{"a slow reader", meter.Client, func(t *testing.T, addr string) time.Duration {
			const all = 40 << 20
			raw := rawLogin(t, addr)
			began := time.Now()
			raw.Write(pgscript.Query(fmt.Sprintf("SELECT repeat('x', 1024 * 1024) FROM generate_series(1, %d)", all>>20)))
			buf := make([]byte, 256<<10)
			for n := 0; n < all; {
				k, err := raw.Read(buf)
				if err != nil {
					t.Fatal(err)
				}
				if n += k; n/(1<<20) != (n-k)/(1<<20) {
					<-time.After(30 * time.Millisecond) // a megabyte
				}
			}
			return time.Since(began)
		}},
		{"a slow writer", meter.Client, func(t *testing.T, addr string) time.Duration {
			pg.Primary.Exec(t, "CREATE TABLE IF NOT EXISTS copied (a text)")
			raw := rawLogin(t, addr)
			began := time.Now()
			raw.Write(pgscript.Query("COPY copied FROM STDIN"))
			for range 10 {
				<-time.After(100 * time.Millisecond)
				raw.Write(pgscript.CopyData("a\n"))
			}
			raw.Write(pgscript.CopyDone())
			buf := make([]byte, 4096)
			for n := 0; n == 0 || buf[n-1] != 'I'; {
				var err error
				if n, err = raw.Read(buf); err != nil {
					t.Fatal(err)
				}
			}
			return time.Since(began)
		}},
		{"a slow sender", meter.Client, func(t *testing.T, addr string) time.Duration {
			return drip(t, rawLogin(t, addr), pgscript.Query("SELECT 1 -- "+strings.Repeat("x", 200)), 0)
		}},
		{"a slow sender of much", meter.Client, func(t *testing.T, addr string) time.Duration {
			return drip(t, rawLogin(t, addr), pgscript.Query("SELECT 1 -- "+strings.Repeat("x", 6<<20)), 0)
		}},
		{"a slow sender within a transaction", meter.Client, func(t *testing.T, addr string) time.Duration {
			raw := rawLogin(t, addr)
			took := drip(t, raw, pgscript.Query("BEGIN"), 0)
			return took + drip(t, raw, pgscript.Query("SELECT 1 -- "+strings.Repeat("x", 200)), 0)
		}},
		{"a slow sender of several messages", meter.Client, func(t *testing.T, addr string) time.Duration {
			value := strings.Repeat("x", 200)
			return drip(t, rawLogin(t, addr), slices.Concat(pgscript.Parse("", "SELECT length($1)"), pgscript.Bind("", "", value), pgscript.Execute("", 0)), 1)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var wrong string
			for range 3 { // a client that is late once, as the machine has other things to do, is no fault of the phases
				if wrong = phasesOf(t, pg.Primary, c.most, c.run); wrong == "" {
					return
				}
				t.Log(wrong)
			}
			t.Error(wrong)
		})
	}
}

// phasesOf has a client of a proxy wait, and says what is wrong with the phases of its statements, of which one has most of the time.
func phasesOf(t *testing.T, pg *pgcluster.Server, which meter.Phase, run func(*testing.T, string) time.Duration) (wrong string) {
	t.Helper()
	set := stage.Config(pg, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 1)
	set.PoolProfiles["default"].AcquireTimeout = durationpb.New(1500 * time.Millisecond)
	set.Databases["holder"] = &heliosv1.Database{Name: "holder", ServerName: "postgres", Cluster: "main", PoolProfile: "default"}
	p, addr := stage.Start(t, set)
	took := run(t, addr)
	a := p.Desk().Counts()["postgres"]
	var sum time.Duration
	for ph := range meter.PhaseCount {
		sum += time.Duration(a.Phases[ph].Sum)
	}
	most := time.Duration(a.Phases[which].Sum)
	t.Logf("the client has waited %v, the phases are %v, %v of it %v", took, sum, which, most)
	switch {
	case (sum - took).Abs() > took/20+20*time.Millisecond:
		return fmt.Sprintf("the client has waited %v, the phases are %v", took, sum)
	case most < took*3/4:
		return fmt.Sprintf("of %v, %v are those of %v", took, most, which)
	}
	return ""
}

// holder is a client of the same pool whose statements are counted elsewhere.
func holder(t *testing.T, addr string) *pgconn.PgConn {
	t.Helper()
	c, err := stage.From("127.0.0.1", addr, "postgres", "holder", "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(context.Background()) })
	return c
}

// rawLogin logs a client in that reads when it likes.
func rawLogin(t *testing.T, addr string) net.Conn {
	t.Helper()
	raw, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { raw.Close() })
	raw.(*net.TCPConn).SetReadBuffer(64 << 10) // what its kernel keeps for it nobody else can see
	raw.Write(pgscript.Startup(3<<16, "user", "postgres", "database", "postgres"))
	buf := make([]byte, 4096)
	for n := 0; n == 0 || buf[n-1] != 'I'; {
		if n, err = raw.Read(buf); err != nil {
			t.Fatal(err)
		}
	}
	return raw
}

// drip sends messages in ten parts within a second, and then a Sync if the last of them are extended ones.
func drip(t *testing.T, raw net.Conn, p []byte, syncs int) time.Duration {
	t.Helper()
	var began time.Time
	for part := range slices.Chunk(p, (len(p)+9)/10) {
		if began.IsZero() {
			began = time.Now()
		} else {
			<-time.After(100 * time.Millisecond)
		}
		raw.Write(part)
	}
	for range syncs {
		<-time.After(100 * time.Millisecond)
		raw.Write(pgscript.Sync())
	}
	buf := make([]byte, 4096)
	for n := 0; n < 6 || buf[n-6] != 'Z'; {
		k, err := raw.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		n = k
	}
	return time.Since(began)
}
