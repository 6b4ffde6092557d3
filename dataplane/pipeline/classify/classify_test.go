package classify

import (
	"testing"

	"github.com/heliosproxy/heliosproxy/dataplane/query"
	"github.com/heliosproxy/heliosproxy/dataplane/state/facts"
	"github.com/heliosproxy/heliosproxy/pkg/sqltext"
)

// TestJudge fills in the facts, as the session's strings are read, and decides nothing.
func TestJudge(t *testing.T) {
	for _, c := range []struct {
		name string
		q    query.Query
		want sqltext.Summary
	}{
		{"a text", query.Query{Text: []byte("SET a = 1; SELECT 1"), StdStrings: true}, sqltext.Classify([]byte("SET a = 1; SELECT 1"), true)},
		{"other strings", query.Query{Text: []byte(`SELECT '\'; SET a = '`)}, sqltext.Summary{Statements: 1, First: sqltext.VerbSelect}},
		{"an empty text", query.Query{Text: []byte{}, StdStrings: true}, sqltext.Summary{}},
		{"one that is not looked at", query.Query{Opaque: true}, sqltext.Summary{}},
	} {
		c.q.Known = facts.NewCache(1 << 20)
		if v := (&Stage{}).Judge(&c.q); v.Action != query.Continue || v.Err != nil || c.q.Facts != c.want {
			t.Errorf("%s: facts %+v, want %+v; decided %d", c.name, c.q.Facts, c.want, v.Action)
		}
	}
	if a, b := sqltext.Classify([]byte(`SELECT '\'; SET a = '`), false), sqltext.Classify([]byte(`SELECT '\'; SET a = '`), true); a == b {
		t.Error("the example's strings read the same either way")
	}
}
