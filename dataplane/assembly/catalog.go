package assembly

import (
	"strings"
	"sync"

	"go.uber.org/zap"

	"github.com/heliosproxy/heliosproxy/dataplane/backend"
	"github.com/heliosproxy/heliosproxy/dataplane/lookup"
	"github.com/heliosproxy/heliosproxy/dataplane/pool"
	"github.com/heliosproxy/heliosproxy/dataplane/reactor"
	"github.com/heliosproxy/heliosproxy/dataplane/state/catalog"
)

// catalogs has a reader for each database whose catalogue is asked for. Any thread may use it.
type catalogs struct {
	log   *zap.Logger
	loops []*reactor.Loop
	pools *pool.Registry

	mu      sync.Mutex
	readers map[catalogKey]*lookup.Reader
}

// catalogKey is what the answers of a reader depend on. As the functions that are declared safe are of a pool profile, a database
// that two profiles with different ones lead to is read twice.
type catalogKey struct {
	node, host string
	port       int
	database   string
	safe       string
}

func newCatalogs(log *zap.Logger, loops []*reactor.Loop, pools *pool.Registry) *catalogs {
	return &catalogs{log: log, loops: loops, pools: pools, readers: map[catalogKey]*lookup.Reader{}}
}

// Judge returns what is known of the catalogue of a target's database, with the functions that its pool profile declares
// safe. It is read as the target's user, who was the last to be asked for.
func (c *catalogs) Judge(t *backend.Target, safe []string) catalog.Judge {
	k := keyOf(t, safe)
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.readers[k]
	if r == nil {
		r = lookup.NewReader(c.loops[len(c.readers)%len(c.loops)], t, lookup.Options{
			Log: c.log, Safe: safe, Active: func() bool { return c.active(k) },
		})
		c.readers[k] = r
	}
	r.Use(t)
	return r.Handle
}

func keyOf(t *backend.Target, safe []string) catalogKey {
	return catalogKey{t.Node, t.Host, t.Port, t.Database, strings.Join(safe, "\x00")}
}

// active says whether there is a server connection to the database.
func (c *catalogs) active(k catalogKey) (yes bool) {
	c.pools.Each(func(p *pool.Pool) {
		if n, _ := p.Total(); n > 0 && p.Node == k.node && p.Database == k.database {
			yes = true
		}
	})
	return yes
}

// Sweep closes the readers of databases that no pool leads to any more. It is called when the pools have been told of a new
// configuration, and when some were forgotten.
func (c *catalogs) Sweep() {
	c.mu.Lock() // nobody gets a reader meanwhile, and who has got one has a pool
	defer c.mu.Unlock()
	used := map[place]bool{}
	c.pools.Each(func(p *pool.Pool) { used[placeOf(p.Target())] = true })
	for k, r := range c.readers {
		if !used[place{k.node, k.host, k.port, k.database}] {
			r.Close()
			delete(c.readers, k)
		}
	}
}

// Connections returns how many connections read the catalogue of a pool's database now.
func (c *catalogs) Connections(p *pool.Pool) (n int) {
	at := placeOf(p.Target())
	c.mu.Lock()
	var all []*lookup.Reader
	for k, r := range c.readers {
		if at == (place{k.node, k.host, k.port, k.database}) {
			all = append(all, r)
		}
	}
	c.mu.Unlock()
	for _, r := range all {
		n += r.Connections()
	}
	return n
}

// Stats yields what each reader has done.
func (c *catalogs) Stats(yield func(node, database string, s lookup.Stats)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for k, r := range c.readers {
		yield(k.node, k.database, r.Stats())
	}
}
