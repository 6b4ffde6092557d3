package strays

import (
	"testing"

	"github.com/heliosproxy/heliosproxy/dataplane/session/compose"
	"github.com/heliosproxy/heliosproxy/dataplane/session/expect"
	"github.com/heliosproxy/heliosproxy/pkg/pgwire"
)

// types are the types of the messages in p.
func types(p []byte) (t string) {
	for len(p) > 0 {
		t += string(p[0])
		p = p[pgwire.HeaderSize+pgwire.Body(p):]
	}
	return t
}

// TestStrays: a name is parsed twice under itself, closed ahead of the next time, and gone behind the unit; what is sent is expected.
func TestStrays(t *testing.T) {
	for name, do := range map[string]func(s *Strays, c *compose.Composer, q *expect.Queue){
		"PP": func(s *Strays, c *compose.Composer, q *expect.Queue) { s.Parse(c, q, "a", []byte{0, 0, 0}) },
		"PPCPP": func(s *Strays, c *compose.Composer, q *expect.Queue) {
			s.Parse(c, q, "a", []byte{0, 0, 0})
			s.Close(c, q, "b")
			s.Parse(c, q, "a", []byte{0, 0, 0})
		},
		"PPPPCCS": func(s *Strays, c *compose.Composer, q *expect.Queue) {
			s.Parse(c, q, "a", []byte{0, 0, 0})
			s.Parse(c, q, "b", []byte{0, 0, 0})
			s.CloseAll(c, q)
			s.Close(c, q, "a")
		},
	} {
		var s Strays
		var q expect.Queue
		var scratch []byte
		c := compose.New(nil, nil)
		c.Use()
		do(&s, &c, &q)
		if got := types(c.Output(&scratch)); got != name || q.N != len(name) {
			t.Errorf("sent %s, %d answers expected: want %s", got, q.N, name)
		}
		if s.Any() != (name[len(name)-1] != 'S') {
			t.Errorf("%s: there are names: %v", name, s.Any())
		}
		shown := 0
		for i := range q.N {
			if e := q.Get(i); !e.Hidden {
				shown++
			}
		}
		if want := map[string]int{"PP": 1, "PPCPP": 2, "PPPPCCS": 2}[name]; shown != want {
			t.Errorf("%s: the client gets %d answers, want %d", name, shown, want)
		}
	}
}
