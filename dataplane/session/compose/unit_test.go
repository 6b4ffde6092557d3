package compose

import "testing"

// TestAgain puts a unit in front of what came behind it.
func TestAgain(t *testing.T) {
	var u Unit
	u.Begin(1)
	if u.End([]byte("abcd"), 3); string(u.Again([]byte("x"))) != "bcx" || len(u.Bytes) > 0 {
		t.Errorf("not the unit, or it is still there: %q", u.Bytes)
	}
}

// TestUnit copies a unit that is whole, and no other.
func TestUnit(t *testing.T) {
	p := make([]byte, 2*longestUnit)
	p[3] = 'B'
	for name, c := range map[string]struct {
		do   func(u *Unit)
		want int
	}{
		"whole":      {func(u *Unit) { u.Begin(3); u.End(p, 10) }, 7},
		"not begun":  {func(u *Unit) { u.End(p, 10) }, 0},
		"broken":     {func(u *Unit) { u.Begin(3); u.Break(); u.End(p, 10) }, 0},
		"too long":   {func(u *Unit) { u.Begin(3); u.End(p, 4+longestUnit) }, 0},
		"longest":    {func(u *Unit) { u.Begin(3); u.End(p, 3+longestUnit) }, longestUnit},
		"ended":      {func(u *Unit) { u.Begin(3); u.End(p, 10); u.End(p, 100) }, 7},
		"forgotten":  {func(u *Unit) { u.Begin(3); u.End(p, 10); u.Forget() }, 0},
		"sent again": {func(u *Unit) { u.Begin(3); u.End(p, 10); u.Again(nil); u.Begin(3); u.End(p, 10) }, 7},
		"sent too often": {func(u *Unit) {
			for range most + 1 {
				u.Begin(3)
				u.End(p, 10)
				u.Again(nil)
			}
			u.Begin(3)
			u.End(p, 10)
		}, 0},
		"the next": {func(u *Unit) {
			u.Begin(3)
			u.End(p, 10)
			u.Again(nil)
			u.End(p, 10)
			u.Begin(3)
			u.End(p, 10)
		}, 7},
	} {
		var u Unit
		if c.do(&u); len(u.Bytes) != c.want || c.want > 0 && u.Bytes[0] != 'B' {
			t.Errorf("%s: %d bytes, want %d", name, len(u.Bytes), c.want)
		}
	}
}
