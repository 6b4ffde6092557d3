package session

import (
	"github.com/heliosproxy/heliosproxy/dataplane/state/statement"
	"github.com/heliosproxy/heliosproxy/pkg/pgerr"
)

// kind is the message that an expectation is for.
type kind uint8

const (
	parse kind = iota
	bind
	describe
	execute
	closing
	sync
	simple   // Query
	function // FunctionCall
	copyEnd  // CopyDone or CopyFail: marks the place, has no answer
	virtual  // a Parse that the proxy answers itself, in its turn
)

// expect is what the server will answer to one message.
type expect struct {
	kind    kind
	hidden  bool // the proxy's own message: its answer is not for the client
	again   bool // a Parse of what the server connection has already
	ordinal uint16
	st      *statement.Statement // prepared, closed
	name    string               // the client's name for it
	effects *statement.Effects   // of executing it
	refusal *pgerr.Error         // stands for the error that comes
	before  *before              // what a Parse of the unnamed statement has replaced, if it can be skipped
}

// queue is a ring of expectations, the oldest first.
type queue struct {
	ring []expect // its length is a power of two
	at   int
	n    int
}

const queueKeep = 64 // expectations that an idle session may keep room for

func (q *queue) push(e expect) {
	if q.n == len(q.ring) {
		ring := make([]expect, max(8, 2*len(q.ring)))
		for i := range q.n {
			ring[i] = *q.get(i)
		}
		q.ring, q.at = ring, 0
	}
	q.ring[(q.at+q.n)&(len(q.ring)-1)] = e
	q.n++
}

// get returns the i-th expectation.
func (q *queue) get(i int) *expect { return &q.ring[(q.at+i)&(len(q.ring)-1)] }

// front returns the oldest expectation, nil where there is none.
func (q *queue) front() *expect {
	if q.n == 0 {
		return nil
	}
	return &q.ring[q.at]
}

func (q *queue) pop() {
	q.ring[q.at] = expect{}
	q.at = (q.at + 1) & (len(q.ring) - 1)
	if q.n--; q.n == 0 && len(q.ring) > queueKeep {
		*q = queue{}
	}
}

// remove takes the i-th expectation out.
func (q *queue) remove(i int) {
	for ; i+1 < q.n; i++ {
		*q.get(i) = *q.get(i + 1)
	}
	*q.get(q.n - 1) = expect{}
	q.n--
}

// owed counts the ReadyForQuery messages that are to come.
func (q *queue) owed() (n int) {
	for i := range q.n {
		if k := q.get(i).kind; k == sync || k == simple || k == function {
			n++
		}
	}
	return n
}

// hidden says whether an answer is to come that is for the proxy.
func (q *queue) hidden() bool {
	for i := range q.n {
		if q.get(i).hidden {
			return true
		}
	}
	return false
}
