// Package pipeline runs the stages that decide about a statement, in their order. It never relays anything and never waits.
package pipeline

import "github.com/heliosproxy/heliosproxy/dataplane/query"

// Stage looks at a statement, adds what it found out, and decides. Stages are immutable and serve all
// loops at once.
type Stage interface {
	Judge(q *query.Query) query.Verdict
}

// Runner is the stages of a compiled configuration. It is immutable.
type Runner struct{ stages []Stage }

// New makes a runner of stages, which run in the given order.
func New(stages ...Stage) *Runner { return &Runner{stages} }

// Judge runs the stages until one decides otherwise than to go on.
func (r *Runner) Judge(q *query.Query) query.Verdict {
	for _, s := range r.stages {
		if v := s.Judge(q); v.Action != query.Continue {
			return v
		}
	}
	return query.Verdict{}
}
