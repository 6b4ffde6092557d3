package reactor

import (
	"testing"
	"time"
)

// TestRest lets a place rest behind a turn that others held up, and behind no other.
func TestRest(t *testing.T) {
	const ms = time.Millisecond
	for _, c := range []struct{ wall, cpu, late, want time.Duration }{
		{ms, ms, 0, 0},
		{ms, ms - 150*time.Microsecond, 0, 0},
		{10 * ms, 8 * ms, 0, 0},
		{ms, ms / 2, 0, ms},
		{10 * ms, 5 * ms, 0, 10 * ms},
		{time.Second, ms, 0, longRest},
		{ms, ms, ms / 4, 0},
		{ms, ms, ms, 2 * ms},
		{10 * ms, 5 * ms, 6 * ms, 12 * ms},
		{ms, 2 * ms, 0, 0}, // clocks are no more exact than that
	} {
		if got := rest(c.wall, c.cpu, c.late); got != c.want {
			t.Errorf("%s, of which a processor's are %s, loops late by %s: %s, want %s", c.wall, c.cpu, c.late, got, c.want)
		}
	}
}

// TestPlaceRests keeps a place empty behind one who has waited, and gives it to the next then.
func TestPlaceRests(t *testing.T) {
	serves := true
	p := places{free: make(chan struct{}, 1), guards: func() bool { return serves }}
	p.queue()
	turn := p.enter()
	if p.waiting.Load() != 0 {
		t.Error("one who computes is taken for one who waits")
	}
	turn.wall -= time.Second // as if
	p.leave(turn)
	if len(p.free) != 1 {
		t.Error("the place is free at once")
	}
	turn = p.again() // comes when it is
	turn.wall -= time.Second
	serves = false
	if p.leave(turn); len(p.free) != 0 {
		t.Error("it is kept where nobody is served")
	}
}
