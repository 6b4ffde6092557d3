// Package admission counts the clients that are in and the log-ins that fail, and says who has to wait outside. It never looks at what a client sends, and never parks anybody: the answer is there at once.
package admission

import (
	"fmt"
	"net/netip"
	"sync"
)

// Bounds are how many clients may be in at once; 0 is no bound.
type Bounds struct{ All, Address, Database, User int }

// Full says which bound is reached.
type Full struct {
	What string // "in all", `from address "10.0.0.1"`, ...
	Max  int
	Keys string // what the limit is set by: "limits.max_clients", ...
}

// String ends the sentence "too many clients ".
func (f *Full) String() string { return fmt.Sprintf("%s: the limit is %d", f.What, f.Max) }

// Hint says what can be done.
func (f *Full) Hint() string { return "Try again later, or raise the limit: see " + f.Keys + "." }

// Clients counts the clients of a proxy. The zero Clients is ready, and any thread may use it.
type Clients struct {
	mu        sync.Mutex
	all       int
	beyond    int // that ask for the console, and
	consoles  int // that may use it: neither is in all
	addresses map[netip.Addr]int
	databases map[Database]int
	users     map[string]int
}

// Database is what clients are counted for that are in it: a Database resource, and the name that they ask for, of which one that stands
// for any has many.
type Database struct{ Resource, Name string }

// Place is what a client holds of the count. It is kept by whoever entered.
type Place uint8

// Places.
const (
	Outside  Place = iota
	Entered        // counts in all, and for its address
	Admitted       // and for its database and user
	Beyond         // asks for the console where there was no place, and counts for that alone
	Exempt         // has proved that he may use the console, and takes nobody's place
)

// maxBeyond is how many clients may ask for the console, until they have proved who they are, where the proxy is full: an administrator
// gets in, and nobody else has connections without bound by asking for the same.
const maxBeyond = 16

// Enter counts a client that says who it wants to be, and whether it wants the console. One at a unix socket has no valid address, and no
// bound for it.
func (c *Clients) Enter(p *Place, addr netip.Addr, console bool, b Bounds) *Full {
	c.mu.Lock()
	defer c.mu.Unlock()
	if full := c.full(addr, b); full != nil {
		if !console || c.beyond >= maxBeyond {
			return full
		}
		c.beyond++
		*p = Beyond
		return nil
	}
	c.all++
	if addr.IsValid() {
		add(&c.addresses, addr)
	}
	*p = Entered
	return nil
}

// full says which bound of those who enter is reached.
func (c *Clients) full(addr netip.Addr, b Bounds) *Full {
	if over(c.all, b.All) {
		return &Full{"in all", b.All, "limits.max_clients (max_client_conn in a pgbouncer.ini)"}
	}
	if addr.IsValid() && over(c.addresses[addr], b.Address) {
		return &Full{fmt.Sprintf("from address %q", addr), b.Address, "limits.max_clients_per_address"}
	}
	return nil
}

// Admit counts an entered client that has proved who it is: nobody takes a user's places who only names him.
func (c *Clients) Admit(p *Place, db Database, user string, b Bounds) *Full {
	c.mu.Lock()
	defer c.mu.Unlock()
	if over(c.databases[db], b.Database) {
		return &Full{fmt.Sprintf("in database %q", db.Name), b.Database, "limits.max_clients_per_database and databases.max_clients (max_db_client_connections in a pgbouncer.ini)"}
	}
	if over(c.users[user], b.User) {
		return &Full{fmt.Sprintf("of user %q", user), b.User, "limits.max_clients_per_user and users.max_clients (max_user_client_connections in a pgbouncer.ini)"}
	}
	add(&c.databases, db)
	add(&c.users, user)
	*p = Admitted
	return nil
}

// Exempt counts a client apart that may use the console, as it has proved.
func (c *Clients) Exempt(p *Place, addr netip.Addr) {
	c.Leave(p, addr, Database{}, "")
	c.mu.Lock()
	defer c.mu.Unlock()
	c.consoles++
	*p = Exempt
}

// Leave gives back what the client holds, which may be nothing. The rest is what it entered and was admitted with.
func (c *Clients) Leave(p *Place, addr netip.Addr, db Database, user string) {
	if *p == Outside {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	was := *p
	*p = Outside
	switch was {
	case Beyond:
		c.beyond--
		return
	case Exempt:
		c.consoles--
		return
	case Admitted:
		take(c.databases, db)
		take(c.users, user)
	}
	c.all--
	if addr.IsValid() {
		take(c.addresses, addr)
	}
}

// In returns how many clients are counted.
func (c *Clients) In() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.all
}

// Consoles returns how many use the console.
func (c *Clients) Consoles() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.consoles
}

func over(n, limit int) bool { return limit > 0 && n >= limit }

func add[K comparable](m *map[K]int, k K) {
	if *m == nil {
		*m = map[K]int{}
	}
	(*m)[k]++
}

// take forgets who has nobody in: names and addresses are without number.
func take[K comparable](m map[K]int, k K) {
	if m[k]--; m[k] <= 0 {
		delete(m, k)
	}
}
