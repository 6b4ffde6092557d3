package compose

import "testing"

// TestUnit copies a unit that is whole, and no other.
func TestUnit(t *testing.T) {
	p := make([]byte, 2*longestUnit)
	p[3] = 'B'
	for name, c := range map[string]struct {
		do   func(u *Unit)
		want int
	}{
		"whole":     {func(u *Unit) { u.Begin(3); u.End(p, 10) }, 7},
		"not begun": {func(u *Unit) { u.End(p, 10) }, 0},
		"broken":    {func(u *Unit) { u.Begin(3); u.Break(); u.End(p, 10) }, 0},
		"too long":  {func(u *Unit) { u.Begin(3); u.End(p, 4+longestUnit) }, 0},
		"longest":   {func(u *Unit) { u.Begin(3); u.End(p, 3+longestUnit) }, longestUnit},
		"ended":     {func(u *Unit) { u.Begin(3); u.End(p, 10); u.End(p, 100) }, 7},
		"forgotten": {func(u *Unit) { u.Begin(3); u.End(p, 10); u.Forget() }, 0},
	} {
		var u Unit
		if c.do(&u); len(u.Bytes) != c.want || c.want > 0 && u.Bytes[0] != 'B' {
			t.Errorf("%s: %d bytes, want %d", name, len(u.Bytes), c.want)
		}
	}
}
