package pool

import (
	"errors"
	"io"
	"net"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/heliosproxy/heliosproxy/dataplane/backend"
	"github.com/heliosproxy/heliosproxy/dataplane/reactor"
	"github.com/heliosproxy/heliosproxy/dataplane/state/settings"
	"github.com/heliosproxy/heliosproxy/pkg/pgerr"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgscript"
)

// walker is a task that walks once.
type walker struct {
	reactor.Task
	t    testing.TB
	walk func(t *reactor.Task)
	done chan struct{}
}

func (w *walker) Serve(t *reactor.Task) {
	w.walk(t)
	w.End()
	close(w.done)
}

func (w *walker) Panicked(_ *reactor.Task, v any, stack []byte) {
	w.t.Errorf("walk panicked: %v\n%s", v, stack)
	close(w.done)
}

// begin lets f walk on l. It is done when the channel is closed.
func begin(t testing.TB, l *reactor.Loop, f func(t *reactor.Task)) *walker {
	w := &walker{t: t, walk: f, done: make(chan struct{})}
	l.Post(func() {
		w.Init(l, w)
		w.Wake()
	})
	return w
}

// loops makes n loops, which run for the length of the test.
func loops(t testing.TB, n int) []*reactor.Loop {
	t.Helper()
	g, err := reactor.NewGroup(n, reactor.Options{Poison: true})
	if err != nil {
		t.Fatal(err)
	}
	g.Start()
	t.Cleanup(g.Stop)
	return g.Loops()
}

// target is the server at addr.
func target(t testing.TB, addr string) *backend.Target {
	t.Helper()
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	return &backend.Target{
		Node: "n1", Host: host, Port: n, Database: "d", User: "u", Secret: backend.NewSecret("u", ""),
		Timeout: 10 * time.Second, MaxStatements: 10, MaxStatementBytes: 1 << 20,
	}
}

// server answers every query, and counts its connections.
type server struct {
	*pgscript.Server
	open, most, born atomic.Int32
	bye              chan struct{} // if not nil, connections that were said goodbye to are closed when it is
	conns            chan *pgscript.Conn
}

func serve(t testing.TB, bye chan struct{}) *server {
	s := &server{bye: bye, conns: make(chan *pgscript.Conn, 1000)}
	s.Server = pgscript.Serve(t, s.script)
	return s
}

func (s *server) script(c *pgscript.Conn) error {
	now := s.open.Add(1)
	defer s.open.Add(-1)
	for m := s.most.Load(); now > m && !s.most.CompareAndSwap(m, now); m = s.most.Load() {
	}
	if _, err := c.Welcome(uint32(s.born.Add(1)), []byte("1234")); err != nil {
		return err
	}
	s.conns <- c
	for {
		m, err := c.Receive()
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, net.ErrClosed):
			return nil
		case err != nil:
			return err
		case m.Type == 'X':
			if s.bye != nil {
				<-s.bye
			}
			return nil
		}
		if err := c.Send(pgscript.CommandComplete("SELECT 1"), pgscript.ReadyForQuery('I')); err != nil {
			return err
		}
	}
}

// eventually waits for what other threads bring about.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	end := time.After(10 * time.Second)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-end:
			t.Fatalf("not in time: %s", what)
		case <-tick.C:
		}
	}
}

// states counts the pool's connections by state, over all loops.
func states(p *Pool, ls []*reactor.Loop) map[string]int {
	n := map[string]int{}
	for _, l := range ls {
		l.PostWait(func() { p.States(l, func(s string) { n[s]++ }) })
	}
	return n
}

// isError says whether err is the error id of the table.
func isError(err error, id pgerr.ID) bool {
	var e *pgerr.Error
	return errors.As(err, &e) && e.ID == id
}

// setOf is a set with one value, or the empty one.
func setOf(name string, value int) settings.Set {
	if name == "" {
		return settings.Set{}
	}
	return settings.Of(settings.Pair{Name: name, Value: strconv.Itoa(value)})
}
