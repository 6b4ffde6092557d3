// Package cancelkeys is which session a cancel key belongs to, and which proxy has given it out. It never cancels anything.
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

// MaxNumber is the highest number of a proxy. One without others has number 0.
const MaxNumber = 1<<14 - 1

// A key says who gave it out, so that another proxy that is shown it knows whom to pass it on to.
//
// A long secret begins with the number of the proxy, 2 bytes, big-endian. What remains of it are 240 random bits. That is
// more than anybody guesses.
//
// A short secret is random as a whole: it has 32 bits, none to spare. The number is in the process ID, where the proxy
// chooses that: bit 31 is 0, as clients take it for a sign, bit 30 is 1, the number is in bits 16 to 29, and 16 bits count
// sessions. No process of an operating system has bit 30 (Linux ends at 2^22), so a process ID without it is one of a
// server's, or was given out by a proxy without a number, and does not say by whom. Where more than 65,536 sessions are
// there at once some have the same process ID: their secrets differ.
const (
	chosen     = 1 << 30
	serialBits = 16
)

// Key is what a client shows to cancel a statement.
type Key struct {
	PID    uint32
	secret [Long]byte
	n      int
}

// Secret returns the secret part, which aliases the key.
func (k *Key) Secret() []byte { return k.secret[:k.n] }

// Number returns the number of the proxy that has given a key out, 0 where the key does not say. ok is false for what no proxy has
// given out.
func Number(pid uint32, secret []byte) (number uint16, ok bool) {
	switch {
	case pid == 0 || pid > 1<<31-1:
		return 0, false
	case len(secret) == Long:
		number = binary.BigEndian.Uint16(secret)
		return number, number <= MaxNumber
	case len(secret) == Short && pid&chosen != 0:
		number = uint16(pid &^ chosen >> serialBits)
		return number, number != 0
	}
	return 0, len(secret) == Short
}

// Registry finds sessions of type T by their keys. Any thread may use it.
type Registry[T any] struct {
	mu     sync.Mutex
	number uint16
	next   uint32
	owners map[Key]T
}

// New makes an empty registry, whose process IDs begin anywhere.
func New[T any]() *Registry[T] {
	var b [4]byte
	rand.Read(b[:])
	return &Registry[T]{next: binary.BigEndian.Uint32(b[:]), owners: map[Key]T{}}
}

// SetNumber says what number the proxy has from now on. Keys that were given out before stay good.
func (r *Registry[T]) SetNumber(n uint16) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.number = n & MaxNumber
}

// Issue makes a key for owner with a secret of n bytes. pid 0 lets the registry choose a process ID.
func (r *Registry[T]) Issue(owner T, pid uint32, n int) Key {
	r.mu.Lock()
	defer r.mu.Unlock()
	if pid == 0 {
		pid = r.choose()
	}
	k := Key{PID: pid, n: n}
	for {
		rand.Read(k.secret[:n])
		if n == Long {
			binary.BigEndian.PutUint16(k.secret[:], r.number)
		}
		if _, taken := r.owners[k]; !taken {
			r.owners[k] = owner
			return k
		}
	}
}

// choose returns the next process ID. r.mu is held.
func (r *Registry[T]) choose() uint32 {
	r.next++
	if r.number != 0 {
		return chosen | uint32(r.number)<<serialBits | r.next&(1<<serialBits-1)
	}
	if r.next &= chosen - 1; r.next == 0 {
		r.next = 1
	}
	return r.next
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
