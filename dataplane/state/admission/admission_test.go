package admission

import (
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"
)

var here, there = netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2")

// TestClients lets in as many as each bound says, tells which is reached, and forgets who leaves.
func TestClients(t *testing.T) {
	var c Clients
	type client struct {
		place              Place
		addr               netip.Addr
		resource, db, user string
	}
	keys := map[string]string{ // by the words before a name
		"in all": "limits.max_clients (max_client_conn in a pgbouncer.ini)", "from address": "limits.max_clients_per_address", "of user": "limits.max_clients_per_user and users.max_clients (max_user_client_connections in a pgbouncer.ini)",
		"in database": "limits.max_clients_per_database and databases.max_clients (max_db_client_connections in a pgbouncer.ini)",
	}
	leave := func(x *client) { c.Leave(&x.place, x.addr, Database{x.resource, x.db}, x.user) }
	enter := func(x *client, b Bounds) string {
		full := c.Enter(&x.place, x.addr, false, b)
		if full == nil {
			full = c.Admit(&x.place, Database{x.resource, x.db}, x.user, b)
		}
		if full == nil {
			return ""
		}
		leave(x)
		if hint, want := full.Hint(), "Try again later, or raise the limit: see "+keys[strings.SplitN(full.What, ` "`, 2)[0]]+"."; hint != want {
			t.Errorf("%s: the hint is %q, want %q", full, hint, want)
		}
		return full.String()
	}
	var in []*client
	for _, one := range []struct {
		addr     netip.Addr
		db, user string
		b        Bounds
		want     string
		resource string
	}{
		{here, "shop", "ann", Bounds{}, "", ""},
		{here, "shop", "ann", Bounds{All: 1}, "in all: the limit is 1", ""},
		{here, "shop", "ann", Bounds{All: 2, Address: 1}, `from address "10.0.0.1": the limit is 1`, ""},
		{there, "shop", "bob", Bounds{Address: 1, Database: 1}, `in database "shop": the limit is 1`, ""},
		{there, "books", "ann", Bounds{Address: 1, Database: 1, User: 1}, `of user "ann": the limit is 1`, ""},
		{there, "books", "bob", Bounds{All: 2, Address: 1, Database: 1, User: 1}, "", ""},
		{netip.Addr{}, "x", "y", Bounds{Address: 1}, "", ""},
		{netip.Addr{}, "x", "z", Bounds{Address: 1}, "", ""},
		{netip.Addr{}, "x", "z", Bounds{All: 4}, "in all: the limit is 4", ""},
		{netip.Addr{}, "shop", "cat", Bounds{Database: 1}, "", "another of that name"},
	} {
		x := &client{addr: one.addr, resource: one.resource, db: one.db, user: one.user}
		got := enter(x, one.b)
		if got != one.want {
			t.Errorf("%v of %s/%s with %+v: %q, want %q", one.addr, one.db, one.user, one.b, got, one.want)
		}
		if x.place != Outside {
			in = append(in, x)
		}
	}
	for _, x := range in {
		leave(x)
		leave(x) // gives nothing back twice
	}
	if c.In() != 0 || len(c.addresses)+len(c.databases)+len(c.users) != 0 {
		t.Errorf("all have left: %d, %v, %v, %v", c.In(), c.addresses, c.databases, c.users)
	}
}

// TestConsoles lets in who asks for the console where the proxy is full, no more than some until they have proved that they may use it, and
// counts none of those who have.
func TestConsoles(t *testing.T) {
	var c Clients
	full := Bounds{All: 1, Address: 1}
	enter := func(console bool) (p Place, refused bool) { return p, c.Enter(&p, here, console, full) != nil }
	admin, refused := enter(true)
	if refused || admin != Entered || c.In() != 1 {
		t.Errorf("where there is a place: %v, %d are in", admin, c.In())
	}
	c.Exempt(&admin, here)
	if client, refused := enter(false); refused || client != Entered {
		t.Error("an administrator takes a client's place")
	}
	if _, refused := enter(false); !refused {
		t.Error("a client gets in at a full door")
	}
	var all []Place
	for round := range 3 {
		for i := range maxBeyond {
			p, refused := enter(true)
			if refused || p != Beyond {
				t.Errorf("round %d: number %d is refused: %v", round, i, p)
			}
			all = append(all, p)
		}
		if _, refused := enter(true); !refused {
			t.Errorf("round %d: there is no bound for those who have proved nothing", round)
		}
		for i := range all {
			if round == 0 { // they prove it; in the others they give up
				c.Exempt(&all[i], here)
			} else {
				c.Leave(&all[i], here, Database{}, "")
			}
		}
		if want := 1 + map[bool]int{true: maxBeyond}[round == 0]; c.In() != 1 || c.Consoles() != want {
			t.Errorf("round %d: %d are in, %d use the console; want %d", round, c.In(), c.Consoles(), want)
		}
	}
}

// TestClientsAtOnce never lets in more than the bound, whoever comes at the same time.
func TestClientsAtOnce(t *testing.T) {
	var c Clients
	var wg sync.WaitGroup
	var mu sync.Mutex
	in := 0
	for range 100 {
		wg.Go(func() {
			if c.Enter(new(Place), here, false, Bounds{All: 60, Address: 40}) == nil {
				mu.Lock()
				in++
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if in != 40 || c.In() != 40 {
		t.Errorf("%d were let in, %d are counted; want 40", in, c.In())
	}
}

// TestFailures has a user wait where he failed, nobody elsewhere, and each for his share of the time.
func TestFailures(t *testing.T) {
	p := Patience{Max: 3, Within: time.Minute}
	now := int64(time.Hour)
	f := NewFailures(100)
	check := func(what string, addr netip.Addr, user string, want time.Duration) {
		t.Helper()
		if got := f.Wait(now, addr, user, p); got != want {
			t.Errorf("%s: waits %s, want %s", what, got, want)
		}
	}
	for i := range 3 {
		check(fmt.Sprintf("after %d", i), here, "ann", 0)
		f.Failed(now, here, "ann", p)
	}
	check("after 3", here, "ann", 20*time.Second)
	check("another user", here, "bob", 0)
	check("from elsewhere", there, "ann", 0)
	check("at a unix socket", netip.Addr{}, "ann", 0)
	now += int64(19 * time.Second)
	check("later", here, "ann", time.Second)
	now += int64(time.Second)
	check("in time", here, "ann", 0)
	f.Failed(now, here, "ann", p)
	check("and again", here, "ann", 20*time.Second)
	f.Succeeded(here, "ann")
	check("who knew it", here, "ann", 0)
	if got := f.Wait(now, here, "ann", Patience{}); got != 0 {
		t.Errorf("without a bound: waits %s", got)
	}
	for range 1000 {
		f.Failed(now, here, "eve", p)
	}
	check("many at once", here, "eve", 4*time.Minute+20*time.Second)
	check("its address", here, "bob", 4*time.Minute+2*time.Second)
	for _, who := range []struct {
		addr       netip.Addr
		user, want string
	}{
		{here, "eve", `of user "eve" from this address`},
		{here, "bob", "from this address"},
		{there, "bob", `of user "bob" from this address`},
		{netip.Addr{}, "bob", `of user "bob" from this address`},
	} {
		if got := f.Whose(now, who.addr, who.user, p); got != who.want {
			t.Errorf("%s from %s waits for what has failed %s, want %s", who.user, who.addr, got, who.want)
		}
	}
}

// TestFailuresOfNetwork takes an IPv6 network for one.
func TestFailuresOfNetwork(t *testing.T) {
	p := Patience{Max: 1, Within: time.Minute}
	f := NewFailures(100)
	f.Failed(0, netip.MustParseAddr("2001:db8::1"), "ann", p)
	for addr, want := range map[string]time.Duration{"2001:db8::ffff": time.Minute, "2001:db8:0:1::1": 0} {
		if got := f.Wait(0, netip.MustParseAddr(addr), "ann", p); got != want {
			t.Errorf("%s waits %s, want %s", addr, got, want)
		}
	}
}

// TestFailuresAreBounded keeps no more than it may, those who have not paid before those who have.
func TestFailuresAreBounded(t *testing.T) {
	p := Patience{Max: 1, Within: time.Minute}
	f := NewFailures(10)
	f.Failed(0, here, "old", p)
	now := int64(2 * time.Minute)
	for i := range 100 {
		f.Failed(now, here, fmt.Sprint(i), p)
		if len(f.paid) > 10 {
			t.Fatalf("%d are kept", len(f.paid))
		}
	}
	if f.Wait(now, here, "99", p) == 0 {
		t.Error("the last was forgotten at once")
	}
	if _, ok := f.paid[from{origin(here), "old"}]; ok {
		t.Error("one who has paid is kept")
	}
}
