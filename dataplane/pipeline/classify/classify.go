// Package classify is the stage that finds out what a statement's text is. It never decides what becomes of it.
package classify

import (
	"github.com/heliosproxy/heliosproxy/dataplane/pipeline"
	"github.com/heliosproxy/heliosproxy/dataplane/query"
)

// Stage fills the facts of a query.
type Stage struct{}

// Judge classifies the text.
func (*Stage) Judge(q *query.Query) query.Verdict {
	if q.Text != nil {
		t := q.Known.Of(q.Text, q.StdStrings)
		q.Facts, q.Shape = t.Summary, t.Shape
	}
	return query.Verdict{}
}

var _ pipeline.Stage = (*Stage)(nil)
