package report

import (
	"context"
	"fmt"
	"iter"
	"sync"

	"google.golang.org/protobuf/proto"

	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// maxCommands is how many commands of a control plane are carried out at once.
const maxCommands = 8

// Outcome is what has come of a command.
type Outcome struct {
	Columns []*heliosv1.Column // none: it shows nothing
	Rows    iter.Seq[*heliosv1.Row]
	Tag     string
	Notice  string
	Failure *heliosv1.CommandFailure // in place of the others
}

// commands are those of one stream. Its methods are for the stream's goroutine; each command has one of its own.
type commands struct {
	source  Source
	ctx     context.Context // the stream's
	results chan *heliosv1.CommandResult
	under   map[uint64]context.CancelFunc
	running sync.WaitGroup
}

func newCommands(ctx context.Context, s Source) *commands {
	return &commands{source: s, ctx: ctx, results: make(chan *heliosv1.CommandResult), under: map[uint64]context.CancelFunc{}}
}

// begin carries out a command, unless there are too many. What is to be said first is returned, the rest comes from results.
func (c *commands) begin(w *heliosv1.CommandWanted) *heliosv1.CommandResult {
	id := w.GetId()
	if c.under[id] != nil || len(c.under) >= maxCommands {
		return &heliosv1.CommandResult{Id: id, Answer: &heliosv1.CommandAnswer{Last: true, Failure: &heliosv1.CommandFailure{
			Sqlstate: "53300", Message: fmt.Sprintf("the proxy carries out %d commands of its control plane already", len(c.under)),
			Hint: "Wait until one of them has ended, or interrupt who waits for it.",
		}}}
	}
	ctx, stop := context.WithCancel(c.ctx)
	c.under[id] = stop
	c.running.Go(func() {
		if limit := w.GetPatience().AsDuration(); limit > 0 {
			var end context.CancelFunc
			ctx, end = context.WithTimeout(ctx, limit)
			defer end()
		}
		for part := range parts(c.source.Command(ctx, w.GetText(), w.GetActor())) {
			select {
			case c.results <- &heliosv1.CommandResult{Id: id, Answer: part}:
			case <-c.ctx.Done():
				return
			}
		}
	})
	return &heliosv1.CommandResult{Id: id, Begun: true}
}

// giveUp ends a command that waits. It still says what came of it.
func (c *commands) giveUp(id uint64) {
	if stop := c.under[id]; stop != nil {
		stop()
	}
}

// sent is called with each result that was sent.
func (c *commands) sent(r *heliosv1.CommandResult) {
	if r.GetAnswer().GetLast() {
		c.giveUp(r.GetId())
		delete(c.under, r.GetId())
	}
}

// parts are an outcome in parts that are small enough. The last has last set.
func parts(o *Outcome) iter.Seq[*heliosv1.CommandAnswer] {
	return func(yield func(*heliosv1.CommandAnswer) bool) {
		part, n := &heliosv1.CommandAnswer{Columns: o.Columns}, 0
		if o.Rows != nil {
			for row := range o.Rows {
				size := proto.Size(row) + 8 // what is around it
				if n > 0 && n+size > partBytes {
					if !yield(part) {
						return
					}
					part, n = &heliosv1.CommandAnswer{}, 0
				}
				part.Rows = append(part.Rows, row)
				n += size
			}
		}
		part.Tag, part.Notice, part.Failure, part.Last = o.Tag, o.Notice, o.Failure, true
		yield(part)
	}
}
