package route

import (
	"testing"

	"github.com/heliosproxy/heliosproxy/dataplane/query"
)

// TestJudge sends everything to the primary, whatever the query said before.
func TestJudge(t *testing.T) {
	q := query.Query{Target: query.Target(99)}
	if v := (&Stage{}).Judge(&q); v.Action != query.Continue || q.Target != query.Primary {
		t.Errorf("target %d, decided %d", q.Target, v.Action)
	}
}
