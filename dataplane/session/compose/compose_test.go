package compose

import (
	"bytes"
	"testing"
)

// TestComposer cuts, inserts and replaces, against what the same does to a string.
func TestComposer(t *testing.T) {
	for _, c := range []struct {
		name string
		do   func(c *Composer)
		want string
		same bool // the output is a part of the input
	}{
		{"nothing", func(*Composer) {}, "0123456789", true},
		{"skip at the beginning", func(c *Composer) { c.Skip(0, 2); c.Skip(2, 3) }, "3456789", true},
		{"skip in the middle", func(c *Composer) { c.Skip(3, 5) }, "01256789", false},
		{"replace", func(c *Composer) { c.Replace(3, 5); c.Dst = append(c.Dst, "ab"...) }, "012ab56789", false},
		{"insert", func(c *Composer) { c.UpTo(4); c.Dst = append(c.Dst, "ab"...) }, "0123ab456789", false},
		{"end", func(c *Composer) { c.End(7) }, "0123456", true},
		{"skip all", func(c *Composer) { c.Skip(0, 10) }, "", true},
		{"replace, skip, end", func(c *Composer) { c.Replace(1, 2); c.Dst = append(c.Dst, "ab"...); c.Skip(4, 6); c.End(8) }, "0ab2367", false},
	} {
		src, scratch := []byte("0123456789"), make([]byte, 0, 100)
		m := New(src, scratch)
		c.do(&m)
		got := m.Output(&scratch)
		if string(got) != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
		if inside := len(got) > 0 && &got[len(got)-1] == &src[bytes.Index(src, got[len(got)-1:])]; inside != c.same && len(got) > 0 {
			t.Errorf("%s: the output is a copy where it need not be, or the other way round", c.name)
		}
	}
}
