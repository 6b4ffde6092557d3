package release_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/heliosproxy/heliosproxy/pkg/release"
	"github.com/heliosproxy/heliosproxy/pkg/resource"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

func item(kind, name, payload string) *heliosv1.Item {
	return &heliosv1.Item{Kind: kind, Name: name, Payload: []byte(payload)}
}

func content(t testing.TB, items ...*heliosv1.Item) *release.Content {
	t.Helper()
	c, err := release.New(items)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestHash: the hash says everything about a content and nothing about the order in which it was given. The first is
// written down: control planes and proxies of other versions have to come to the same.
func TestHash(t *testing.T) {
	a := content(t, item("Node", "a", "1"), item("User", "b", "2"))
	if want := "028062067c83fbadb214bec1335f7754608b63ee24f04a7c7a98db12fd83b9b5"; a.Hash() != want {
		t.Errorf("got %s", a.Hash())
	}
	if b := content(t, item("User", "b", "2"), item("Node", "a", "1")); b.Hash() != a.Hash() || b.Len() != 2 || b.Bytes() != 2 {
		t.Errorf("another order has another hash")
	}
	seen := map[string]string{a.Hash(): "a"}
	for name, c := range map[string]*release.Content{
		"payload": content(t, item("Node", "a", "x"), item("User", "b", "2")),
		"name":    content(t, item("Node", "aU", "1"), item("User", "b", "2")),
		"kind":    content(t, item("Nod", "ea", "1"), item("User", "b", "2")),
		"fewer":   content(t, item("Node", "a", "1")),
		"empty":   release.Empty(),
	} {
		if other, taken := seen[c.Hash()]; taken {
			t.Errorf("%s has the hash of %s", name, other)
		}
		seen[c.Hash()] = name
	}
	if _, err := release.New([]*heliosv1.Item{item("User", "a", "1"), item("User", "a", "2")}); err == nil {
		t.Error("two of one name are taken")
	}
}

// random makes a content of some of 40 resources with few payloads, so that two have much in common.
func random(t *testing.T, r *rand.Rand) *release.Content {
	var items []*heliosv1.Item
	for i := range 40 {
		if r.IntN(2) == 0 {
			items = append(items, item([]string{"Node", "User"}[i%2], fmt.Sprintf("n%02d", i), fmt.Sprint(r.IntN(3))))
		}
	}
	return content(t, items...)
}

// TestDifference: what makes one content of another does so, has nothing too much, and survives being cut up.
func TestDifference(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 500 {
		a, b := random(t, r), random(t, r)
		d := a.To(b)
		got, err := a.With(d)
		if err != nil || got.Hash() != b.Hash() {
			t.Fatalf("%v", err)
		}
		if d.Empty() != (a.Hash() == b.Hash()) {
			t.Fatal("a difference between what is the same, or none")
		}
		var joined release.Difference
		limit := 50 + r.IntN(500)
		for part := range d.Chunks(limit) {
			m := &heliosv1.Chunk{Upserts: part.Upserts, Removes: part.Removes}
			if n := proto.Size(m); n > limit && len(part.Upserts)+len(part.Removes) > 1 {
				t.Fatalf("a part of %d bytes, at most %d", n, limit)
			}
			joined.Upserts = append(joined.Upserts, part.Upserts...)
			joined.Removes = append(joined.Removes, part.Removes...)
		}
		if got, err := a.With(joined); err != nil || got.Hash() != b.Hash() {
			t.Fatalf("cut into parts: %v", err)
		}
		r.Shuffle(len(joined.Upserts), func(i, j int) { joined.Upserts[i], joined.Upserts[j] = joined.Upserts[j], joined.Upserts[i] })
		slices.Reverse(joined.Removes)
		if got, err := a.With(joined); err != nil || got.Hash() != b.Hash() {
			t.Fatalf("in another order: %v", err)
		}
	}
}

// TestWrongBase: a difference that was made to another content is noticed where it can be.
func TestWrongBase(t *testing.T) {
	a := content(t, item("User", "a", "1"))
	ref := func(name string) *heliosv1.Ref { return &heliosv1.Ref{Kind: "User", Name: name} }
	for name, d := range map[string]release.Difference{
		"removed and not there": {Removes: []*heliosv1.Ref{ref("b")}},
		"removed twice":         {Removes: []*heliosv1.Ref{ref("a"), ref("a")}},
		"both":                  {Upserts: []*heliosv1.Item{item("User", "a", "2")}, Removes: []*heliosv1.Ref{ref("a")}},
		"changed twice":         {Upserts: []*heliosv1.Item{item("User", "a", "2"), item("User", "a", "3")}},
	} {
		if _, err := a.With(d); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

// TestDecode: what is no resource is told, each of it.
func TestDecode(t *testing.T) {
	good, err := release.Encode(resource.KindUser, &heliosv1.User{Name: "u"})
	if err != nil {
		t.Fatal(err)
	}
	if s, faults := content(t, good).Set(); len(faults) != 0 || s.Users["u"] == nil {
		t.Errorf("%v, %v", s, faults)
	}
	other := proto.Clone(good).(*heliosv1.Item)
	other.Name = "v"
	s, faults := content(t, good, other, item("Frob", "f", ""), item("Node", "n", "\xff")).Set()
	got := map[string]string{}
	for _, f := range faults {
		got[f.GetKind()+"/"+f.GetName()] = f.GetReason()
	}
	want := map[string]string{
		"Frob/f": "this version does not know the kind", "Node/n": "the payload is no Node", "User/v": `the payload is named "u"`,
	}
	if s != nil || !maps.Equal(got, want) {
		t.Errorf("got %v", got)
	}
}
