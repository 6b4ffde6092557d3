package admission

import (
	"fmt"
	"net/netip"
	"sync"
	"time"
)

// Patience is how many log-ins may fail within a time; Max 0 is any number.
type Patience struct {
	Max    int
	Within time.Duration
}

// interval is what one failure costs.
func (p Patience) interval() int64 { return max(1, int64(p.Within)/int64(p.Max)) }

const (
	// crowd is how many times what one user may fail an address may, whoever it says it is. It is more than one user's share
	// because many may be behind an address.
	crowd = 10
	// debt bounds how long anybody waits, in times of Within: many may have failed at once.
	debt = 5
)

// Failures remembers the log-ins that failed. Each user of an address has his own count, so that nobody locks a user out from
// elsewhere, and each address has one. Any thread may use it.
type Failures struct {
	most int

	mu    sync.Mutex
	paid  map[from]int64 // when all failures will be paid for: nanoseconds
	count uint64
}

// from is who failed: a user from an address, or, without one, anybody from there.
type from struct {
	origin netip.Prefix
	user   string
}

// NewFailures makes a Failures that remembers no more than most users and addresses.
func NewFailures(most int) *Failures { return &Failures{most: most, paid: map[from]int64{}} }

// origin is what one attacker has: an address, or with IPv6 the network that a customer gets.
func origin(a netip.Addr) netip.Prefix {
	bits := a.BitLen()
	if a.Is6() {
		bits = 64
	}
	p, _ := a.Prefix(bits)
	return p
}

// Wait returns how long user from addr has to wait until he may try again; 0 is now. Clients of unix sockets have no address.
// Times are nanoseconds on one clock.
func (f *Failures) Wait(now int64, addr netip.Addr, user string, p Patience) time.Duration {
	if p.Max <= 0 {
		return 0
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	his, all := f.waits(now, addr, user, p)
	wait := max(his, all)
	if wait > 0 {
		f.count++
	}
	return wait
}

// Whose goes on the sentence "too many failed log-ins " to a user who has to wait: it is for what he failed himself, or for what has failed
// from addr under any name. p has a bound.
func (f *Failures) Whose(now int64, addr netip.Addr, user string, p Patience) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	if his, all := f.waits(now, addr, user, p); all > his {
		return "from this address"
	}
	return fmt.Sprintf("of user %q from this address", user)
}

// waits is how long a user has to wait for what he failed, and how long everybody from his address has to.
func (f *Failures) waits(now int64, addr netip.Addr, user string, p Patience) (his, all time.Duration) {
	o := origin(addr)
	his = f.wait(now, from{o, user}, p)
	if addr.IsValid() {
		all = f.wait(now, from{origin: o}, crowded(p))
	}
	return his, all
}

func crowded(p Patience) Patience { return Patience{p.Max * crowd, p.Within} }

// wait is by the generic cell rate algorithm: who has failed Max times has paid at now + Within.
func (f *Failures) wait(now int64, w from, p Patience) time.Duration {
	return time.Duration(max(0, f.paid[w]-now-int64(p.Within)+p.interval()))
}

// Failed notes that a log-in failed, and says whether it is the first after which there is a wait.
func (f *Failures) Failed(now int64, addr netip.Addr, user string, p Patience) (begins bool) {
	o := origin(addr)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.count++
	if p.Max <= 0 {
		return false
	}
	begins = f.charge(now, from{o, user}, p)
	if addr.IsValid() && f.charge(now, from{origin: o}, crowded(p)) {
		begins = true
	}
	return begins
}

func (f *Failures) charge(now int64, w from, p Patience) (begins bool) {
	waits := f.wait(now, w, p) > 0
	if _, ok := f.paid[w]; !ok && len(f.paid) >= f.most {
		f.makeRoom(now)
	}
	f.paid[w] = min(max(f.paid[w], now)+p.interval(), now+debt*int64(p.Within))
	return !waits && f.wait(now, w, p) > 0
}

// makeRoom forgets those who have paid, or else anybody.
func (f *Failures) makeRoom(now int64) {
	var anybody from
	for w, at := range f.paid {
		anybody = w
		if at <= now {
			delete(f.paid, w)
		}
	}
	if len(f.paid) >= f.most {
		delete(f.paid, anybody)
	}
}

// Succeeded forgets what user from addr has failed: he knew the password. That of the address stays.
func (f *Failures) Succeeded(addr netip.Addr, user string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.paid, from{origin(addr), user})
}

// Count is how many log-ins have failed, or were told to wait, since the start.
func (f *Failures) Count() uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.count
}
