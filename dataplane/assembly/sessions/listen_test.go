package sessions

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/heliosproxy/heliosproxy/dataplane/assembly"
	"github.com/heliosproxy/heliosproxy/dataplane/assembly/stage"
	"github.com/heliosproxy/heliosproxy/dataplane/listen"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgcluster"
)

// pinned counts the sessions that came to keep their server connection.
func pinned(p *assembly.Proxy) (n uint64) {
	m := p.Metrics()
	for _, k := range m.Counted.Pinned {
		n += k
	}
	return n
}

// TestListenHundred has 100 sessions listen while there are three server connections. Of 10,000 notifications, while the connection
// that listens is lost once, none is lost without a warning, and the order on each channel is kept.
func TestListenHundred(t *testing.T) {
	t.Parallel()
	const sessions, channels, notifications = 100, 10, 10_000
	pg := pgcluster.Start(t, pgcluster.Options{})
	p, addr := stage.Start(t, stage.Sharing(pg.Primary, 3), func(o *assembly.Options) { o.Loops = 2 })
	ears := make([]*stage.Ear, sessions)
	var wg sync.WaitGroup
	for i := range ears {
		ears[i] = stage.NewEar(t, addr)
		wg.Go(func() {
			for _, ch := range []int{i % channels, (i + i/channels + 1) % channels} {
				if got := stage.Ask(ears[i].PgConn, fmt.Sprintf("LISTEN c%d", ch)); got != "" {
					t.Errorf("LISTEN: %s", got)
				}
			}
		})
	}
	wg.Wait()
	say := func(from, to int) {
		pg.Primary.Exec(t, fmt.Sprintf("DO $$BEGIN FOR i IN %d..%d LOOP PERFORM pg_notify('c' || i %% %d, i::text); IF i %% 7 = 0 THEN COMMIT; END IF; END LOOP; END$$", from, to-1, channels))
	}
	say(0, notifications/2)
	var said sync.WaitGroup
	said.Go(func() { say(notifications/2, notifications) })
	pg.Primary.Exec(t, "SELECT pg_terminate_backend(pid) FROM ("+stage.ListeningPIDs+") l")
	said.Wait()
	stage.Eventually(t, time.Minute, "the listener listens again", func() bool {
		return len(pg.Primary.Query(t, stage.Listens)) == 1 && p.Metrics().Listeners[0].Losses == 1
	})
	for i := range channels { // what is said to each channel last is heard by everybody
		for k := range 5 {
			pg.Primary.Exec(t, fmt.Sprintf("NOTIFY c%d, 'end %d'", i, k))
		}
	}
	warned := 0
	for i, e := range ears {
		wg.Go(func() { inOrder(t, e, i, channels, notifications) })
	}
	wg.Wait()
	for _, e := range ears {
		if len(e.Heard) > 0 {
			warned++
		}
	}
	if warned != sessions {
		t.Errorf("%d of %d sessions were warned", warned, sessions)
	}
	if n := pinned(p); n != 0 {
		t.Errorf("%d sessions came to keep their server connection", n)
	}
	if rows := pg.Primary.Query(t, "SELECT count(*) FROM pg_stat_activity WHERE application_name <> '"+listen.ApplicationName+"' AND client_port <> -1 AND backend_type = 'client backend' AND query <> ''"); rows[0][0] > "5" {
		t.Errorf("%s server connections", rows[0][0])
	}
}

// inOrder reads what the i-th session hears, to its end: each channel in order, without a gap where there was no warning. What is left
// in what was heard says whether it was warned.
func inOrder(t *testing.T, e *stage.Ear, i, channels, notifications int) {
	mine := map[string]int{} // the last number of each channel
	for _, ch := range []int{i % channels, (i + i/channels + 1) % channels} {
		mine[fmt.Sprintf("c%d", ch)] = ch - channels
	}
	ends, warned, fresh := map[string]bool{}, false, map[string]bool{}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	for len(ends) < len(mine) {
		if len(e.Heard) == 0 {
			if err := e.WaitForNotification(ctx); err != nil {
				t.Errorf("session %d: %v", i, err)
				return
			}
			continue
		}
		word := e.Heard[0]
		e.Heard = e.Heard[1:]
		if word == "01000" {
			warned = true
			for ch := range mine {
				fresh[ch] = true
			}
			continue
		}
		ch, payload, _ := strings.Cut(word, ":")
		last, ok := mine[ch]
		if !ok {
			t.Errorf("session %d hears %s, which is not its channel", i, word)
			return
		}
		n, err := strconv.Atoi(payload)
		if err != nil { // the end
			if last < notifications-channels && !fresh[ch] {
				t.Errorf("session %d: channel %s ends at %d, without a warning", i, ch, last)
			}
			ends[ch] = true
			continue
		}
		if n <= last || n > last+channels && !fresh[ch] {
			t.Errorf("session %d: channel %s goes on with %d behind %d, without a warning", i, ch, n, last)
			return
		}
		mine[ch], fresh[ch] = n, false
	}
	e.Heard = nil
	if warned {
		e.Heard = []string{"warned"}
	}
}

// TestListenTransactions listens and does not in transactions that end in all ways, over both protocols: what is heard afterwards is
// what PostgreSQL would let be heard.
func TestListenTransactions(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{})
	p, addr := stage.Start(t, stage.Sharing(pg.Primary, 2))
	for _, c := range []struct {
		script string // one statement a line
		hears  string // of a, b, c
		pins   bool
	}{
		{"LISTEN a", "a", false},
		{"LISTEN a\nLISTEN b\nLISTEN a", "a b", false},
		{"LISTEN \"a\" /* x */ ; -- y", "a", false},
		{"LISTEN a\nUNLISTEN a", "", false},
		{"LISTEN a\nLISTEN b\nUNLISTEN *\nLISTEN c", "c", false},
		{"LISTEN a\nDISCARD ALL\nLISTEN c", "c", false},
		{"BEGIN\nLISTEN a\nCOMMIT", "a", false},
		{"BEGIN\nLISTEN a\nROLLBACK", "", false},
		{"BEGIN\nLISTEN a\nSELECT 1/0\nLISTEN b\nCOMMIT\nLISTEN c", "c", false},
		{"BEGIN\nSELECT 1/0\nLISTEN a\nCOMMIT", "", false},
		{"BEGIN\nLISTEN a\nCOMMIT AND CHAIN\nLISTEN b\nROLLBACK", "a", false},
		{"BEGIN\nLISTEN a\nROLLBACK AND CHAIN\nLISTEN b\nCOMMIT", "b", false},
		{"LISTEN a\nBEGIN\nUNLISTEN a\nLISTEN b\nROLLBACK", "a", false},
		{"LISTEN a\nBEGIN\nUNLISTEN a\nLISTEN b\nCOMMIT", "b", false},
		{"BEGIN\nLISTEN a\nSAVEPOINT s\nSELECT 1/0\nROLLBACK TO s\nCOMMIT", "a", false},
		{"BEGIN\nLISTEN a\nSAVEPOINT s\nLISTEN b\nROLLBACK TO SAVEPOINT s\nLISTEN c\nCOMMIT", "a c", false},
		{"BEGIN\nLISTEN a\nSAVEPOINT s\nLISTEN b\nRELEASE s\nCOMMIT", "a b", false},
		{"LISTEN a\nBEGIN\nSAVEPOINT s\nUNLISTEN a\nROLLBACK TO s\nCOMMIT", "a", false},
		{"LISTEN a\nBEGIN\nSAVEPOINT s\nUNLISTEN a\nSAVEPOINT t\nROLLBACK TO t\nCOMMIT", "", false},
		{"BEGIN\nSAVEPOINT s\nLISTEN a\nROLLBACK TO s\nLISTEN b\nCOMMIT", "b", true}, // nobody has followed the savepoint
		{"LISTEN a; SELECT 1", "a", true},
		{"LISTEN 'a'\nLISTEN select\nLISTEN\nLISTEN b", "b", false},
		{"LISTEN a\nLISTEN b; ROLLBACK", "a", false},
	} {
		for _, extended := range []bool{false, true} {
			if extended && strings.Contains(c.script, "; ") && !strings.Contains(c.script, "--") {
				continue
			}
			name := fmt.Sprintf("%s, extended %v", strings.ReplaceAll(c.script, "\n", "; "), extended)
			before := pinned(p)
			e := stage.NewEar(t, addr)
			for _, sql := range append(strings.Split(c.script, "\n"), "LISTEN fence") {
				direct := ""
				if extended {
					r := e.ExecParams(context.Background(), sql, nil, nil, nil, nil).Read()
					if direct = r.CommandTag.String(); r.Err == nil && strings.HasPrefix(sql, "LISTEN") && direct != "LISTEN" {
						t.Errorf("%s: %s is answered with %s", name, sql, direct)
					}
					continue
				}
				rs, err := e.Exec(context.Background(), sql).ReadAll()
				if err == nil && strings.HasPrefix(sql, "LISTEN") && rs[0].CommandTag.String() != "LISTEN" {
					t.Errorf("%s: %s is answered with %s", name, sql, rs[0].CommandTag)
				}
			}
			e.Heard = nil
			pg.Primary.Exec(t, "NOTIFY a, 'x'", "NOTIFY b, 'x'", "NOTIFY c, 'x'", "NOTIFY fence")
			want := "fence:"
			for _, ch := range []string{"c", "b", "a"} {
				if strings.Contains(c.hears, ch) {
					want = ch + ":x " + want
				}
			}
			if got := e.Until(t, "fence:"); got != want {
				t.Errorf("%s: heard %s, want %s", name, got, want)
			}
			stage.Eventually(t, time.Minute, name+": it keeps its server connection, or does not", func() bool { return pinned(p) > before == c.pins })
			e.Close(context.Background())
		}
	}
}

// commits has a listen in a transaction, and returns what it hears of what is said before its COMMIT and behind it. b tells when it
// could have heard it.
func commits(t testing.TB, pg *pgcluster.Server, a, b *stage.Ear) string {
	t.Helper()
	stage.Want(t, b.PgConn, "LISTEN news", "")
	stage.Want(t, a.PgConn, "BEGIN", "")
	stage.Want(t, a.PgConn, "LISTEN news", "")
	pg.Exec(t, "NOTIFY news, 'before'")
	b.Until(t, "news:before") // and a has it too, or will not
	stage.Want(t, a.PgConn, "SELECT 1", "1")
	stage.Want(t, a.PgConn, "COMMIT", "")
	pg.Exec(t, "NOTIFY news, 'behind'")
	return a.Until(t, "news:behind")
}

// TestListenMoments delivers nothing within a transaction, nothing from before the COMMIT, and everything from behind it.
func TestListenMoments(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{})
	p, addr := stage.Start(t, stage.Sharing(pg.Primary, 2))
	a, b := stage.NewEar(t, addr), stage.NewEar(t, addr)
	if got := commits(t, pg.Primary, a, b); got != "news:behind" {
		t.Errorf("heard %s", got)
	}
	stage.Want(t, a.PgConn, "BEGIN", "")
	pg.Primary.Exec(t, "NOTIFY news, 'within'")
	b.Until(t, "news:within")
	for range 3 {
		stage.Want(t, a.PgConn, "SELECT 1", "1")
	}
	if len(a.Heard) > 0 {
		t.Errorf("heard %v within a transaction", a.Heard)
	}
	stage.Want(t, a.PgConn, "ROLLBACK", "")
	a.Until(t, "news:within")

	stage.Want(t, a.PgConn, "BEGIN", "") // one's own
	stage.Want(t, a.PgConn, "NOTIFY news, 'own'", "")
	stage.Want(t, a.PgConn, "COMMIT", "")
	a.Until(t, "news:own")
	stage.Want(t, a.PgConn, "SET client_encoding = 'LATIN1'", "") // what it cannot read is lost, and that is told
	pg.Primary.Exec(t, "NOTIFY news, 'é'", "NOTIFY news, 'e'")
	if got := a.Until(t, "news:e"); got != "01000 news:e" {
		t.Errorf("heard %s", got)
	}
	stage.Want(t, a.PgConn, "LISTEN more", "") // and here its own server connection can do better
	stage.Eventually(t, time.Minute, "it keeps its server connection", func() bool { return pinned(p) == 1 })
	pg.Primary.Exec(t, "NOTIFY more, 'é'")
	a.Until(t, "more:\xe9")
}

// TestUnlisten delivers what was sent before an UNLISTEN ahead of its answer, in the simple and in the extended protocol.
func TestUnlisten(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{})
	_, addr := stage.Start(t, stage.Sharing(pg.Primary, 1))
	a, b := stage.NewEar(t, addr), stage.NewEar(t, addr, "application_name", "b")
	for i := range 100 {
		stage.Want(t, a.PgConn, "LISTEN news", "")
		if i%2 == 0 { // the server connection has to be brought over
			stage.Want(t, b.PgConn, "SELECT 1", "1")
		}
		pg.Primary.Exec(t, "NOTIFY news, 'before'")
		var err error
		switch i % 3 {
		case 0:
			_, err = a.Exec(context.Background(), "UNLISTEN news").ReadAll()
		case 1:
			_, err = a.ExecParams(context.Background(), "UNLISTEN *", nil, nil, nil, nil).Close()
		case 2:
			_, err = a.Exec(context.Background(), "DISCARD ALL").ReadAll()
		}
		if err != nil {
			t.Fatal(err)
		}
		if len(a.Heard) != 1 {
			t.Fatalf("round %d: heard %v before the answer", i, a.Heard)
		}
		a.Heard = nil
		pg.Primary.Exec(t, "NOTIFY news, 'behind'")
	}
	stage.Want(t, a.PgConn, "SELECT 1", "1")
	if len(a.Heard) > 0 {
		t.Errorf("heard %v behind UNLISTEN", a.Heard)
	}
}

// TestListenPrepared executes LISTEN that was prepared: when the listener has to be asked again, and in pipelines.
func TestListenPrepared(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{})
	p, addr := stage.Start(t, stage.Sharing(pg.Primary, 2))
	e, ctx := stage.NewEar(t, addr), context.Background()
	stage.Prepare(t, e.PgConn, "la", "LISTEN a")
	stage.Prepare(t, e.PgConn, "lb", "LISTEN b")
	stage.Prepare(t, e.PgConn, "ua", "UNLISTEN a")
	stage.Prepare(t, e.PgConn, "sp", "SAVEPOINT s")
	stage.Prepare(t, e.PgConn, "to", "ROLLBACK TO s")
	run := func(names ...string) {
		t.Helper()
		for _, n := range names {
			var err error
			if len(n) > 2 {
				_, err = e.Exec(ctx, n).ReadAll()
			} else {
				err = e.ExecPrepared(ctx, n, nil, nil, nil).Read().Err
			}
			if err != nil {
				t.Errorf("%s: %v", n, err)
			}
		}
	}
	hears := func(want string) {
		t.Helper()
		pg.Primary.Exec(t, "NOTIFY a", "NOTIFY b", "NOTIFY c")
		if got := e.Until(t, "c:"); got != want {
			t.Errorf("heard %s, want %s", got, want)
		}
	}
	run("LISTEN c", "la")
	hears("a: c:")
	run("ua")
	hears("c:")
	run("BEGIN", "la", "sp", "lb", "ua", "to", "COMMIT")
	hears("a: c:")

	pipe := func(names ...string) string {
		b := &pgconn.Batch{}
		for _, n := range names {
			if len(n) > 2 {
				b.ExecParams(n, nil, nil, nil, nil)
			} else {
				b.ExecPrepared(n, nil, nil, nil)
			}
		}
		_, err := e.ExecBatch(ctx, b).ReadAll()
		return fmt.Sprint(err)
	}
	if got := pipe("ua", "lb", "SELECT 1/0"); !strings.Contains(got, "22012") {
		t.Error(got)
	}
	hears("a: c:")
	if got := pipe("ua", "SELECT 1", "lb", "SELECT 2", "LISTEN d"); got != "<nil>" {
		t.Error(got)
	}
	hears("b: c:")
	if n := pinned(p); n != 0 {
		t.Errorf("%d sessions came to keep their server connection", n)
	}
}
