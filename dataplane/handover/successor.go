package handover

import (
	"slices"
	"sync"

	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// Successor is the process that takes the place of this one. What it is told waits in a queue: nobody waits for it but who says that
// all is done. Any goroutine may use it.
type Successor struct {
	l           *link
	understands uint32

	mu      sync.Mutex
	queue   []message
	more    chan struct{} // the queue is not empty
	over    chan struct{} // closed when nothing is told any more
	written chan struct{} // closed by the writer when it has ended
	err     error         // why nothing more can be told
}

// message is something to be told, with descriptors that stay open here until the successor has them.
type message struct {
	m    *heliosv1.FromPredecessor
	fds  []int
	last bool
}

// understands is how much of a session this version understands, as SuccessorHello has it.
const understands = 1

func newSuccessor(l *link) *Successor {
	s := &Successor{l: l, more: make(chan struct{}, 1), over: make(chan struct{}), written: make(chan struct{})}
	go s.write()
	return s
}

// write tells what is in the queue, until nothing more can be told.
func (s *Successor) write() {
	defer close(s.written)
	for {
		select {
		case <-s.more:
		case <-s.over:
			return
		}
		s.mu.Lock()
		all := s.queue
		s.queue = nil
		s.mu.Unlock()
		for _, x := range all {
			if err := s.l.write(x.m, x.fds...); err != nil || x.last {
				s.err = err // whoever reads from a broken link learns that too
				return
			}
		}
	}
}

// say puts something into the queue.
func (s *Successor) say(m *heliosv1.FromPredecessor, fds ...int) { s.put(message{m: m, fds: fds}) }

func (s *Successor) put(x message) {
	s.mu.Lock()
	s.queue = append(s.queue, x)
	s.mu.Unlock()
	select {
	case s.more <- struct{}{}:
	default:
	}
}

// end ends the writer. Nothing is told any more.
func (s *Successor) end() {
	_ = s.l.c.Close() // it may be within a message
	close(s.over)
	<-s.written
}

// Session hands a session over, with the descriptor of its client, and of its server connection if it keeps one. They stay open here.
func (s *Successor) Session(c *heliosv1.CarriedSession, fds ...int) {
	s.say(&heliosv1.FromPredecessor{Message: &heliosv1.FromPredecessor_Session{Session: c}}, fds...)
}

// Needed asks for a place in a pool to be given back.
func (s *Successor) Needed(pool *heliosv1.PoolName) {
	s.say(&heliosv1.FromPredecessor{Message: &heliosv1.FromPredecessor_PlaceNeeded{PlaceNeeded: pool}})
}

// Done says that nothing is left here, and waits until that is said.
func (s *Successor) Done() error {
	s.put(message{m: &heliosv1.FromPredecessor{Message: &heliosv1.FromPredecessor_Done{Done: true}}, last: true})
	<-s.written
	return s.err
}

// Understands says whether the successor can make of a session what it is here: one of an older version may not.
func (s *Successor) Understands(c *heliosv1.CarriedSession) bool {
	if s.understands >= understands {
		return true
	}
	told := func(st *heliosv1.CarriedStatement) bool { return st.GetEffects() != nil }
	return c.GetServer() == nil && c.GetListening() == nil && !told(c.GetUnnamed()) && !slices.ContainsFunc(c.GetStatements(), told)
}
