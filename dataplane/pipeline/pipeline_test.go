package pipeline

import (
	"strings"
	"testing"

	"github.com/heliosproxy/heliosproxy/dataplane/query"
	"github.com/heliosproxy/heliosproxy/pkg/pgerr"
)

// stage adds its letter to the text and decides what it was told to.
type stage struct {
	letter byte
	action query.Action
}

func (s stage) Judge(q *query.Query) query.Verdict {
	q.Text = append(q.Text, s.letter)
	if s.action == query.Reject {
		return query.Verdict{Action: query.Reject, Err: pgerr.New(pgerr.Canceled)}
	}
	return query.Verdict{}
}

// TestOrder runs stages in their order, up to the first that decides otherwise than to go on.
func TestOrder(t *testing.T) {
	for _, c := range []struct {
		stages string // upper case: rejects
		ran    string
		action query.Action
	}{
		{"", "", query.Continue}, {"abc", "abc", query.Continue}, {"aBc", "aB", query.Reject}, {"A", "A", query.Reject}, {"abC", "abC", query.Reject},
	} {
		var stages []Stage
		for _, l := range []byte(c.stages) {
			s := stage{letter: l}
			if strings.ToUpper(string(l)) == string(l) {
				s.action = query.Reject
			}
			stages = append(stages, s)
		}
		var q query.Query
		v := New(stages...).Judge(&q)
		if string(q.Text) != c.ran || v.Action != c.action || (v.Err != nil) != (c.action == query.Reject) {
			t.Errorf("%q: ran %q, decided %d with %v", c.stages, q.Text, v.Action, v.Err)
		}
	}
}
