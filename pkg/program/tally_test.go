package program

import (
	"testing"
	"time"
)

// TestTally counts each run in one place, its bound included.
func TestTally(t *testing.T) {
	var x Tally
	want := Counts{Runs: uint64(len(Bounds)) + 5, Refusals: 1, Failures: 2, Seconds: 3600}
	for i, b := range Bounds {
		x.Ran(time.Duration(b*1e9), Succeeded)
		want.Within[i]++
		want.Seconds += b
	}
	for _, o := range []Outcome{Refused, Failed, Failed, Left} {
		x.Ran(0, o)
		want.Within[0]++
	}
	x.Ran(time.Hour, Succeeded)
	want.Within[len(Bounds)]++
	got := x.Counts()
	if d := got.Seconds - want.Seconds; d > 1e-6 || d < -1e-6 {
		t.Errorf("%f seconds, want %f", got.Seconds, want.Seconds)
	}
	if got.Seconds = want.Seconds; got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}
