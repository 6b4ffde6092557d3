package expect

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/heliosproxy/heliosproxy/dataplane/state/statement"
)

// TestQueue compares the ring with a slice.
func TestQueue(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	var q Queue
	var model []Kind
	for range 20000 {
		switch k := r.IntN(7); {
		case k < 3:
			q.Push(Answer{Kind: Kind(k)})
			model = append(model, Kind(k))
		case k < 6 && len(model) > 0:
			q.Pop()
			model = model[1:]
		case len(model) > 0:
			i := r.IntN(len(model))
			q.Remove(i)
			model = slices.Delete(model, i, i+1)
		}
		if q.N != len(model) || q.N > 0 && q.Front().Kind != model[0] || q.N > 0 && q.Get(q.N-1).Kind != model[q.N-1] {
			t.Fatalf("ring %d, model %d", q.N, len(model))
		}
	}
}

// TestParsing finds the statements that are parsed behind a message and stay.
func TestParsing(t *testing.T) {
	one, two, three := &statement.Statement{Name: "h_1"}, &statement.Statement{Name: "h_2"}, &statement.Statement{Name: "h_3"}
	var q Queue
	if len(q.Parsing()) != 0 {
		t.Error("something is parsed behind nothing")
	}
	for _, e := range []Answer{
		{Kind: Parse, Statement: one},
		{Kind: Parse, Statement: two, Hidden: true},
		{Kind: Parse, Statement: one, Again: true},
		{Kind: Parse},
		{Kind: Parse, Statement: three},
		{Kind: Close, Statement: two, Name: "h_2"}, // of the client, which calls something so
		{Kind: Close, Hidden: true, Name: "h_3"},
	} {
		q.Push(e)
	}
	if got := q.Parsing(); !slices.Equal(got, []*statement.Statement{two}) {
		t.Errorf("parsed behind the oldest: %v", got)
	}
}

// TestBeginCopy: of the Syncs behind an Execute that begins a COPY those go that the server ignores: none behind another message.
func TestBeginCopy(t *testing.T) {
	kinds := map[rune]Answer{
		'S': {Kind: Sync}, 's': {Kind: Sync, Doubt: true}, 'h': {Kind: Sync, Hidden: true}, 'c': {Kind: CopyEnd}, 'P': {Kind: Parse}, 'Q': {Kind: Query},
	}
	for _, c := range []struct {
		behind  string
		left    int // of what is behind the Execute
		ended   bool
		ignored bool
	}{
		{"", 0, false, false},
		{"S", 0, false, true},
		{"SS", 0, false, true},
		{"s", 1, false, false},
		{"SscS", 3, true, true},
		{"scPS", 4, true, false},
		{"sPhP", 4, false, false},
		{"PS", 2, false, false},
		{"SQS", 2, false, true},
	} {
		var q Queue
		q.Push(Answer{Kind: Execute})
		for _, k := range c.behind {
			q.Push(kinds[k])
		}
		if ended, ignored := q.BeginCopy(); ended != c.ended || ignored != c.ignored || q.N != c.left+1 {
			t.Errorf("%q: ended %v, ignored %v, %d left: want %v, %v, %d", c.behind, ended, ignored, q.N-1, c.ended, c.ignored, c.left)
		}
	}
}

// TestSkipped finds the messages that the server has skipped, by an answer that none of them has.
func TestSkipped(t *testing.T) {
	kinds := map[rune]Kind{'S': Sync, 'x': Sync, 'c': CopyEnd, 'P': Parse, 'B': Bind, 'E': Execute, 'C': Close, 'Q': Query}
	for _, c := range []struct {
		queue string
		t     byte
		want  int
	}{
		{"PSCS", '1', 0},
		{"PSCS", '3', 2},
		{"ScPBSCS", '3', 5},
		{"ScPBSCS", '1', 2},
		{"QSC", '3', 2},
		{"QSC", 'C', 0},
		{"QQEC", 'C', 0},
		{"PSES", 'D', 2},
		{"PSES", 'E', 0},
		{"SPSBS", '3', 1}, // that is not understood
		{"SxSP", 'E', 1},
		{"SxSP", '1', 3},
		{"", '3', 0},
	} {
		var q Queue
		for _, k := range c.queue {
			q.Push(Answer{Kind: kinds[k], Bad: k == 'x'})
		}
		if got := q.Skipped(c.t); got != c.want {
			t.Errorf("%q, answered by %c: %d are skipped, want %d", c.queue, c.t, got, c.want)
		}
	}
}

// TestDoubts counts the Syncs that the server may ignore.
func TestDoubts(t *testing.T) {
	var q Queue
	q.PushSync(false, false)
	q.PushSync(true, false)
	q.PushSync(true, false)
	for _, want := range []bool{true, true, true, false} {
		if q.Doubts() != want {
			t.Errorf("%d in the queue: doubts %v", q.N, !want)
		}
		q.Pop()
	}
	q.PushSync(true, false)
	if q.Remove(0); q.Doubts() {
		t.Error("a Sync that was taken out is doubtful")
	}
}

// TestUnit counts what is skipped with the oldest message: a Query too, but not one that is the oldest.
func TestUnit(t *testing.T) {
	for queue, want := range map[string]int{"": 0, "S": 0, "QS": 0, "PBES": 3, "PQPSP": 3, "cPS": 2, "PB": 2} {
		var q Queue
		for _, k := range queue {
			q.Push(Answer{Kind: map[rune]Kind{'S': Sync, 'c': CopyEnd, 'P': Parse, 'B': Bind, 'E': Execute, 'Q': Query}[k]})
		}
		if got := q.Unit(); got != want {
			t.Errorf("%q: %d, want %d", queue, got, want)
		}
	}
}
