// Package route is the stage that chooses the role of the server for a statement. It never chooses a connection.
package route

import (
	"github.com/heliosproxy/heliosproxy/dataplane/pipeline"
	"github.com/heliosproxy/heliosproxy/dataplane/query"
)

// Stage sends every statement to the primary, which is where all of them may go.
type Stage struct{}

// Judge fills the target of a query.
func (*Stage) Judge(q *query.Query) query.Verdict {
	q.Target = query.Primary
	return query.Verdict{}
}

var _ pipeline.Stage = (*Stage)(nil)
