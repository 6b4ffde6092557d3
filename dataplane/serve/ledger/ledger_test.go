package ledger

import (
	"fmt"
	"testing"

	"github.com/heliosproxy/heliosproxy/dataplane/pool"
)

// TestOf has an account for each database and pool, and one for all others where there are too many.
func TestOf(t *testing.T) {
	l := Ledger{}
	a, b := l.Of("app", pool.Key{User: "ann"}, false), l.Of("app", pool.Key{User: "bob"}, false)
	if a == b || a != l.Of("app", pool.Key{User: "ann"}, false) || a == l.Of("other", pool.Key{User: "ann"}, false) {
		t.Error("accounts of different clients are one, or those of the same are two")
	}
	for i := range 2 * most {
		l.Of(fmt.Sprint(i), pool.Key{}, false)
	}
	if len(l) != most+1 || l.Of("one more", pool.Key{}, false) != l.Of("and another", pool.Key{}, false) || l.Of("one more", pool.Key{}, false) != l[Key{}] {
		t.Errorf("there are %d accounts", len(l))
	}
	if a != l.Of("app", pool.Key{User: "ann"}, false) {
		t.Error("an account is another one when there are too many")
	}
}

// TestNamed has accounts for databases of the configuration where others have used up theirs, by pool first, then one for all.
func TestNamed(t *testing.T) {
	l := Ledger{}
	for i := range 2 * most {
		l.Of(fmt.Sprint(i), pool.Key{}, false)
	}
	of := func(user string) pool.Key { return pool.Key{Node: "n", User: user} }
	if l.Of("app", of("ann"), true) != l[Key{"app", of("ann")}] {
		t.Error("a database of the configuration is among the others")
	}
	for i := range mostOfAll {
		l.Of("app", of(fmt.Sprint(i)), true)
	}
	if len(l) != mostOfAll+1 || l.Of("app", of("one more"), true) != l[Key{Database: "app"}] {
		t.Errorf("there are %d accounts", len(l))
	}
	if l.Of("shop", of("ann"), true) != l[Key{Database: "shop"}] || l.Of("any", of("ann"), false) != l[Key{}] {
		t.Error("two databases have one account")
	}
}

// TestForget keeps the sum of what it forgets.
func TestForget(t *testing.T) {
	l := Ledger{}
	for i := range 10 {
		l.Of(fmt.Sprint(i), pool.Key{}, false).Queries = uint64(1 + i)
	}
	for range 2 {
		l.Forget(func(k Key) bool { return k.Database == "3" })
		if len(l) != 2 || l[Key{"3", pool.Key{}}].Queries != 4 || l[Key{}].Queries != 55-4 {
			t.Errorf("there are %v", l)
		}
	}
}
