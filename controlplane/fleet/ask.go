package fleet

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// question is what a proxy is asked, and where its answer goes, part by part.
type question struct {
	id    uint64
	parts chan *heliosv1.StreamStatusRequest
	left  chan struct{} // closed when nobody takes parts any more
	slow  chan struct{} // closed when parts were dropped, as they were not taken in time
}

// numbered is the question that a message answers, and whether that is its end; 0 if it answers none.
func numbered(m *heliosv1.StreamStatusRequest) (id uint64, last bool) {
	if d := m.GetConfigDump(); d != nil {
		return d.GetId(), d.GetLast()
	}
	r := m.GetCommandResult()
	return r.GetId(), r.GetAnswer().GetLast()
}

// answered hands a part of an answer to who has asked. It waits for him, but not for long: others hear of the proxy too.
func (f *Fleet) answered(r *reporter, m *heliosv1.StreamStatusRequest) {
	id, last := numbered(m)
	f.mu.Lock()
	q := r.questions[id]
	if last {
		delete(r.questions, id)
	}
	f.mu.Unlock()
	if q == nil {
		return
	}
	late := time.NewTimer(reportEvery)
	defer late.Stop()
	select {
	case q.parts <- m:
	case <-q.left:
	case <-r.gone:
	case <-late.C:
		f.mu.Lock()
		delete(r.questions, id)
		f.mu.Unlock()
		close(q.slow)
	}
}

// OfflineError is that a proxy cannot be asked.
type OfflineError struct {
	Node     string
	LastSeen time.Time // zero if it was never seen
}

// Error says since when.
func (e *OfflineError) Error() string {
	if e.LastSeen.IsZero() {
		return fmt.Sprintf("no proxy %q is known here", e.Node)
	}
	return fmt.Sprintf("proxy %q is not connected, it was seen last at %s", e.Node, e.LastSeen.Format(time.RFC3339))
}

// UnansweredError is that a proxy was asked and has not answered to the end.
type UnansweredError struct {
	Node, Why string
	Asked     bool // it was sent what it was asked for, so it may have done that
}

// Error says why.
func (e *UnansweredError) Error() string { return fmt.Sprintf("proxy %q %s", e.Node, e.Why) }

// reach returns the status stream of a proxy that was opened last, as an earlier one may be dead. Where the proxy follows its
// configuration, and has no status stream yet, as after a restart of the control plane, it waits for one, for at most a time.
func (f *Fleet) reach(ctx context.Context, id string, wait time.Duration) (*reporter, error) {
	late := time.NewTimer(wait)
	defer late.Stop()
	for {
		r, coming, changed, err := f.newest(id)
		if r != nil || !coming {
			return r, err
		}
		select {
		case <-changed:
		case <-late.C:
			return nil, err
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// newest returns a stream, or whether one may be coming, what to wait for then, and why there is none.
func (f *Fleet) newest(id string) (newest *reporter, coming bool, changed <-chan struct{}, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := f.nodes[id]
	if n == nil {
		return nil, false, nil, &OfflineError{Node: id}
	}
	for r := range n.reporters {
		if newest == nil || r.number > newest.number {
			newest = r
		}
	}
	if newest == nil {
		err = &OfflineError{Node: id, LastSeen: n.lastSeen}
	}
	return newest, n.configs > 0, f.changed, err
}

// ask sends a proxy what wanted makes of a number, and yields the parts of its answer until last. begin bounds the time until the proxy is
// there, and that until the first part comes; 0 waits for no proxy and any time for a part. Where somebody gives up, with ctx or by an error of yield, the proxy is told by what givenUp makes, unless
// that is nil.
func (f *Fleet) ask(ctx context.Context, node string, begin time.Duration, wanted, givenUp func(id uint64) *heliosv1.StreamStatusResponse,
	yield func(*heliosv1.StreamStatusRequest) error,
) (err error) {
	r, err := f.reach(ctx, node, begin)
	if err != nil {
		return err
	}
	q := &question{parts: make(chan *heliosv1.StreamStatusRequest), left: make(chan struct{}), slow: make(chan struct{})}
	f.mu.Lock()
	f.asked++
	q.id = f.asked
	r.questions[q.id] = q
	f.mu.Unlock()
	defer func() {
		close(q.left)
		f.mu.Lock()
		_, open := r.questions[q.id]
		delete(r.questions, q.id)
		f.mu.Unlock()
		if open && givenUp != nil {
			soon, stop := context.WithTimeout(context.WithoutCancel(ctx), reportEvery)
			defer stop()
			_ = r.say(soon, givenUp(q.id)) // a proxy that is not told waits for as long as the command has patience
		}
	}()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err := r.say(ctx, wanted(q.id)); err != nil {
		return err
	}
	unanswered := func(why string, args ...any) error { return &UnansweredError{node, fmt.Sprintf(why, args...), true} }
	var late <-chan time.Time
	if begin > 0 {
		t := time.NewTimer(begin)
		defer t.Stop()
		late = t.C
	}
	for {
		select {
		case m := <-q.parts:
			late = nil
			_, last := numbered(m)
			if err := yield(m); err != nil || last {
				return err
			}
		case <-late:
			return unanswered("has not answered within %v: it is older than this control plane and does not know commands, or it hangs", begin)
		case <-q.slow:
			return unanswered("has said more than could be taken in time")
		case <-r.gone:
			return unanswered("was lost before it had answered")
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// say has a message sent to the proxy.
func (r *reporter) say(ctx context.Context, m *heliosv1.StreamStatusResponse) error {
	select {
	case r.out <- m:
		return nil
	case <-r.gone:
		return &UnansweredError{Node: r.node, Why: "was lost before it could be asked"}
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Dump asks a proxy what it really runs and yields the parts of its answer.
func (f *Fleet) Dump(ctx context.Context, node string, yield func(*heliosv1.ConfigDump) error) error {
	return f.ask(ctx, node, 0, func(id uint64) *heliosv1.StreamStatusResponse {
		return &heliosv1.StreamStatusResponse{Message: &heliosv1.StreamStatusResponse_ConfigWanted{ConfigWanted: &heliosv1.ConfigWanted{Id: id}}}
	}, nil, func(m *heliosv1.StreamStatusRequest) error { return yield(m.GetConfigDump()) })
}

// Command is a command of the console.
type Command struct {
	Text, Actor string
	Patience    time.Duration // how long it may wait at the proxy
}

// begins is how long a proxy may take to say that it has taken up a command.
const begins = 5 * time.Second

// Command has a proxy carry out a command, and yields the parts of its answer. It is given up with ctx.
func (f *Fleet) Command(ctx context.Context, node string, c Command, yield func(*heliosv1.CommandAnswer) error) error {
	return f.ask(ctx, node, begins, func(id uint64) *heliosv1.StreamStatusResponse {
		return &heliosv1.StreamStatusResponse{Message: &heliosv1.StreamStatusResponse_CommandWanted{
			CommandWanted: &heliosv1.CommandWanted{Id: id, Text: c.Text, Actor: c.Actor, Patience: durationpb.New(c.Patience)},
		}}
	}, func(id uint64) *heliosv1.StreamStatusResponse {
		return &heliosv1.StreamStatusResponse{Message: &heliosv1.StreamStatusResponse_CommandGivenUp{CommandGivenUp: &heliosv1.CommandGivenUp{Id: id}}}
	}, func(m *heliosv1.StreamStatusRequest) error {
		if a := m.GetCommandResult().GetAnswer(); a != nil {
			return yield(a)
		}
		return nil
	})
}
