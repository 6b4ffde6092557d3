package expect

import (
	"slices"

	"github.com/heliosproxy/heliosproxy/dataplane/state/statement"
)

// BeginCopy takes out the Syncs that were sent ahead of the data of a COPY which now begins: the server ignores them. Of one that
// was sent among the data that is known when the COPY has ended, and what is behind any other message is none: the server takes no
// other during a COPY. ended says that the end of the data was sent too, ignored that there was such a Sync.
func (q *Queue) BeginCopy() (ended, ignored bool) {
	for i := 1; i < q.N; {
		switch x := q.Get(i); {
		case x.Kind == CopyEnd:
			return true, ignored
		case x.Kind == Sync && !x.Doubt:
			q.Remove(i)
			ignored = true
		case x.Kind == Sync:
			i++
		default:
			return false, ignored
		}
	}
	return false, ignored
}

// EndCopy forgets, when a COPY has succeeded, the Syncs that the server has ignored.
func (q *Queue) EndCopy() {
	for i := 1; i < q.N; {
		switch x := q.Get(i); {
		case x.Kind == CopyEnd:
			q.Remove(i)
			return
		case x.Doubt:
			q.Remove(i)
		default:
			i++
		}
	}
}

// Parsing returns the statements that are parsed behind the oldest message and not closed again: the server will have them, whatever
// that one does.
func (q *Queue) Parsing() (sts []*statement.Statement) {
	for i := 1; i < q.N; i++ {
		switch e := q.Get(i); {
		case e.Kind == Parse && e.Statement != nil && !e.Again:
			sts = append(sts, e.Statement)
		case e.Kind == Close && e.Hidden:
			sts = slices.DeleteFunc(sts, func(st *statement.Statement) bool { return st.Name == e.Name })
		}
	}
	return sts
}

// Apart says whether the oldest message is in a unit of the proxy's own, and what comes behind that.
func (q *Queue) Apart() (next *Answer, ok bool) {
	for i := 0; i+1 < q.N; i++ {
		if e := q.Get(i); e.Kind == Sync {
			return q.Change(i + 1), e.Hidden
		}
	}
	return nil, false
}

// Ignored takes off the Syncs, and ends of copy data, that are the oldest: the server has ignored them.
func (q *Queue) Ignored() {
	for e := q.Front(); e != nil && (e.Kind == Sync || e.Kind == CopyEnd); e = q.Front() {
		q.Pop()
	}
}

// Speaks says whether it is a message of the client that comes first of those which are not Syncs, or ends of copy data.
func (q *Queue) Speaks() bool {
	for i := range q.N {
		if e := q.Get(i); e.Kind != Sync && e.Kind != CopyEnd {
			return !e.Hidden
		}
	}
	return false
}

// Unanswered counts the messages ahead of the one that ends a doubt, where a CloseComplete can be for no other: a Query, or a
// FunctionCall, is the first of them which is no Sync.
func (q *Queue) Unanswered() int {
	first := Close
	for i := range q.N {
		e := q.Get(i)
		if e.Probe && first != Close {
			return i
		}
		if first == Close && e.Kind != Sync && e.Kind != CopyEnd {
			if first = e.Kind; first != Query && first != Function {
				return 0
			}
		}
	}
	return 0
}
