package stock

import (
	"fmt"
	"testing"

	"github.com/heliosproxy/heliosproxy/dataplane/session/compose"
	"github.com/heliosproxy/heliosproxy/dataplane/session/expect"
	"github.com/heliosproxy/heliosproxy/dataplane/state/statement"
	"github.com/heliosproxy/heliosproxy/pkg/pgwire"
)

// TestHold closes what is stale and what is evicted, for the proxy, and nothing twice.
func TestHold(t *testing.T) {
	reg, held := statement.NewRegistry("h_"), statement.NewHeld(2, 1<<10)
	var q expect.Queue
	var closed []string
	hold := func(body string) *statement.Statement {
		c := compose.New(nil, nil)
		st := reg.Shared(statement.Key{Body: body}, statement.Meaning{})
		Hold(&c, &q, held, st)
		for p := c.Dst; len(p) > 0; p = p[pgwire.HeaderSize+pgwire.Body(p):] {
			name, _, _ := pgwire.CString(p[pgwire.HeaderSize+1:])
			closed = append(closed, string(name))
		}
		return st
	}
	one := hold("1")
	hold("2")
	held.Forget(one)
	hold("3")
	hold("4")
	if got := fmt.Sprint(closed); got != "[h_1 h_2]" || held.Len() != 2 {
		t.Errorf("closed are %s, want h_1 and h_2; %d are held", got, held.Len())
	}
	for range closed {
		if e := q.Front(); e.Kind != expect.Close || !e.Hidden || e.Name == "" {
			t.Errorf("expected is %+v", *e)
		}
		q.Pop()
	}
	if q.N > 0 {
		t.Errorf("%d more answers are expected", q.N)
	}
}

// TestOwn waits with what the client sends until the answer is there, where it has to.
func TestOwn(t *testing.T) {
	for _, awaited := range []bool{true, false} {
		var q expect.Queue
		var answer []byte
		c := compose.New(nil, nil)
		Own(&c, &q, "own", []byte("SELECT 1"), &answer, awaited)
		if waits := q.Shapes > 0; q.N != 5 || waits != awaited {
			t.Errorf("%d answers are expected, and the client waits: %v, want %v", q.N, waits, awaited)
		}
		for range 3 {
			q.Pop()
		}
		if q.Shapes != 0 {
			t.Error("the client waits for what is there")
		}
	}
}
