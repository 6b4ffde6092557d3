package users

import (
	"maps"
	"sync"
	"time"
)

// Place is where users are looked up: a database of a cluster, by a query, as somebody.
type Place struct{ Cluster, Database, Query, As string }

// Book has what databases have said of their users, for as long as it is good. Any thread may use it.
type Book struct {
	max   int
	mu    sync.Mutex
	users map[entry]page
}

type entry struct {
	place Place
	name  string
}

// page is what is known of a name, and whether it is asked for again.
type page struct {
	Known
	renewed bool  // somebody asks, for whom nobody waits
	rests   int64 // nobody does before then
}

// rest is how long a name is not asked for again, with nobody waiting for it, after that has failed.
const rest = int64(time.Second)

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
func NewBook(max int) *Book { return &Book{max: max, users: map[entry]page{}} }

// Find returns what is known of a name; ok is false if that was asked for before since.
func (b *Book) Find(p Place, name string, since int64) (k Known, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	x, ok := b.users[entry{p, name}]
	return x.Known, ok && x.Asked >= since
}

// Claim says whether the caller is to ask for a name again that was asked for before since, while what is known of it stays in use: one at a time
// is, until it says what came of it by [Book.Renew] or [Book.Fail]. now is nanoseconds since 1970.
func (b *Book) Claim(p Place, name string, now, since int64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	at := entry{p, name}
	x, ok := b.users[at]
	if !ok || x.Asked >= since || x.renewed || now < x.rests {
		return false
	}
	x.renewed = true
	b.users[at] = x
	return true
}

// Renew is Put for one who has claimed the name. ok is false where that is of no use: the name was forgotten meanwhile, or more is known of it.
func (b *Book) Renew(p Place, name string, k Known) (used Known, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if x, has := b.users[entry{p, name}]; !has || x.Asked > k.Asked {
		return Known{}, false
	}
	return b.put(p, name, k), true
}

// Fail says that there was no answer for one who has claimed the name: what is known of it stays as it was.
func (b *Book) Fail(p Place, name string, now int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	at := entry{p, name}
	if x, ok := b.users[at]; ok {
		x.renewed, x.rests = false, now+rest
		b.users[at] = x
	}
}

// Put notes what was said of a name. It returns the user as it is to be used: the one that was there before, if its secret is
// the same, with the keys that were made of it.
func (b *Book) Put(p Place, name string, k Known) Known {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.put(p, name, k)
}

func (b *Book) put(p Place, name string, k Known) Known {
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
	b.users[at] = page{Known: k}
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
	for at, x := range b.users {
		if !yield(at.place, at.name, x.Known) {
			return
		}
	}
}

// Forget drops what is known of a name everywhere, so that it is asked for again, and returns in how many places that was.
func (b *Book) Forget(name string) (places int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	before := len(b.users)
	maps.DeleteFunc(b.users, func(at entry, _ page) bool { return at.name == name })
	return before - len(b.users)
}

// Len returns how many names are known.
func (b *Book) Len() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.users)
}
