package listen

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/heliosproxy/heliosproxy/dataplane/backend"
	"github.com/heliosproxy/heliosproxy/dataplane/reactor"
	"github.com/heliosproxy/heliosproxy/pkg/pgwire"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgcluster"
)

// ear is a session that notes what it is told, each thing in a word.
type ear struct {
	m     *Member
	loop  *reactor.Loop
	heard chan string
}

func (e *ear) Answered(channel string, serial uint64, encoding string, err error) {
	if err != nil {
		encoding = err.Error()
	}
	e.heard <- fmt.Sprintf("%s %d %s", channel, serial, encoding)
}

func (e *ear) Notified(channel string, message []byte) {
	_, name, payload, ok := pgwire.ReadNotification(message[pgwire.HeaderSize:])
	e.heard <- fmt.Sprintf("%s: %s %v", name, payload, ok && string(name) == channel)
}

func (e *ear) Lost() { e.heard <- "lost" }

// do does something on the loop of the session.
func (e *ear) do(f func(m *Member)) { e.loop.PostWait(func() { f(e.m) }) }

func (e *ear) listen(name string) { e.do(func(m *Member) { m.Listen(name) }) }

// hears waits for what the session is told next.
func (e *ear) hears(t testing.TB, want ...string) {
	t.Helper()
	for _, w := range want {
		select {
		case got := <-e.heard:
			if got != w && !(strings.HasSuffix(w, "…") && strings.HasPrefix(got, strings.TrimSuffix(w, "…"))) {
				t.Fatalf("the session is told %q, want %q", got, w)
			}
		case <-time.After(time.Minute):
			t.Fatalf("the session is told nothing, want %q", w)
		}
	}
}

// quiet says that the session has been told all.
func (e *ear) quiet(t testing.TB) {
	t.Helper()
	select {
	case got := <-e.heard:
		t.Errorf("the session is told %q", got)
	default:
	}
}

// start runs a listener on the first of two loops for the length of a test; ears are on both in turn.
func start(t testing.TB, target *backend.Target, o Options) (l *Listener, join func() *ear) {
	t.Helper()
	g, err := reactor.NewGroup(2, reactor.Options{Poison: true})
	if err != nil {
		t.Fatal(err)
	}
	l = New(g.Loops()[0], target, o)
	g.Start()
	t.Cleanup(g.Stop)
	n := 0
	return l, func() *ear {
		e := &ear{loop: g.Loops()[n%2], heard: make(chan string, 1<<16)}
		n++
		e.m = l.Join(e.loop, e)
		return e
	}
}

func target(s *pgcluster.Server) *backend.Target {
	return &backend.Target{
		Node: "n1", Host: s.Host(), Port: s.Port(), Database: "postgres", User: "postgres", Secret: backend.NewSecret("postgres", ""),
		Timeout: 10 * time.Second, MaxStatements: 10, MaxStatementBytes: 1 << 20,
	}
}

// awaitStats waits until the listener's figures are as wanted.
func awaitStats(t testing.TB, l *Listener, what string, ok func(Stats) bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	limit := time.After(time.Minute)
	for !ok(l.Stats()) {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("%s: %+v", what, l.Stats())
		}
	}
}

const listeners = "SELECT pid FROM pg_stat_activity WHERE application_name = '" + ApplicationName + "'"

// TestListen listens for several sessions on two loops over one connection, each channel for as long as somebody wants it.
func TestListen(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{}).Primary
	l, join := start(t, target(pg), Options{Linger: 50 * time.Millisecond})
	a, b := join(), join()
	a.listen("news")
	a.hears(t, "news 1 UTF8")
	pg.Exec(t, "NOTIFY news, 'for a'")
	a.hears(t, "news: for a true")
	b.listen("news")
	b.hears(t, "news 1 UTF8")
	const odd = `A "b"; c`
	a.listen(odd)
	a.hears(t, odd+" 2 UTF8")
	pg.Exec(t, "SELECT pg_notify('news', i::text) FROM generate_series(1, 2000) i", "SELECT pg_notify('A \"b\"; c', 'x')")
	for i := range 2000 {
		a.hears(t, fmt.Sprintf("news: %d true", i+1))
		b.hears(t, fmt.Sprintf("news: %d true", i+1))
	}
	a.hears(t, odd+": x true")
	if rows := pg.Query(t, listeners); len(rows) != 1 {
		t.Errorf("%d connections listen", len(rows))
	}
	if s := l.Stats(); s.Channels != 2 || s.Subscriptions != 3 || s.Connections != 1 || !s.Connected || s.Notifications != 2002 {
		t.Errorf("two sessions listen: %+v", s)
	}

	a.do(func(m *Member) { m.Unlisten("news") })
	a.listen("other")
	a.hears(t, "other 3 UTF8") // what was asked before is done
	pg.Exec(t, "NOTIFY news, 'for b'")
	b.hears(t, "news: for b true")
	b.do(func(m *Member) { m.Leave() })
	awaitStats(t, l, "b has left", func(s Stats) bool { return s.Channels == 2 })
	pg.Exec(t, "NOTIFY news, 'for nobody'", "NOTIFY other, 'the last'")
	a.hears(t, "other: the last true")
	if s := l.Stats(); s.Notifications != 2004 {
		t.Errorf("%d notifications came, one of them for nobody", s.Notifications)
	}
	a.quiet(t)
	b.quiet(t)
	a.do(func(m *Member) { m.Leave() })
	awaitStats(t, l, "nobody listens", func(s Stats) bool { return s.Channels == 0 && s.Subscriptions == 0 && !s.Connected })
	c := join()
	c.listen("news")
	c.hears(t, "news 1 UTF8")
	if s := l.Stats(); s.Connections != 2 || s.Losses != 0 {
		t.Errorf("somebody listens again: %+v", s)
	}
	l.Close()
	awaitStats(t, l, "it is closed", func(s Stats) bool { return !s.Connected })
	c.listen("more")
	c.hears(t, "more 2 the listener was closed")
}

// TestCatch answers behind all notifications that were sent before, and at once where none can be on its way.
func TestCatch(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{}).Primary
	l, join := start(t, target(pg), Options{})
	a := join()
	a.do(func(m *Member) { m.Catch() })
	a.hears(t, " 1 ")
	a.listen("news")
	a.hears(t, "news 2 UTF8")
	for i := range 200 {
		pg.Exec(t, "NOTIFY news, 'x'")
		a.do(func(m *Member) { m.Catch() })
		a.hears(t, "news: x true", fmt.Sprintf(" %d UTF8", i+3))
	}
	l.Close()
	a.do(func(m *Member) { m.Catch() })
	awaitStats(t, l, "it is closed", func(s Stats) bool { return !s.Connected })
	a.hears(t, " 203 …")
	a.quiet(t)
}

// TestBefore tells a session nothing of what was sent before it has asked, though others hear that.
func TestBefore(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{}).Primary
	_, join := start(t, target(pg), Options{})
	a := join()
	a.listen("news")
	a.hears(t, "news 1 UTF8")
	conn, err := pgconn.Connect(context.Background(), pg.DSN("postgres", "postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	say := func(payload string) {
		if _, err := conn.Exec(context.Background(), "SELECT pg_notify('news', '"+payload+"')").ReadAll(); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 200 {
		before, after := fmt.Sprint("before ", i), fmt.Sprint("after ", i)
		b := join()
		say(before)
		b.listen("news")
		b.hears(t, "news 1 UTF8")
		say(after)
		b.hears(t, "news: "+after+" true")
		a.hears(t, "news: "+before+" true", "news: "+after+" true")
		b.do(func(m *Member) { m.Leave() })
	}
}

// TestReconnect loses the connection: whoever listens is told so once, when the server listens again, and hears all that comes
// then.
func TestReconnect(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{}).Primary
	l, join := start(t, target(pg), Options{})
	a, b, c := join(), join(), join()
	a.listen("x")
	a.listen("y")
	a.hears(t, "x 1 UTF8", "y 2 UTF8")
	b.listen("y")
	b.hears(t, "y 1 UTF8")
	for i := range 3 {
		pg.Exec(t, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = '"+ApplicationName+"'")
		a.hears(t, "lost")
		b.hears(t, "lost")
		pg.Exec(t, fmt.Sprintf("NOTIFY x, '%d'", i), fmt.Sprintf("NOTIFY y, '%d'", i))
		a.hears(t, fmt.Sprintf("x: %d true", i), fmt.Sprintf("y: %d true", i))
		b.hears(t, fmt.Sprintf("y: %d true", i))
	}
	a.quiet(t)
	c.quiet(t)
	if s := l.Stats(); s.Connections != 4 || s.Losses != 3 {
		t.Errorf("after three losses: %+v", s)
	}
}

// TestSilence notices a server that is gone without a word.
func TestSilence(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{}).Primary
	l, join := start(t, target(pg), Options{Ping: 50 * time.Millisecond, Patience: 500 * time.Millisecond})
	a := join()
	a.listen("x")
	a.hears(t, "x 1 UTF8")
	pg.Pause(t)
	awaitStats(t, l, "the server is frozen", func(s Stats) bool { return s.Losses == 1 })
	b := join()
	b.listen("x")
	b.hears(t, "x 1 the server…")
	pg.Resume(t)
	a.hears(t, "lost")
}

// TestRefused answers at once where the server refuses or is not there, and goes on trying.
func TestRefused(t *testing.T) {
	t.Parallel()
	cluster := pgcluster.Start(t, pgcluster.Options{Standbys: 1})
	_, join := start(t, target(cluster.Standbys[0]), Options{})
	a := join()
	a.listen("x")
	a.hears(t, "x 1 ERROR: cannot execute LISTEN during recovery (SQLSTATE 25006)")

	nowhere := target(cluster.Primary)
	nowhere.Port = 1
	l, join := start(t, nowhere, Options{Patience: time.Hour})
	a = join()
	for i := range 5 {
		a.listen("x")
		a.hears(t, fmt.Sprintf("x %d …", i+1))
	}
	if s := l.Stats(); s.Channels != 0 || s.Subscriptions != 0 {
		t.Errorf("nobody was let listen: %+v", s)
	}
	l.Use(target(cluster.Primary))
	awaitStats(t, l, "the server is there", func(s Stats) bool {
		a.listen("x")
		<-a.heard
		return s.Connected
	})
}

// TestKeep takes sessions over from another listener: they are told that they may have missed something, and nobody else is.
func TestKeep(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{}).Primary
	_, join := start(t, target(pg), Options{})
	a, b, c := join(), join(), join()
	a.listen("x")
	a.hears(t, "x 1 UTF8")
	b.do(func(m *Member) { m.Keep("x", "y") })
	b.hears(t, "lost")
	pg.Exec(t, "NOTIFY y, '1'", "NOTIFY x, '2'")
	b.hears(t, "y: 1 true", "x: 2 true")
	a.hears(t, "x: 2 true")
	c.do(func(m *Member) { m.Keep("x"); m.Leave() })
	a.listen("z")
	a.hears(t, "z 2 UTF8")
	a.quiet(t)
	b.quiet(t)
	c.quiet(t)
}
