package users

import (
	"maps"
	"sync"
)

// Place is where users are looked up: a database of a cluster, by a query, as somebody.
type Place struct{ Cluster, Database, Query, As string }

// Book has what databases have said of their users, for as long as it is good. Any thread may use it.
type Book struct {
	max   int
	mu    sync.Mutex
	users map[entry]Known
}

type entry struct {
	place Place
	name  string
}

// Known is what a database has said of a name.
type Known struct {
	User  *User // nil: nobody who may log in has it
	Asked int64 // when, in nanoseconds since 1970
	Until int64 // the secret is not good from then on, if that is not 0
}

// Good returns the user if the secret is good at that time, in nanoseconds since 1970. Who has one that is not is nobody, as for
// PostgreSQL (rolvaliduntil; CVE-2025-2291 of PgBouncer).
func (k Known) Good(now int64) *User {
	if k.Until != 0 && now >= k.Until {
		return nil
	}
	return k.User
}

// NewBook makes a book with room for max names. Where there is no room any other one is forgotten, and asked for again.
func NewBook(max int) *Book { return &Book{max: max, users: map[entry]Known{}} }

// Find returns what is known of a name; ok is false if that was asked for before since.
func (b *Book) Find(p Place, name string, since int64) (k Known, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	k, ok = b.users[entry{p, name}]
	return k, ok && k.Asked >= since
}

// Put notes what was said of a name. It returns the user as it is to be used: the one that was there before, if its secret is
// the same, with the keys that were made of it.
func (b *Book) Put(p Place, name string, k Known) Known {
	b.mu.Lock()
	defer b.mu.Unlock()
	at := entry{p, name}
	old, has := b.users[at]
	if has && old.User != nil && k.User != nil && old.User.secret == k.User.secret {
		k.User = old.User
	}
	if !has && len(b.users) >= b.max {
		for other := range b.users {
			delete(b.users, other)
			break
		}
	}
	b.users[at] = k
	return k
}

// Secret returns the secret of a name as it was said last, empty if none was.
func (b *Book) Secret(p Place, name string) string {
	if b == nil {
		return ""
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if u := b.users[entry{p, name}].User; u != nil {
		return u.secret
	}
	return ""
}

// Each yields what is known of each name, in no order, until yield returns false. Nobody else gets at the book meanwhile: yield is quick.
func (b *Book) Each(yield func(p Place, name string, k Known) bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for at, k := range b.users {
		if !yield(at.place, at.name, k) {
			return
		}
	}
}

// Forget drops what is known of a name everywhere, so that it is asked for again, and returns in how many places that was.
func (b *Book) Forget(name string) (places int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	before := len(b.users)
	maps.DeleteFunc(b.users, func(at entry, _ Known) bool { return at.name == name })
	return before - len(b.users)
}

// Len returns how many names are known.
func (b *Book) Len() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.users)
}
