// Package channels is what one session listens to by the connection that listens for all: its channels, what its transaction is about to change of them, and the notifications that wait for it. It never does I/O and knows no server.
//
// PostgreSQL's rules hold: LISTEN and UNLISTEN take effect when the transaction commits, a notification is for who listens to its
// channel at the moment when it is delivered, and it is delivered when no transaction is open.
package channels

import (
	"slices"

	"github.com/heliosproxy/heliosproxy/pkg/pgwire"
)

// Set is the channels of one session. It belongs to the loop of the session.
type Set struct {
	have map[string]struct{}
	asks map[string]ask // what is asked of the listener, or confirmed by it
	ops  []op           // of the transaction, in their order
	wait queue
}

// ask is a request to the listener.
type ask struct {
	serial uint64
	state  State
}

// State is how far a request has come.
type State uint8

// The states.
const (
	Unasked   State = iota
	Asked           // the answer is to come
	Confirmed       // the server listens
	Refused         // it does not
)

// op is something that the transaction has done.
type op struct {
	does verb
	name string
}

type verb uint8

const (
	listen verb = iota
	unlisten
	unlistenAll
	savepoint
)

// State returns how far the request for a channel has come.
func (s *Set) State(name string) State { return s.asks[name].state }

// Ask notes that the listener is asked for the channel, under the serial number.
func (s *Set) Ask(name string, serial uint64) {
	if s.asks == nil {
		s.asks = map[string]ask{}
	}
	s.asks[name] = ask{serial, Asked}
}

// Answer takes the listener's answer. It is false for an answer to a request that nobody waits for.
func (s *Set) Answer(name string, serial uint64, ok bool) bool {
	a := s.asks[name]
	if a.state != Asked || a.serial != serial {
		return false
	}
	a.state = Refused
	if ok {
		a.state = Confirmed
	}
	s.asks[name] = a
	return true
}

// Forget forgets a request.
func (s *Set) Forget(name string) { delete(s.asks, name) }

// Asking says whether an answer is to come.
func (s *Set) Asking() bool {
	for _, a := range s.asks {
		if a.state == Asked {
			return true
		}
	}
	return false
}

// Listen notes that the transaction has said LISTEN.
func (s *Set) Listen(name string) { s.ops = append(s.ops, op{listen, name}) }

// Unlisten notes that the transaction has said UNLISTEN.
func (s *Set) Unlisten(name string) { s.ops = append(s.ops, op{unlisten, name}) }

// UnlistenAll notes that the transaction has said UNLISTEN *.
func (s *Set) UnlistenAll() { s.ops = append(s.ops, op{does: unlistenAll}) }

// Savepoint notes that the transaction has made a savepoint.
func (s *Set) Savepoint(name string) { s.ops = append(s.ops, op{savepoint, name}) }

// Release notes that the savepoint is released, and with it those that were made after it.
func (s *Set) Release(name string) {
	at := s.find(name)
	if at < 0 {
		return
	}
	kept := s.ops[:at]
	for _, o := range s.ops[at:] {
		if o.does != savepoint {
			kept = append(kept, o)
		}
	}
	s.ops = kept
}

// RollbackTo undoes what was done since the savepoint was made.
func (s *Set) RollbackTo(name string) {
	if at := s.find(name); at >= 0 {
		s.ops = s.ops[:at+1]
	}
}

// find returns where the newest savepoint of the name is, -1 where there is none.
func (s *Set) find(name string) int {
	for i := len(s.ops) - 1; i >= 0; i-- {
		if s.ops[i] == (op{savepoint, name}) {
			return i
		}
	}
	return -1
}

// Commit makes what the transaction has done count.
func (s *Set) Commit() {
	for _, o := range s.ops {
		switch o.does {
		case listen:
			if s.have == nil {
				s.have = map[string]struct{}{}
			}
			s.have[o.name] = struct{}{}
		case unlisten:
			delete(s.have, o.name)
		case unlistenAll:
			clear(s.have)
		}
	}
	s.ops = s.ops[:0]
}

// Rollback drops what the transaction has done.
func (s *Set) Rollback() { s.ops = s.ops[:0] }

// Settle ends all requests that came to nothing, and returns the channels that the session has no use for any more. It is
// called when no transaction is open and nothing is under way.
func (s *Set) Settle() (drop []string) {
	for name, a := range s.asks {
		if _, ok := s.have[name]; ok || a.state == Asked {
			continue
		}
		if a.state == Confirmed {
			drop = append(drop, name)
		}
		delete(s.asks, name)
	}
	return drop
}

// Has says whether the session listens to the channel.
func (s *Set) Has(name string) bool {
	_, ok := s.have[name]
	return ok
}

// Names returns the channels that the session listens to, in order.
func (s *Set) Names() []string {
	names := make([]string, 0, len(s.have))
	for name := range s.have {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Empty says whether there is nothing to remember: no channel, no request, no notification.
func (s *Set) Empty() bool { return len(s.have)+len(s.asks)+len(s.ops) == 0 && s.wait.empty() }

// Reask forgets all requests, as the listener is another one, and returns the channels that it has to be asked for.
func (s *Set) Reask() []string {
	clear(s.asks)
	return s.Names()
}

// Take keeps a notification until it can be delivered. busy says that something of the session is under way which may be its
// COMMIT: then one for a channel that is not listened to yet is kept too. It says whether there was room: where there is none,
// the session will be told that notifications were lost. The message is shared and is not changed.
func (s *Set) Take(channel string, message []byte, busy bool) (ok bool) {
	if !s.Has(channel) && !busy {
		return true
	}
	return s.wait.push(item{channel, message})
}

// Lose notes that notifications may have been lost before those that come now.
func (s *Set) Lose() { s.wait.lose() }

// Purge drops the notifications for channels that the session does not listen to: the transaction that would is still open, or
// is over.
func (s *Set) Purge() { s.wait.purge(s.Has) }

// Waiting says whether something waits to be delivered.
func (s *Set) Waiting() bool { return !s.wait.empty() }

// Deliver appends what waits to dst, until dst has at least max bytes. Where notifications were lost, or are not fit for the
// session, lost is called to append words about that for a session that listens. It returns how many were delivered, and how many were
// not fit.
func (s *Set) Deliver(dst []byte, max int, fit func(message []byte) bool, lost func(dst []byte) []byte) (out []byte, delivered, unfit int) {
	was := false // the last words were about a loss
	for len(dst) < max && !s.wait.empty() {
		it := s.wait.pop()
		switch {
		case it.message == nil && len(s.have) == 0 || it.message != nil && !s.Has(it.channel):
		case it.message != nil && fit(it.message):
			dst = append(dst, it.message...)
			delivered++
			was = false
		default:
			if it.message != nil {
				unfit++
			}
			if !was {
				dst = lost(dst)
			}
			was = true
		}
	}
	return dst, delivered, unfit
}

// AppendLost appends a notification with the payload on each channel.
func (s *Set) AppendLost(dst []byte, payload string) []byte {
	for _, name := range s.Names() {
		dst = pgwire.AppendNotification(dst, 0, name, payload)
	}
	return dst
}
