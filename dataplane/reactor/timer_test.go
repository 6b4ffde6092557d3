package reactor

import (
	"math/rand/v2"
	"testing"
)

type rung struct{ fired *[]int64 }

func (r rung) Fire(m *Timer) { *r.fired = append(*r.fired, m.at) }

// TestTimers starts, moves and stops timers at random against a model: a list of times.
func TestTimers(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	l := still(t, Options{})
	var fired []int64
	ms := make([]Timer, 50)
	model := map[int]int64{}
	for i := range ms {
		ms[i].Init(rung{&fired})
	}
	for step := range 20000 {
		i := r.IntN(len(ms))
		switch r.IntN(4) {
		case 0, 1:
			at := l.now + r.Int64N(1000)
			ms[i].Start(l, at)
			model[i] = at
		case 2:
			ms[i].Stop(l)
			delete(model, i)
		default:
			l.now += r.Int64N(50)
			fired = fired[:0]
			l.fireTimers()
			due := 0
			for k, at := range model {
				if at <= l.now {
					due++
					delete(model, k)
				}
			}
			if len(fired) != due {
				t.Fatalf("step %d: %d timers fired, %d were due", step, len(fired), due)
			}
			for k := 1; k < len(fired); k++ {
				if fired[k] < fired[k-1] {
					t.Fatalf("step %d: fired out of order", step)
				}
			}
		}
		for k := range ms {
			if _, on := model[k]; on != ms[k].Running() {
				t.Fatalf("step %d: timer %d runs: %v, want %v", step, k, ms[k].Running(), on)
			}
		}
	}
}
