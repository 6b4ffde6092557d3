package hosts

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// avoided is for how long a route that did not answer is tried after all others.
const avoided = 5 * time.Second

// turns is which route of a server is the next one, and which did not answer. Any thread may use it. A lock is taken only where a route
// has failed, is tried again, or answers again.
type turns struct {
	next atomic.Uint64
	down atomic.Pointer[[]failure] // nil: there is none. What it leads to is immutable

	mu sync.Mutex // of who changes down
}

// failure is a route that did not answer when it was tried last.
type failure struct {
	route Route
	until time.Time // it is tried after all others
}

// order returns routes from the next one on, in turn. Behind them are those that did not answer, first that which has been avoided for
// longest. With take the turn is taken. Then, where a failure's time is over, it is the first, for one caller: until that one has an
// answer it is avoided for another while.
func (t *turns) order(routes []Route, take bool) []Route {
	n := t.next.Load()
	if take {
		n = t.next.Add(1) - 1
	}
	down := t.down.Load()
	if down == nil {
		return rotate(routes, n)
	}
	var good, bad []Route
	for _, r := range routes {
		if !slices.ContainsFunc(*down, r.failed) {
			good = append(good, r)
		}
	}
	for _, f := range *down {
		if slices.Contains(routes, f.route) {
			bad = append(bad, f.route)
		}
	}
	good = rotate(good, n)
	if take && len(bad) > 0 && t.claim(bad[0], time.Now()) {
		return slices.Concat(bad[:1], good, bad[1:])
	}
	return slices.Concat(good, bad)
}

// rotate returns routes from the nth on, counted round them.
func rotate(routes []Route, n uint64) []Route {
	if len(routes) == 0 {
		return nil
	}
	i := n % uint64(len(routes))
	return slices.Concat(routes[i:], routes[:i])
}

// failed says whether f is of r.
func (r Route) failed(f failure) bool { return f.route == r }

// claim says whether the time of r's failure is over, and begins another one.
func (t *turns) claim(r Route, now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	i := slices.IndexFunc(t.failures(), r.failed)
	if i < 0 || now.Before(t.failures()[i].until) {
		return false
	}
	t.avoid(r, now)
	return true
}

// fail notes that a route did not answer.
func (t *turns) fail(r Route) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.avoid(r, time.Now())
}

// avoid puts a route behind all others. Those that their names do not have any more are forgotten. t is locked.
func (t *turns) avoid(r Route, now time.Time) {
	var all []failure
	for _, f := range t.failures() {
		if f.route != r && !f.route.Address.Gone() {
			all = append(all, f)
		}
	}
	all = append(all, failure{r, now.Add(avoided)})
	t.down.Store(&all)
}

// answer notes that a route has answered.
func (t *turns) answer(r Route) {
	if !slices.ContainsFunc(t.failures(), r.failed) {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	all := slices.DeleteFunc(slices.Clone(t.failures()), r.failed)
	if len(all) == 0 {
		t.down.Store(nil)
		return
	}
	t.down.Store(&all)
}

// failures are those that there are now, in the order in which their times end.
func (t *turns) failures() []failure {
	if all := t.down.Load(); all != nil {
		return *all
	}
	return nil
}
