package doubt

import (
	"testing"

	"github.com/heliosproxy/heliosproxy/dataplane/session/compose"
	"github.com/heliosproxy/heliosproxy/dataplane/session/expect"
	"github.com/heliosproxy/heliosproxy/pkg/pgwire"
)

// TestDoubt has a session that ends while a COPY has failed with two Syncs among its data: it gets as many ReadyForQuery as the server has
// answered to Syncs of its own.
func TestDoubt(t *testing.T) {
	for name, ignored := range map[string]int{"none is ignored": 0, "one is ignored": 1, "both are ignored": 2} {
		var q expect.Queue
		var d Doubt
		for range 2 {
			q.PushSync(true, false)
		}
		d.Begin(&q)
		if !d.Open {
			t.Fatal("there is no doubt")
		}
		d.Asked = true
		q.Push(expect.Answer{Kind: expect.Sync, Hidden: true})
		q.Push(expect.Answer{Kind: expect.Close, Hidden: true, Probe: true})
		src := []byte("x")
		c := compose.New(src, make([]byte, 0, 100))
		for range 3 - ignored {
			q.Ready()
			if !d.Ready(&q, &c, pgwire.Idle, 0) {
				t.Errorf("%s: a ReadyForQuery is not kept back", name)
			}
		}
		d.Asks = true
		if d.Tells(&q, pgwire.NoticeResponse) {
			t.Errorf("%s: a notice ends the doubt", name)
		}
		for range q.Skipped(pgwire.CloseComplete) {
			q.Pop()
		}
		if skips := d.Answered(&q, &c, 0); skips != (ignored == 2) {
			t.Errorf("%s: the server skips: %v", name, skips)
		}
		if got := len(c.Dst) / 6; got != 2-ignored {
			t.Errorf("%s: %d ReadyForQuery for the client, want %d", name, got, 2-ignored)
		}
		if d.Open || d.Asks {
			t.Errorf("%s: the doubt is not over", name)
		}
	}
}

// TestStays lets the ReadyForQuery of a session that goes on through.
func TestStays(t *testing.T) {
	var q expect.Queue
	var d Doubt
	q.PushSync(true, false)
	q.PushSync(true, false)
	d.Begin(&q)
	c := compose.New(nil, nil)
	q.Ready()
	if d.Ready(&q, &c, pgwire.Idle, 0) || !d.Open || !d.Asks {
		t.Errorf("after the first: %+v", d)
	}
	q.Ready()
	if d.Ready(&q, &c, pgwire.Idle, 0) || d.Open {
		t.Errorf("after the last: %+v", d)
	}
}

// TestNoOther ends the doubt with a ReadyForQuery behind which no Sync waits for one: the message there is of a unit that goes on.
func TestNoOther(t *testing.T) {
	for name, more := range map[string]bool{"a message": false, "a message and a Sync": true} {
		var q expect.Queue
		var d Doubt
		q.PushSync(true, false)
		d.Begin(&q)
		q.Push(expect.Answer{Kind: expect.Parse})
		if more {
			q.PushSync(false, false)
		}
		c := compose.New(nil, nil)
		q.Ready()
		if d.Ready(&q, &c, pgwire.Idle, 0) || d.Open != more {
			t.Errorf("with %s behind it: open %v", name, d.Open)
		}
	}
}

// TestNotice lets a notice end the doubt where it can only be about a message behind the Syncs: it does not overtake their answers.
func TestNotice(t *testing.T) {
	var q expect.Queue
	var d Doubt
	q.PushSync(true, false)
	q.PushSync(true, false)
	d.Begin(&q)
	q.Push(expect.Answer{Kind: expect.Query})
	d.Asked = true
	src := []byte("x")
	c := compose.New(src, make([]byte, 0, 100))
	q.Ready()
	if !d.Ready(&q, &c, pgwire.Idle, 0) {
		t.Error("a ReadyForQuery is not kept back")
	}
	if !d.Tells(&q, pgwire.NoticeResponse) || d.Tells(&q, pgwire.ReadyForQuery) {
		t.Error("it is not the notice that ends the doubt")
	}
	for range q.Skipped(pgwire.NoticeResponse) {
		q.Pop()
	}
	d.Answered(&q, &c, 0)
	if got := len(c.Dst) / 6; got != 1 || d.Open || q.N != 1 {
		t.Errorf("%d ReadyForQuery ahead of the notice, open %v, %d answers to come", got, d.Open, q.N)
	}
}
