package assembly

import (
	"sync"

	"go.uber.org/zap"

	"github.com/heliosproxy/heliosproxy/dataplane/backend"
	"github.com/heliosproxy/heliosproxy/dataplane/listen"
	"github.com/heliosproxy/heliosproxy/dataplane/pool"
	"github.com/heliosproxy/heliosproxy/dataplane/reactor"
)

// listeners has a listener for each database in which somebody listens. Any thread may use it.
type listeners struct {
	log   *zap.Logger
	loops []*reactor.Loop
	pools *pool.Registry

	mu sync.Mutex
	at map[place]*listen.Listener
}

// place is a database at a server. What a user may listen to does not depend on who he is, so one listener is for all.
type place struct {
	node, host string
	port       int
	database   string
}

func placeOf(t *backend.Target) place { return place{t.Node, t.Host, t.Port, t.Database} }

func newListeners(log *zap.Logger, loops []*reactor.Loop, pools *pool.Registry) *listeners {
	return &listeners{log: log, loops: loops, pools: pools, at: map[place]*listen.Listener{}}
}

// Get returns the listener of a target's database. It connects as the target's user, who was the last to be asked for.
func (ls *listeners) Get(t *backend.Target) *listen.Listener {
	k := placeOf(t)
	ls.mu.Lock()
	defer ls.mu.Unlock()
	l := ls.at[k]
	if l == nil {
		l = listen.New(ls.loops[len(ls.at)%len(ls.loops)], t, listen.Options{Log: ls.log})
		ls.at[k] = l
	}
	l.Use(t)
	return l
}

// Sweep closes the listeners of databases that no pool leads to any more, once nobody listens there. It is called when the
// pools have been told of a new configuration, and when some were forgotten.
func (ls *listeners) Sweep() {
	ls.mu.Lock() // nobody gets a listener meanwhile, and who has got one has a pool
	defer ls.mu.Unlock()
	used := map[place]bool{}
	ls.pools.Each(func(p *pool.Pool) { used[placeOf(p.Target())] = true })
	for k, l := range ls.at {
		if !used[k] && l.Stats().Channels == 0 {
			l.Close()
			delete(ls.at, k)
		}
	}
}

// Moved makes those connect again whose servers have moved.
func (ls *listeners) Moved() {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	for _, l := range ls.at {
		l.Moved()
	}
}

// Any says whether there is a listener.
func (ls *listeners) Any() bool {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	return len(ls.at) > 0
}

// Stats yields what each listener does.
func (ls *listeners) Stats(yield func(node, database string, s listen.Stats)) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	for k, l := range ls.at {
		yield(k.node, k.database, l.Stats())
	}
}
