package expect

import (
	"slices"

	"github.com/heliosproxy/heliosproxy/dataplane/state/statement"
	"github.com/heliosproxy/heliosproxy/pkg/pgwire"
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

// Speaks says whether it is a message of the client that comes first of those which are not Syncs, or ends of copy data.
func (q *Queue) Speaks() bool {
	for i := range q.N {
		if e := q.Get(i); e.Kind != Sync && e.Kind != CopyEnd {
			return !e.Hidden
		}
	}
	return false
}

// Prepares says whether the oldest is a Query of the proxy's own, which goes ahead of the client's messages.
func (q *Queue) Prepares() bool { return q.N > 0 && q.Front().Hidden && q.Front().Kind == Query }

// Probed says whether the end of a doubt is among them.
func (q *Queue) Probed() bool {
	for i := range q.N {
		if q.Get(i).Probe {
			return true
		}
	}
	return false
}

// Skipped counts the oldest messages that the server has skipped or ignored, as it gives an answer of type t which none of them has:
// behind a COPY that has failed, Syncs, ends of copy data, and units up to one that begins with a message which is answered so.
func (q *Queue) Skipped(t byte) (n int) {
	for i := 0; i < q.N; i++ {
		e := q.Get(i)
		switch {
		case e.Bad && t == pgwire.ErrorResponse:
			return i
		case e.Kind == Sync || e.Kind == CopyEnd:
			if n == i {
				n++
			}
			continue
		case e.Kind.begins(t):
			return i
		}
		for i < q.N && ends>>q.Get(i).Kind&1 == 0 {
			i++
		}
	}
	return n
}

// begins says whether the answer to a message of the kind may begin with a message of type t.
func (k Kind) begins(t byte) bool {
	switch t {
	case pgwire.ParseComplete:
		return k == Parse
	case pgwire.BindComplete:
		return k == Bind
	case pgwire.CloseComplete:
		return k == Close
	case pgwire.ParameterDescription, pgwire.NoData:
		return k == Describe
	case pgwire.RowDescription:
		return k == Describe || k == Query
	case pgwire.FunctionCallResponse:
		return k == Function
	case pgwire.ErrorResponse, pgwire.NoticeResponse:
		return true
	}
	return k == Execute || k == Query
}

// Unit counts the messages that the server skips if the oldest fails: up to the first Sync, if that one is not answered by ReadyForQuery
// itself.
func (q *Queue) Unit() (n int) {
	if q.N > 0 && ends>>q.Front().Kind&1 != 0 {
		return 0
	}
	for n < q.N && q.Get(n).Kind != Sync {
		n++
	}
	return n
}
