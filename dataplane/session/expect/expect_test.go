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
