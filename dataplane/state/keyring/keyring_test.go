package keyring

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/heliosproxy/heliosproxy/pkg/scram"
)

// TestRing finds a key by its owner, salt and iterations, and forgets it when the verifier is another one.
func TestRing(t *testing.T) {
	ann, eve := Owner{"c", "ann"}, Owner{"c", "eve"}
	salt, other := []byte("0123456789abcdef"), []byte("fedcba9876543210")
	of, key := scram.Derive("secret", salt, 2)
	again, _ := scram.Derive("another", salt, 2)
	r := New(10)
	check := func(what string, o Owner, salt []byte, n int, want error) {
		t.Helper()
		keys, got, err := r.Find(o, salt, n)
		if !errors.Is(err, want) || want == nil && (err != nil || got != key || keys.ServerKey != of.ServerKey) {
			t.Errorf("%s: %v, want %v", what, err, want)
		}
		if has := r.Has(o); has != !errors.Is(want, ErrNone) {
			t.Errorf("%s: has is %v", what, has)
		}
	}
	check("nothing learnt", ann, salt, 2, ErrNone)
	r.Learn(ann, &of, key)
	check("learnt", ann, salt, 2, nil)
	check("another's", eve, salt, 2, ErrNone)
	check("another cluster", Owner{"d", "ann"}, salt, 2, ErrNone)
	check("another salt", ann, other, 2, scram.ErrOtherVerifier)
	check("other iterations", ann, salt, 3, scram.ErrOtherVerifier)
	same := of
	r.Keep(ann, &same)
	check("the verifier as it was", ann, salt, 2, nil)
	r.Keep(ann, &again)
	check("another password", ann, salt, 2, ErrNone)
	r.Learn(ann, &of, key)
	r.Keep(ann, nil)
	check("no verifier", ann, salt, 2, ErrNone)
	r.Keep(eve, nil)
}

// TestFull makes room for a new key.
func TestFull(t *testing.T) {
	of, key := scram.Derive("secret", []byte("0123456789abcdef"), 1)
	r := New(3)
	for i := range 5 {
		r.Learn(Owner{"c", fmt.Sprint(i)}, &of, key)
		r.Learn(Owner{"c", fmt.Sprint(i)}, &of, key)
	}
	if r.Len() != 3 || !r.Has(Owner{"c", "4"}) {
		t.Errorf("%d keys, the newest among them: %v", r.Len(), r.Has(Owner{"c", "4"}))
	}
	if s := fmt.Sprintf("%v %+v %#v %s", r, r, r, r); strings.Count(s, "[redacted]") != 4 {
		t.Errorf("it is shown: %s", s)
	}
}

// TestForget: the keys of a user are dropped in every cluster, and those of others are not.
func TestForget(t *testing.T) {
	r := New(9)
	keys, key := scram.Derive("p", []byte("s"), 1)
	for _, o := range []Owner{{"a", "ann"}, {"b", "ann"}, {"a", "bob"}} {
		r.Learn(o, &keys, key)
	}
	n, first := 0, 0
	r.Each(func(Owner) bool { n++; return true })
	r.Each(func(Owner) bool { first++; return false })
	if n != 3 || first != 1 || r.Forget("ann") != 2 || r.Len() != 1 || !r.Has(Owner{"a", "bob"}) || r.Forget("ann") != 0 {
		t.Errorf("listed %d, %d; %d are left", n, first, r.Len())
	}
}
