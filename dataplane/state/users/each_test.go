package users

import "testing"

// TestEach lists and forgets, and a yield that has enough ends it.
func TestEach(t *testing.T) {
	b := NewBook(9)
	for _, x := range [][2]string{{"a", "ann"}, {"b", "ann"}, {"a", "bob"}} {
		b.Put(Place{Database: x[0]}, x[1], Known{Asked: 1})
	}
	count := func() (n int) {
		b.Each(func(Place, string, Known) bool { n++; return true })
		return n
	}
	first := 0
	b.Each(func(Place, string, Known) bool { first++; return false })
	if count() != 3 || first != 1 {
		t.Errorf("listed %d, %d", count(), first)
	}
	if n := b.Forget("ann"); n != 2 || b.Len() != 1 {
		t.Errorf("forgot %d, %d are left", n, b.Len())
	}
	if _, ok := b.Find(Place{Database: "a"}, "bob", 0); !ok || b.Forget("ann") != 0 {
		t.Error("somebody else was forgotten")
	}
}

func TestKind(t *testing.T) {
	for secret, want := range map[string]string{
		"": "none", "word": "password", "md553f48b7c4b76a86ce72276c5755f217d": "md5",
		"SCRAM-SHA-256$1:c2FsdA==$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=": "scram",
	} {
		u, err := New("ann", secret)
		if err != nil || u.Kind() != want {
			t.Errorf("%q: %v, want %s", secret, err, want)
		}
	}
}
