package backend

import (
	"bytes"
	"strconv"

	"github.com/heliosproxy/heliosproxy/dataplane/reactor"
	"github.com/heliosproxy/heliosproxy/pkg/scram"
)

// stretched is the keys of a password for a salt. They are there when done is closed.
type stretched struct {
	id   string // the salt and the iterations
	done chan struct{}
	keys scram.Keys
	key  scram.ClientKey
}

// find returns the keys for the salt: those that were proved, or the password's.
func (s *Secret) find(t *reactor.Task, salt []byte, n int) (scram.Keys, scram.ClientKey, error) {
	if s.ring != nil {
		return s.ring.Find(s.owner, salt, n)
	}
	return s.stretch(t, salt, n)
}

// stretch returns the keys for the salt, from memory or made outside the loop: who comes first makes them, and whoever comes meanwhile
// waits for that, as when many connections are opened at once.
func (s *Secret) stretch(t *reactor.Task, salt []byte, n int) (keys scram.Keys, key scram.ClientKey, err error) {
	id := string(salt) + "/" + strconv.Itoa(n)
	s.mu.Lock()
	x := s.have
	made, making := x != nil && x.id == id, false
	if !made {
		if x = s.under; x != nil && x.id == id {
			making = true
		} else {
			x = &stretched{id: id, done: make(chan struct{})}
			s.under = x
		}
	}
	s.mu.Unlock()
	switch {
	case made:
	case making:
		_, err = reactor.Await(t, func() (struct{}, error) { <-x.done; return struct{}{}, nil })
	default:
		own := bytes.Clone(salt)
		_, err = reactor.Compute(t, func() (struct{}, error) { s.make(x, own, n); return struct{}{}, nil })
	}
	if err != nil {
		return keys, key, err
	}
	return x.keys, x.key, nil
}

// make makes x, for all who wait for it: also if who has begun it does so no more.
func (s *Secret) make(x *stretched, salt []byte, n int) {
	derive := s.derive
	if derive == nil {
		derive = scram.Derive
	}
	x.keys, x.key = derive(s.password, salt, n)
	s.mu.Lock()
	s.have = x
	if s.under == x {
		s.under = nil
	}
	s.mu.Unlock()
	close(x.done)
}
