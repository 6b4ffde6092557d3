package backend

import (
	"encoding/binary"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/heliosproxy/heliosproxy/dataplane/reactor"
	"github.com/heliosproxy/heliosproxy/pkg/pgerr"
	"github.com/heliosproxy/heliosproxy/pkg/pgwire"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgscript"
)

// stage is a loop that the test steps itself, on which every connection that is dialled ends in memory: the
// test is the server. It is the owner of the connection, too, and notes what it hears.
type stage struct {
	t      testing.TB
	loop   *reactor.Loop
	dialed []*reactor.Memory
	heard  []string
	failed error
}

func newStage(t testing.TB) *stage {
	g, err := reactor.NewGroup(1, reactor.Options{Poison: true})
	if err != nil {
		t.Fatal(err)
	}
	s := &stage{t: t, loop: g.Loops()[0]}
	s.loop.Dialer = func(reactor.Address) *reactor.Endpoint {
		e, m := s.loop.NewMemory()
		s.dialed = append(s.dialed, m)
		return e
	}
	return s
}

func (s *stage) Opened(*Conn)            { s.heard = append(s.heard, "opened") }
func (s *stage) Failed(_ *Conn, e error) { s.heard, s.failed = append(s.heard, "failed"), e }
func (s *stage) Lost(*Conn)              { s.heard = append(s.heard, "lost") }
func (s *stage) Closed(*Conn)            { s.heard = append(s.heard, "closed") }
func (s *stage) Changed(*Conn)           { s.heard = append(s.heard, "changed") }

// news returns what the owner has heard since it was asked last.
func (s *stage) news() string {
	n := strings.Join(s.heard, " ")
	s.heard = nil
	return n
}

// begin opens a connection with the secret and checks how it introduces itself.
func (s *stage) begin(secret *Secret) *Conn {
	s.t.Helper()
	c := Open(s.loop, &Target{
		Node: "n1", Host: "127.0.0.1", Port: 5432, Database: "d", User: "u", Secret: secret, Timeout: time.Minute,
		MaxStatements: 10, MaxStatementBytes: 1 << 20,
	}, s)
	s.step()
	if got, want := s.sent(), pgscript.Startup(pgscript.Version30, "user", "u", "database", "d"); got != string(want) {
		s.t.Fatalf("it begins with %q, want %q", got, want)
	}
	return c
}

// open returns a connection that is logged in.
func (s *stage) open() *Conn {
	s.t.Helper()
	c := s.begin(NewSecret("u", ""))
	s.feed(pgscript.Greeting(77, []byte("1234")))
	if n := s.news(); n != "opened" || c.PID != 77 {
		s.t.Fatalf("heard %q, process %d", n, c.PID)
	}
	return c
}

func (s *stage) step() {
	for range 5 {
		s.loop.Step()
	}
}

// feed lets the server of the first connection send msgs.
func (s *stage) feed(msgs ...[]byte) {
	for _, m := range msgs {
		s.dialed[0].Feed(m)
	}
	s.step()
}

// sent takes what the first connection has sent.
func (s *stage) sent() string {
	got := string(s.dialed[0].Sent)
	s.dialed[0].Take()
	return got
}

// lines takes what the first connection has sent, a line a message.
func (s *stage) lines() string {
	var ls []string
	for p := []byte(s.sent()); len(p) >= pgwire.HeaderSize; {
		n := int(binary.BigEndian.Uint32(p[1:])) + 1
		ls = append(ls, pgscript.Message{Type: p[0], Body: p[pgwire.HeaderSize:n]}.Frontend())
		p = p[n:]
	}
	return strings.Join(ls, "; ")
}

func (s *stage) check(what, got, want string) {
	s.t.Helper()
	if got != want {
		s.t.Errorf("%s: %q, want %q", what, got, want)
	}
}

// walker is a task that walks once.
type walker struct {
	reactor.Task
	walk func(t *reactor.Task)
	over bool
}

func (w *walker) Serve(t *reactor.Task) {
	w.walk(t)
	w.over = true
	w.End()
}
func (w *walker) Panicked(_ *reactor.Task, v any, stack []byte) { panic(string(stack)) }

// lease lets f walk with the lease of c.
func (s *stage) lease(c *Conn, f func(t *reactor.Task)) *walker {
	w := &walker{walk: f}
	w.Init(s.loop, w)
	c.Lease(&w.Task)
	w.Wake()
	s.step()
	return w
}

// state is the SQLSTATE of an error that a client can be told.
func state(err error) string {
	var e *pgerr.Error
	var se *pgwire.ServerError
	switch {
	case errors.As(err, &e):
		return e.SQLState
	case errors.As(err, &se):
		return se.SQLState
	}
	return "none"
}
