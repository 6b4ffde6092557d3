package ledger

import (
	"fmt"
	"testing"

	"github.com/heliosproxy/heliosproxy/dataplane/pool"
)

// TestOf has an account for each database and pool, and one for all others where there are too many.
func TestOf(t *testing.T) {
	l := Ledger{}
	a, b := l.Of("app", pool.Key{User: "ann"}), l.Of("app", pool.Key{User: "bob"})
	if a == b || a != l.Of("app", pool.Key{User: "ann"}) || a == l.Of("other", pool.Key{User: "ann"}) {
		t.Error("accounts of different clients are one, or those of the same are two")
	}
	for i := range 2 * most {
		l.Of(fmt.Sprint(i), pool.Key{})
	}
	if len(l) != most+1 || l.Of("one more", pool.Key{}) != l.Of("and another", pool.Key{}) || l.Of("one more", pool.Key{}) != l[Key{}] {
		t.Errorf("there are %d accounts", len(l))
	}
	if a != l.Of("app", pool.Key{User: "ann"}) {
		t.Error("an account is another one when there are too many")
	}
}
