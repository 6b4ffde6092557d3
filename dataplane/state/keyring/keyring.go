// Package keyring keeps the keys that clients have proved by SCRAM to have, so that server connections can be opened for them where the same verifier is stored. It never keeps a key anywhere but in memory.
package keyring

import (
	"errors"
	"maps"
	"sync"

	"github.com/heliosproxy/heliosproxy/pkg/scram"
)

// ErrNone says that an owner has not proved to have a key yet.
var ErrNone = errors.New("it has not logged in by SCRAM since the proxy started")

// Owner is whose key it is: a user at the servers of a cluster.
type Owner struct{ Cluster, User string }

// Ring has a key for each of so many owners. Any thread may use it.
type Ring struct {
	max  int
	mu   sync.Mutex
	keys map[Owner]held
}

type held struct {
	of  *scram.Keys // what the key belongs to
	key scram.ClientKey
}

// New makes a ring with room for max keys. Where there is no room any other key is forgotten: its owner logs in again.
func New(max int) *Ring { return &Ring{max: max, keys: map[Owner]held{}} }

// Learn keeps a key that o has proved to have, which belongs to the keys of, in place of one that it had.
func (r *Ring) Learn(o Owner, of *scram.Keys, key scram.ClientKey) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, has := r.keys[o]; !has && len(r.keys) >= r.max {
		for other := range r.keys {
			delete(r.keys, other)
			break
		}
	}
	r.keys[o] = held{of, key}
}

// Find returns the key of o for the salt and the iterations that a server names. The error is [ErrNone] or
// [scram.ErrOtherVerifier].
func (r *Ring) Find(o Owner, salt []byte, iterations int) (scram.Keys, scram.ClientKey, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	h, ok := r.keys[o]
	if !ok {
		return scram.Keys{}, scram.ClientKey{}, ErrNone
	}
	if err := h.of.Match(salt, iterations); err != nil {
		return scram.Keys{}, scram.ClientKey{}, err
	}
	return *h.of, h.key, nil
}

// All yields the keys of all owners, in no order. Nobody else gets at the ring meanwhile: yield is quick.
func (r *Ring) All(yield func(Owner, *scram.Keys, scram.ClientKey)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for o, h := range r.keys {
		yield(o, h.of, h.key)
	}
}

// Has says whether there is a key of o.
func (r *Ring) Has(o Owner) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, ok := r.keys[o]
	return ok
}

// Keep forgets the key of o unless it belongs to the verifier now, which is nil where o has none any more.
func (r *Ring) Keep(o Owner, now *scram.Keys) {
	r.mu.Lock()
	defer r.mu.Unlock()
	h, ok := r.keys[o]
	if ok && (now == nil || h.of.StoredKey != now.StoredKey || h.of.Match(now.Salt, now.Iterations) != nil) {
		delete(r.keys, o)
	}
}

// Each yields each owner of a key, in no order, until yield returns false. Nobody else gets at the ring meanwhile: yield is quick.
func (r *Ring) Each(yield func(Owner) bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for o := range r.keys {
		if !yield(o) {
			return
		}
	}
}

// Forget drops the keys of a user of any cluster, and returns how many there were. Until the user logs in again no server connection
// is opened by them.
func (r *Ring) Forget(user string) (keys int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	before := len(r.keys)
	maps.DeleteFunc(r.keys, func(o Owner, _ held) bool { return o.User == user })
	return before - len(r.keys)
}

// Len returns how many keys there are.
func (r *Ring) Len() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.keys)
}

// String hides the keys, and so does GoString.
func (r *Ring) String() string { return "[redacted]" }

// GoString hides them from %#v.
func (r *Ring) GoString() string { return r.String() }
