// Package cancelkeys is which session a cancel key belongs to. It never cancels anything.
package cancelkeys

import (
	"crypto/rand"
	"encoding/binary"
	"sync"
)

// Lengths of secrets: of protocol 3.0, and what is given to clients of 3.2.
const (
	Short = 4
	Long  = 32
)

// Key is what a client shows to cancel a statement.
type Key struct {
	PID    uint32
	secret [Long]byte
	n      int
}

// Secret returns the secret part, which aliases the key.
func (k *Key) Secret() []byte { return k.secret[:k.n] }

// Registry finds sessions of type T by their keys. Any thread may use it.
type Registry[T any] struct {
	mu     sync.Mutex
	next   uint32
	owners map[Key]T
}

// New makes an empty registry, whose process IDs begin anywhere.
func New[T any]() *Registry[T] {
	var b [4]byte
	rand.Read(b[:])
	return &Registry[T]{next: binary.BigEndian.Uint32(b[:]), owners: map[Key]T{}}
}

// Issue makes a key for owner with a secret of n bytes. pid 0 lets the registry choose a process ID.
func (r *Registry[T]) Issue(owner T, pid uint32, n int) Key {
	k := Key{PID: pid, n: n}
	rand.Read(k.secret[:n])
	r.mu.Lock()
	defer r.mu.Unlock()
	if pid == 0 {
		r.next++
		if r.next &= 0x7fffffff; r.next == 0 {
			r.next = 1
		}
		k.PID = r.next
	}
	r.owners[k] = owner
	return k
}

// Restore makes a key good again that another process has issued.
func (r *Registry[T]) Restore(owner T, pid uint32, secret []byte) Key {
	k := Key{PID: pid, n: min(len(secret), Long)}
	copy(k.secret[:], secret)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.owners[k] = owner
	return k
}

// Find returns the owner of the key that a client shows.
func (r *Registry[T]) Find(pid uint32, secret []byte) (owner T, ok bool) {
	k := Key{PID: pid, n: len(secret)}
	if copy(k.secret[:], secret) < len(secret) {
		return owner, false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	owner, ok = r.owners[k]
	return owner, ok
}

// Revoke forgets a key.
func (r *Registry[T]) Revoke(k Key) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.owners, k)
}
