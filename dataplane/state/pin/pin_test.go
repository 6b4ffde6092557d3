package pin

import "testing"

// TestWords has words and a label of its own for every reason.
func TestWords(t *testing.T) {
	if got, want := (Temporary | Lock).String(), "temporary objects, a session advisory lock"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	labels := map[string]int{}
	for i, l := range Every.All() {
		if _, twice := labels[l]; twice || l == "" {
			t.Errorf("reason %d: label %q", i, l)
		}
		labels[l] = i
	}
	if len(labels) != Count {
		t.Errorf("%d reasons, want %d", len(labels), Count)
	}
	if Every&^(Found|Moment|Sequence|Lasting|Unknown) != 0 {
		t.Error("a reason is in no class")
	}
}

// TestKeep notes what was found where a session may keep it, and says else what it loses.
func TestKeep(t *testing.T) {
	for p, keeps := range map[Pinning]bool{Keep: true, Refuse: false, Drop: false} {
		r := Reasons{Have: Lock}
		dropped := r.Keep(Unknown, p)
		if keeps && (dropped != 0 || r.Have != Lock|Unknown) || !keeps && (dropped != Unknown || r.Have != Lock) {
			t.Errorf("%d: keeps %s, loses %s", p, r.Have, dropped)
		}
	}
}
