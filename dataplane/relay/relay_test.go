package relay

import (
	"bytes"
	"errors"
	"testing"

	"github.com/heliosproxy/heliosproxy/dataplane/backend"
	"github.com/heliosproxy/heliosproxy/dataplane/reactor"
	"github.com/heliosproxy/heliosproxy/dataplane/state/serverstate"
)

// machine lets everything pass, and is quiet when the server has said so much.
type machine struct {
	want, got int
	full      bool  // no more is to be read from the client
	lags      bool  // the server waits for the client
	free      bool  // when it is quiet
	fault     error // of either side
	back      []byte
}

func (m *machine) FromClient(p []byte, _ *serverstate.Server) (toServer, toClient []byte, err error) {
	return p, m.back, m.fault
}

func (m *machine) FromServer(p []byte, _ *serverstate.Server) ([]byte, error) {
	m.got += len(p)
	return p, m.fault
}
func (m *machine) Quiet() bool  { return m.got >= m.want }
func (m *machine) Free() bool   { return m.free }
func (m *machine) Room() bool   { return !m.full }
func (m *machine) Lags() bool   { return m.lags }
func (m *machine) Resume() bool { return false }

// stage is a relay between a client and a server that are memory, on a loop that the test steps.
type stage struct {
	loop           *reactor.Loop
	client, server *reactor.Memory
	clientEP       *reactor.Endpoint
	serverEP       *reactor.Endpoint
	m              machine
	over           bool
	lag            int64
	err            error
	task           walker
}

type walker struct {
	reactor.Task
	walk func(t *reactor.Task)
}

func (w *walker) Serve(t *reactor.Task)                         { w.walk(t); w.End() }
func (w *walker) Panicked(_ *reactor.Task, v any, stack []byte) { panic(string(stack)) }

// newStage begins to relay, first what the client has said already. The server is quiet when it has sent want bytes.
func newStage(t testing.TB, want int, first string) *stage {
	g, err := reactor.NewGroup(1, reactor.Options{Poison: true})
	if err != nil {
		t.Fatal(err)
	}
	s := &stage{loop: g.Loops()[0], m: machine{want: want, free: true}}
	s.clientEP, s.client = s.loop.NewMemory()
	s.serverEP, s.server = s.loop.NewMemory()
	s.task.walk = func(task *reactor.Task) {
		s.err = Run(task, s.clientEP, &backend.Conn{EP: s.serverEP}, &s.m, []byte(first), &s.lag)
		s.over = true
	}
	s.task.Init(s.loop, &s.task)
	s.clientEP.Attach(&s.task.Task)
	s.serverEP.Attach(&s.task.Task)
	return s
}

func (s *stage) step() {
	s.task.Wake()
	for range 5 {
		s.loop.Step()
	}
}

// TestDuplex has both sides send more than either takes. The client reads nothing before the server has taken all, or
// the other way round: neither holds the other up for ever, nothing is lost, and little is kept.
func TestDuplex(t *testing.T) {
	const size, limit, bound = 1 << 20, 1000, 64<<10 + 2*1000
	for _, clientFirst := range []bool{true, false} {
		s := newStage(t, size, "")
		s.client.Limit, s.server.Limit = limit, limit
		in, out := bytes.Repeat([]byte("question"), size/8), bytes.Repeat([]byte("response"), size/8)
		s.client.Feed(in)
		s.server.Feed(out)
		var toClient, toServer []byte
		take := func(m *reactor.Memory, got *[]byte) {
			*got = append(*got, m.Sent...)
			m.Take()
		}
		s.m.want = 2 * size // never quiet
		for n := 0; len(toClient) < size || len(toServer) < size; n++ {
			if n > 4*size/limit {
				t.Fatalf("it stands still with %d and %d of %d through", len(toClient), len(toServer), size)
			}
			s.step()
			if clientFirst && len(toClient) < size {
				take(s.client, &toClient)
			} else if take(s.server, &toServer); len(toServer) == size {
				take(s.client, &toClient)
			}
			if kept := int(s.clientEP.In) - len(toServer); kept > bound {
				t.Fatalf("%d bytes of the client are kept", kept)
			}
			if kept := int(s.serverEP.In) - len(toClient); kept > bound {
				t.Fatalf("%d bytes of the server are kept", kept)
			}
		}
		if !bytes.Equal(toClient, out) || !bytes.Equal(toServer, in) {
			t.Error("what came through is not what was sent")
		}
	}
}

// TestEnds ends relays.
func TestEnds(t *testing.T) {
	fault, kill := errors.New("fault"), errors.New("killed")
	for _, c := range []struct {
		name string
		do   func(s *stage)
		want error // nil: it goes on, or is at rest
		over bool
	}{
		{"nothing happens", func(*stage) {}, nil, false},
		{"the answer is there", func(s *stage) { s.server.Feed([]byte("answer")) }, nil, true},
		{"half of it is", func(s *stage) { s.server.Feed([]byte("ans")) }, nil, false},
		{"the client is gone", func(s *stage) { s.client.End() }, ErrClient, true},
		{"the server is gone", func(s *stage) { s.server.End() }, ErrServer, true},
		{"both are gone", func(s *stage) { s.server.End(); s.client.End() }, ErrServer, true},
		{"the server is gone behind its answer", func(s *stage) { s.server.Feed([]byte("answer")); s.server.End() }, nil, true},
		{"the server is gone within it", func(s *stage) { s.server.Feed([]byte("ans")); s.server.End() }, ErrServer, true},
		{"the client sends what is none", func(s *stage) { s.client.Feed([]byte("?")); s.m.fault = fault }, fault, true},
		{"the server sends what is none", func(s *stage) { s.server.Feed([]byte("?")); s.m.fault = fault }, fault, true},
		{"it is killed", func(s *stage) { s.task.Kill(kill) }, kill, true},
		{"its time is over", func(s *stage) { s.task.SetDeadline(s.loop.Now()) }, reactor.ErrDeadline, true},
		{"the server's end is closed here", func(s *stage) { s.serverEP.Close(); s.client.Feed([]byte("x")) }, ErrServer, true},
	} {
		s := newStage(t, len("answer"), "question")
		s.step()
		if string(s.server.Sent) != "question" || s.over {
			t.Fatalf("the server got %q, over %v", s.server.Sent, s.over)
		}
		c.do(s)
		s.step()
		if s.over != c.over || !errors.Is(s.err, c.want) || (c.want == nil) != (s.err == nil) {
			t.Errorf("%s: over %v with %v, want %v with %v", c.name, s.over, s.err, c.over, c.want)
		}
	}
}

// TestRest rests when nothing is under way, with the server connection where it is not free, and leaves what comes
// afterwards unread where it is.
func TestRest(t *testing.T) {
	s := newStage(t, 0, "question")
	s.m.free = false
	s.step()
	if !s.over || s.err != nil {
		t.Fatalf("over %v, %v", s.over, s.err)
	}
	s = newStage(t, 1, "question")
	s.server.Feed([]byte("x"))
	s.client.Feed([]byte("the next one"))
	s.step()
	if !s.over || s.err != nil || string(s.client.Sent) != "x" || string(s.server.Sent) != "question" || s.clientEP.In != 0 {
		t.Errorf("over %v, %v; the client got %q, the server %q", s.over, s.err, s.client.Sent, s.server.Sent)
	}
}

// TestRoom reads no more of a client who has sent enough that is not answered.
func TestRoom(t *testing.T) {
	s := newStage(t, 1<<20, "")
	s.m.full = true
	s.client.Feed([]byte("more"))
	s.step()
	if len(s.server.Sent) != 0 {
		t.Errorf("the server got %q", s.server.Sent)
	}
	s.m.full = false
	s.server.Feed([]byte("x"))
	s.step()
	if string(s.server.Sent) != "more" {
		t.Errorf("the server got %q", s.server.Sent)
	}
}

// TestLag counts as the client's the time in which it takes nothing, or the server waits for it, and no other.
func TestLag(t *testing.T) {
	for _, c := range []struct {
		name        string
		lags, fills bool
		want        bool
	}{{"the server works", false, false, false}, {"the server waits", true, false, true}, {"the client does not read", false, true, true}} {
		s := newStage(t, 1<<20, "question")
		s.m.lags = c.lags
		if c.fills {
			s.client.Limit = 10
			s.server.Feed(bytes.Repeat([]byte("x"), 1000))
		}
		s.step()
		before := s.lag
		s.step()
		if got := s.lag > before; got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}

// TestAnswersOfTheMachine sends the client what the machine answers itself.
func TestAnswersOfTheMachine(t *testing.T) {
	s := newStage(t, 1<<20, "question")
	s.m.back = []byte("at once")
	s.step()
	if string(s.client.Sent) != "at once" {
		t.Errorf("the client got %q", s.client.Sent)
	}
}

// TestShare gives way to others of the loop.
func TestShare(t *testing.T) {
	s := newStage(t, 1<<30, "")
	s.server.Feed(make([]byte, 100*64<<10))
	others := 0
	other := &walker{walk: func(*reactor.Task) { others = s.m.got }}
	other.Init(s.loop, other)
	s.task.Wake()
	other.Wake()
	s.loop.Step()
	if others == 0 || others == 100*64<<10 {
		t.Errorf("another task had its turn behind %d bytes", others)
	}
}
