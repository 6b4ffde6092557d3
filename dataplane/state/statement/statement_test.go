package statement

import (
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// TestHeld compares the LRU with a slice, the least recently used first.
func TestHeld(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	reg := NewRegistry("h_")
	var all []*Statement
	for i := range 20 {
		all = append(all, reg.Own(Key{Body: strings.Repeat("x", 1+i*3)}, Meaning{}))
	}
	const limit, room = 5, 120
	h := NewHeld(limit, room)
	var model []*Statement
	size := func() (n int) {
		for _, st := range model {
			n += len(st.Body)
		}
		return n
	}
	for range 20000 {
		st := all[r.IntN(len(all))]
		i := slices.Index(model, st)
		switch {
		case r.IntN(10) == 0:
			h.Remove(st)
			if i >= 0 {
				model = slices.Delete(model, i, i+1)
			}
			continue
		case h.Has(st) != (i >= 0):
			t.Fatalf("held: %v, want %v", i < 0, i >= 0)
		case i >= 0:
			model = append(slices.Delete(model, i, i+1), st)
			continue
		}
		for out := h.Evict(st); out != nil; out = h.Evict(st) {
			if out != model[0] {
				t.Fatal("another one than the least recently used goes")
			}
			model = model[1:]
		}
		h.Add(st)
		model = append(model, st)
		if h.Len() != len(model) || len(model) > limit || size() > room && len(model) > 1 {
			t.Fatalf("%d held, model %d with %d bytes", h.Len(), len(model), size())
		}
	}
}

// TestRegistryForgets lets go of statements that nobody holds.
func TestRegistryForgets(t *testing.T) {
	reg := NewRegistry("h_")
	a := reg.Shared(Key{Body: "SELECT 1\x00\x00\x00"}, Meaning{})
	if b := reg.Shared(Key{Body: "SELECT 1\x00\x00\x00"}, Meaning{}); a != b {
		t.Error("one key, two statements")
	}
	// One text may stand for several, whose effects are not the same.
	gone := func(name string) Meaning {
		return NewMeaning(&Effects{Steps: []Step{{Tag: "DEALLOCATE", Do: Deallocate, Name: name}}}, nil, false)
	}
	x, y := reg.Shared(Key{Body: "SELECT 1\x00\x00\x00"}, gone("x")), reg.Shared(Key{Body: "SELECT 1\x00\x00\x00"}, gone("y"))
	if x == a || x == y || x != reg.Shared(x.Key, gone("x")) || reg.Find(Key{Body: "SELECT 1\x00\x00\x00"}) != a {
		t.Error("statements with other effects are one")
	}
	if reg.Retire(x); reg.Find(x.Key) != nil {
		t.Error("a stale one with effects is found")
	}
	if b := reg.Shared(Key{Pool: "other", Body: "SELECT 1\x00\x00\x00"}, Meaning{}); a == b || a.Name == b.Name {
		t.Error("two databases, one statement")
	}
	for range 1000 {
		reg.Shared(Key{Body: strings.Repeat("y", reg.Len())}, Meaning{})
	}
	for range 50 {
		runtime.GC()
		runtime.Gosched()
		if reg.Len() == 1 {
			break
		}
	}
	if n := reg.Len(); n != 1 {
		t.Errorf("%d statements are left, of which one is held", n)
	}
	runtime.KeepAlive(a)
}
