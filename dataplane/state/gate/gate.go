// Package gate is what an administrator holds shut: databases whose clients wait, and databases that take in nobody new. It never waits itself.
package gate

import (
	"maps"
	"slices"
	"sync"
	"sync/atomic"
)

// All stands for every database.
const All = ""

// Gates is what is held shut. The zero value holds nothing. Any thread may use it; to ask where nothing is held costs one load.
type Gates struct {
	shut     atomic.Bool // something is held
	mu       sync.Mutex
	all      bool
	held     map[string]struct{}
	disabled map[string]struct{}
}

// Holds says whether clients of a database wait before their next transaction.
func (g *Gates) Holds(db string) bool { return g.shut.Load() && g.holds(db) }

// HoldsAny says whether clients of any database wait.
func (g *Gates) HoldsAny() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.all || len(g.held) > 0
}

func (g *Gates) holds(db string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	_, held := g.held[db]
	return g.all || held
}

// Hold lets the clients of a database wait, or those of all. It says whether that is new.
func (g *Gates) Hold(db string) (changed bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	defer g.set()
	if db == All {
		changed, g.all = !g.all, true
		return changed
	}
	if _, held := g.held[db]; held {
		return false
	}
	if g.held == nil {
		g.held = map[string]struct{}{}
	}
	g.held[db] = struct{}{}
	return true
}

// Release lets them go on. Releasing all releases those too that were held by name.
func (g *Gates) Release(db string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	defer g.set()
	if db == All {
		g.all, g.held = false, nil
		return
	}
	delete(g.held, db)
}

func (g *Gates) set() { g.shut.Store(g.all || len(g.held) > 0) }

// Held returns the databases that are held by name, sorted, and whether all are.
func (g *Gates) Held() (all bool, names []string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.all, slices.Sorted(maps.Keys(g.held))
}

// Disable lets nobody new into a database, or lets them in again.
func (g *Gates) Disable(db string, disable bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !disable {
		delete(g.disabled, db)
		return
	}
	if g.disabled == nil {
		g.disabled = map[string]struct{}{}
	}
	g.disabled[db] = struct{}{}
}

// Disabled says whether nobody new is let into a database.
func (g *Gates) Disabled(db string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	_, is := g.disabled[db]
	return is
}
