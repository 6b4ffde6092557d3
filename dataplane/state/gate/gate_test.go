package gate

import (
	"fmt"
	"testing"
)

func TestGates(t *testing.T) {
	var g Gates
	state := func() string {
		all, names := g.Held()
		return fmt.Sprint(g.Holds("a"), g.Holds("b"), all, names, g.Disabled("a"))
	}
	for _, step := range []struct {
		do   func() bool
		new  bool
		want string
	}{
		{func() bool { return false }, false, "false false false [] false"},
		{func() bool { return g.Hold("a") }, true, "true false false [a] false"},
		{func() bool { return g.Hold("a") }, false, "true false false [a] false"},
		{func() bool { return g.Hold(All) }, true, "true true true [a] false"},
		{func() bool { return g.Hold(All) }, false, "true true true [a] false"},
		{func() bool { g.Release("a"); return false }, false, "true true true [] false"},
		{func() bool { return g.Hold("b") }, true, "true true true [b] false"},
		{func() bool { g.Release(All); return false }, false, "false false false [] false"},
		{func() bool { g.Disable("a", true); return false }, false, "false false false [] true"},
		{func() bool { g.Release(All); return false }, false, "false false false [] true"},
		{func() bool { g.Disable("a", false); return false }, false, "false false false [] false"},
	} {
		if is := step.do(); is != step.new || state() != step.want {
			t.Errorf("%v, %s; want %v, %s", is, state(), step.new, step.want)
		}
	}
}
