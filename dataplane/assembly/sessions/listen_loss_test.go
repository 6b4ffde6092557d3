package sessions

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/heliosproxy/heliosproxy/dataplane/assembly"
	"github.com/heliosproxy/heliosproxy/dataplane/assembly/stage"
	"github.com/heliosproxy/heliosproxy/dataplane/state/channels"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgcluster"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// TestNotificationsLost warns who listens when the listener's connection was lost, in words and, if asked for, by a notification on
// each channel; nobody else hears of it. When the primary is another server, sessions listen there.
func TestNotificationsLost(t *testing.T) {
	t.Parallel()
	pg, other := pgcluster.Start(t, pgcluster.Options{}), pgcluster.Start(t, pgcluster.Options{})
	set := stage.Sharing(pg.Primary, 3)
	set.PoolProfiles["default"].ListenLost = "some lost"
	p, addr := stage.Start(t, set)
	a, b := stage.NewEar(t, addr), stage.NewEar(t, addr)
	for _, sql := range []string{"LISTEN x", "LISTEN y", "BEGIN", "LISTEN z", "ROLLBACK"} {
		stage.Want(t, a.PgConn, sql, "")
	}
	stage.Want(t, b.PgConn, "SELECT 1", "1")
	pg.Primary.Exec(t, "SELECT pg_terminate_backend(pid) FROM ("+stage.ListeningPIDs+") l")
	if got := a.Until(t, "y:some lost"); got != "01000 x:some lost y:some lost" {
		t.Errorf("heard %s", got)
	}
	pg.Primary.Exec(t, "NOTIFY y, 'on'")
	if got := a.Until(t, "y:on"); got != "y:on" {
		t.Errorf("heard %s", got)
	}

	moved := stage.Sharing(other.Primary, 3)
	if _, err := p.Apply(moved, nil); err != nil {
		t.Fatal(err)
	}
	probe := stage.Connect(t, other.Primary.Addr(), "postgres")
	stage.Eventually(t, time.Minute, "it listens at the new primary", func() bool { return stage.Ask(probe, "SELECT count(*) FROM ("+stage.Listens+") l") == "1" })
	other.Primary.Exec(t, "NOTIFY x, 'here'")
	said := a.Until(t, "x:here")
	if said != "01000 x:here" && said != "x:here" {
		t.Errorf("heard %s", said)
	}
	stage.Want(t, b.PgConn, "SELECT 1", "1")
	if len(b.Heard) > 0 {
		t.Errorf("who does not listen heard %v", b.Heard)
	}
}

// TestSlowListener does not read: what is kept for it is bounded, nobody else waits for it, and when it reads again it hears where
// something is missing.
func TestSlowListener(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{})
	p, addr := stage.Start(t, stage.Sharing(pg.Primary, 2))
	if gap := slowly(t, pg.Primary, p, addr); gap != "" {
		t.Error(gap)
	}
	if m := p.Metrics().Counted; m.Unnotified == 0 {
		t.Error("nothing that was dropped is counted")
	}
}

// slowly has a client listen that reads nothing while 42 MB of notifications come: more than the sockets and the queue take. It returns
// what the client hears wrongly when it reads at last.
func slowly(t testing.TB, pg *pgcluster.Server, p *assembly.Proxy, addr string) (wrong string) {
	t.Helper()
	slow, fast := stage.NewEar(t, addr), stage.NewEar(t, addr)
	stage.Want(t, slow.PgConn, "LISTEN news", "")
	stage.Want(t, fast.PgConn, "LISTEN news", "")
	const rounds, each = 60, 100
	for i := range rounds {
		pg.Exec(t, fmt.Sprintf("SELECT pg_notify('news', rpad(n::text, 7000)) FROM generate_series(%d, %d) n", i*each, i*each+each-1))
		pg.Exec(t, fmt.Sprintf("NOTIFY news, 'round %d'", i))
		if got := fast.Until(t, fmt.Sprintf("news:round %d", i)); strings.Contains(got, "01000") {
			t.Fatal("who reads misses something")
		}
	}
	if m := p.Metrics().Counted; m.Notified+channels.Most/7000 < rounds*(each+1) || m.Notified > 2*rounds*(each+1)-channels.Most/7000 {
		t.Errorf("%d notifications are sent", m.Notified)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for n := 0; n < rounds*each && !slices.Contains(slow.Heard[n:], "01000"); n = len(slow.Heard) {
		if err := slow.WaitForNotification(ctx); err != nil {
			t.Fatalf("%v behind %d notifications", err, len(slow.Heard))
		}
		if m := p.Metrics().Counted; m.Notified+m.Unnotified >= 2*rounds*(each+1) { // there is room again
			break
		}
	}
	pg.Exec(t, fmt.Sprintf("NOTIFY news, '%d'", rounds*each), "NOTIFY news, 'the last'")
	last, lost := -1, false
	for _, word := range strings.Fields(slow.Until(t, "news:the last")) {
		payload, ok := strings.CutPrefix(word, "news:")
		n, err := strconv.Atoi(payload)
		switch {
		case word == "01000":
			lost = true
		case !ok || err != nil:
		case n != last+1 && !lost:
			return fmt.Sprintf("%d comes behind %d, without a warning", n, last)
		default:
			last, lost = n, false
		}
	}
	return ""
}

// TestListenFailed has a listener that cannot connect: LISTEN keeps the server connection then. What was prepared to be left to the
// listener is refused.
func TestListenFailed(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{})
	pg.Primary.Exec(t, "CREATE ROLE u LOGIN")
	p, addr := stage.Start(t, stage.Sharing(pg.Primary, 1))
	c := stage.Connect(t, addr, "u")
	stage.Prepare(t, c, "l", "LISTEN a")
	stage.Eventually(t, time.Minute, "nobody listens", func() bool { return len(pg.Primary.Query(t, stage.ListeningPIDs)) == 1 })
	pg.Primary.Exec(t, "ALTER ROLE u CONNECTION LIMIT 1", "SELECT pg_terminate_backend(pid) FROM ("+stage.ListeningPIDs+") l")
	stage.Eventually(t, time.Minute, "it is refused", func() bool {
		return execute2(c, "l") == "08001 LISTEN is not possible now: the connection that listens for all sessions is not there"
	})
	if n := pinned(p); n != 0 {
		t.Errorf("%d sessions came to keep their server connection", n)
	}
	stage.Want(t, c, "LISTEN a", "")
	stage.Eventually(t, time.Minute, "it keeps its server connection", func() bool { return pinned(p) == 1 })
	pg.Primary.Exec(t, "NOTIFY a")
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := c.WaitForNotification(ctx); err != nil {
		t.Error(err)
	}
	stage.Want(t, c, "UNLISTEN *", "")

	set := stage.Sharing(pg.Primary, 1) // and with pin = error it is refused
	set.PoolProfiles["default"].Pin = heliosv1.Pin_PIN_ERROR
	if _, err := p.Apply(set, nil); err != nil {
		t.Fatal(err)
	}
	stage.Want(t, c, "LISTEN a", "0A000 this statement would keep the server connection: LISTEN")
	pg.Primary.Exec(t, "ALTER ROLE u CONNECTION LIMIT 5")
	stage.Eventually(t, time.Minute, "the listener can connect", func() bool { return stage.Ask(c, "LISTEN a") == "" })
}

// execute2 is execute for a statement without rows.
func execute2(c *pgconn.PgConn, name string) string {
	err := c.ExecPrepared(context.Background(), name, nil, nil, nil).Read().Err
	var pe *pgconn.PgError
	if stage.AsPg(err, &pe) {
		return pe.Code + " " + pe.Message
	}
	return fmt.Sprint(err)
}

// TestListeningChannels tells a session what it listens to, by having its server connection listen too: nothing is heard twice, and
// nothing is lost.
func TestListeningChannels(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{})
	for _, extended := range []bool{false, true} {
		p, addr := stage.Start(t, stage.Sharing(pg.Primary, 2))
		e := stage.NewEar(t, addr)
		const channels = "SELECT string_agg(c, ' ' ORDER BY c) FROM pg_listening_channels() c"
		tell := func(want string) {
			t.Helper()
			got := ""
			if extended {
				r := e.ExecParams(context.Background(), channels, nil, nil, nil, nil).Read()
				if r.Err != nil {
					t.Fatal(r.Err)
				}
				got = string(r.Rows[0][0])
			} else {
				got = stage.Ask(e.PgConn, channels)
			}
			if got != want {
				t.Errorf("listens to %q, want %q", got, want)
			}
		}
		hears := func(want string) {
			t.Helper()
			// What the server connection alone listens to may come before the others, or behind them.
			pg.Primary.Exec(t, "NOTIFY a", "NOTIFY b", "NOTIFY c", "NOTIFY fence")
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			for len(e.Heard) <= strings.Count(want, " ") {
				if err := e.WaitForNotification(ctx); err != nil {
					t.Fatalf("heard %v, want %s: %v", e.Heard, want, err)
				}
			}
			pg.Primary.Exec(t, "NOTIFY fence, 'behind'")
			got := strings.Fields(e.Until(t, "fence:behind"))
			slices.Sort(got)
			if got := strings.Join(got, " "); got != want+" fence:behind" {
				t.Errorf("heard %s, want %s", got, want)
			}
		}
		tell("")
		if n := pinned(p); n != 0 {
			t.Errorf("a session that listens to nothing keeps its server connection")
		}
		for _, sql := range []string{"LISTEN a", "LISTEN b", "BEGIN"} {
			stage.Want(t, e.PgConn, sql, "")
		}
		if got := stage.Ask(e.PgConn, channels); got != "0A000 pg_listening_channels() cannot be asked within a transaction of a session that listens" {
			t.Errorf("within a transaction: %s", got)
		}
		stage.Want(t, e.PgConn, "ROLLBACK", "")
		tell("a b")
		stage.Eventually(t, time.Minute, "it keeps its server connection", func() bool { return pinned(p) == 1 })
		stage.Want(t, e.PgConn, "LISTEN fence", "")
		tell("a b fence")
		hears("a: b: fence:")
		stage.Want(t, e.PgConn, "UNLISTEN a", "")
		tell("b fence")
		stage.Want(t, e.PgConn, "LISTEN c", "")
		hears("b: c: fence:")
		stage.Want(t, e.PgConn, "UNLISTEN *", "")
		tell("")
		stage.Want(t, e.PgConn, "LISTEN fence", "")
		hears("fence:")
		if s := p.Metrics().Listeners[0]; s.Subscriptions != 1 {
			t.Errorf("%d subscriptions", s.Subscriptions)
		}
	}
}
