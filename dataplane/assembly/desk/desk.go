// Package desk is the proxy as an administrator sees and commands it: what the console shows, and what its commands do to clients and pools. It never takes part in a walk.
package desk

import (
	"cmp"
	"context"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/heliosproxy/heliosproxy/dataplane/backend"
	"github.com/heliosproxy/heliosproxy/dataplane/console"
	"github.com/heliosproxy/heliosproxy/dataplane/pool"
	"github.com/heliosproxy/heliosproxy/dataplane/reactor"
	"github.com/heliosproxy/heliosproxy/dataplane/serve"
	"github.com/heliosproxy/heliosproxy/dataplane/state/hosts"
	"github.com/heliosproxy/heliosproxy/dataplane/state/meter"
	"github.com/heliosproxy/heliosproxy/pkg/logx"
	"github.com/heliosproxy/heliosproxy/pkg/resource"
	"github.com/heliosproxy/heliosproxy/pkg/version"
)

// Options are what a desk is made with.
type Options struct {
	Log *zap.Logger
	// LogLevel is the logger's, for SET; nil: it stays as it is.
	LogLevel *logx.Level
	Group    *reactor.Group
	Hub      *serve.Hub
	Started  time.Time
	// Names are the hosts that were looked up.
	Names *hosts.Book
	// Inquirers closes the connections that ask who may log in to databases whose clients are all held, and returns how many there are still
	// for the clients of one, or of all. Readers returns how many read the catalogue of a pool's database: they end by themselves.
	Inquirers func(db string) (left int)
	Readers   func(*pool.Pool) int
	// Configuration is what SHOW CONFIG shows and SET changes.
	Configuration Configuration
	// Reload reads the configuration again and returns when that is in force, and Shutdown ends the process. nil: they are refused.
	Reload   func(context.Context) error
	Shutdown func(console.Shutdown)
}

// Configuration is that of the proxy.
type Configuration interface {
	// Shown is what is in force, but for what was set on the console; nil where nothing is.
	Shown() (set *resource.Set, overrides map[string]string)
	// Override puts it in force again with one more thing set, until another one comes.
	Override(key, value string) error
}

// Desk is the proxy as an administrator sees it. Several goroutines may use it at once, none of them a loop's.
type Desk struct {
	o         Options
	stats     *stats
	suspended atomic.Bool // SUSPEND holds all clients
	paused    atomic.Bool // and PAUSE
}

// New makes the desk of a proxy.
func New(o Options) *Desk { return &Desk{o: o, stats: newStats(o.Started)} }

// eachConn calls yield for each client connection, on its loop's thread.
func (d *Desk) eachConn(yield func(*serve.Conn)) {
	for _, l := range d.o.Group.Loops() {
		l.PostWait(func() { l.Local.(*serve.Local).Each(yield) })
	}
}

// Clients implements [console.Desk].
func (d *Desk) Clients() (all []console.Client) {
	d.eachConn(func(c *serve.Conn) {
		if !c.Administers() {
			all = append(all, c.Describe())
		}
	})
	slices.SortFunc(all, func(a, b console.Client) int { return cmp.Compare(a.ID, b.ID) })
	return all
}

// Servers implements [console.Desk].
func (d *Desk) Servers() (all []console.Server) {
	whose := map[*backend.Conn]*serve.Conn{}
	for _, l := range d.o.Group.Loops() {
		l.PostWait(func() {
			clear(whose)
			l.Local.(*serve.Local).Each(func(c *serve.Conn) {
				if s := c.Lease(); s != nil {
					whose[s] = c
				}
			})
			d.o.Hub.Pools.Each(func(p *pool.Pool) {
				p.Each(l, func(s *backend.Conn) { all = append(all, serve.DescribeServer(p, s, whose[s])) })
			})
		})
	}
	slices.SortFunc(all, func(a, b console.Server) int {
		return cmp.Or(cmp.Compare(a.Database, b.Database), cmp.Compare(a.User, b.User), cmp.Compare(a.PID, b.PID))
	})
	return all
}

// poolKey is a pool as the console shows it: it may be there for several databases.
type poolKey struct {
	database string
	pool     *pool.Pool
}

// Pools implements [console.Desk]. The connections of a pool that clients know under several names are shown at the first of them.
func (d *Desk) Pools() []console.Pool {
	rows := map[poolKey]*console.Pool{}
	snap := d.o.Hub.Current()
	row := func(db string, p *pool.Pool) *console.Pool {
		k := poolKey{db, p}
		x := rows[k]
		if x == nil {
			x = &console.Pool{
				Database: db, User: p.User, Node: p.Node, ServerDatabase: p.Database, MaxServers: p.Profile().Max,
				LoadBalanceHosts: snap.LoadBalanceHosts(p.Node),
			}
			rows[k] = x
		}
		return x
	}
	d.o.Hub.Pools.Each(func(p *pool.Pool) {
		first := p.Database
		for i, as := range d.o.Hub.Pools.Aliases(p) {
			x, mode := row(as.Database, p), snap.Mode(as.Database, as.User)
			if x.Mode != "" && x.Mode != mode { // it is that of some of the users who share the pool
				mode = snap.Mode(as.Database, "")
			}
			if x.Mode = mode; i == 0 {
				first = as.Database
			}
		}
		x := row(first, p)
		x.Login = p.Opening()
		for _, l := range d.o.Group.Loops() {
			l.PostWait(func() {
				p.Each(l, func(s *backend.Conn) { count(x, s.State()) })
			})
		}
	})
	d.eachConn(func(c *serve.Conn) {
		if c.Pool() == nil || c.Administers() {
			return
		}
		x := row(c.Database(), c.Pool())
		if wait := c.Waited(); wait > 0 {
			x.Waiting++
			x.MaxWait = max(x.MaxWait, wait)
		} else {
			x.ClientsActive++
		}
		if c.Pinned() {
			x.Pinned++
		}
	})
	all := make([]console.Pool, 0, len(rows))
	for _, x := range rows {
		if x.Mode == "" { // the pool has got the name meanwhile, or lost it
			x.Mode = snap.Mode(x.Database, x.User)
		}
		all = append(all, *x)
	}
	slices.SortFunc(all, func(a, b console.Pool) int {
		return cmp.Or(cmp.Compare(a.Database, b.Database), cmp.Compare(a.User, b.User), cmp.Compare(a.Node, b.Node))
	})
	return all
}

// count counts a server connection that is logged in by its state.
func count(x *console.Pool, state string) {
	switch state {
	case "idle":
		x.Idle++
	case "active", "replication":
		x.Active++
	case "cleaning":
		x.Tested++
	case "cancelling":
		x.BeingCancelled++
	case "closing":
		x.Closing++
	}
}

// Databases implements [console.Desk].
func (d *Desk) Databases() []console.Database {
	snap := d.o.Hub.Current()
	byName := map[string]*console.Database{}
	all, held := d.o.Hub.Gates.Held()
	add := func(name string) *console.Database {
		if x := byName[name]; x != nil {
			return x
		}
		about, ok := snap.About(name)
		if !ok {
			return &console.Database{}
		}
		x := &about
		x.Paused, x.Disabled = all || slices.Contains(held, name), d.o.Hub.Gates.Disabled(name)
		byName[name] = x
		return x
	}
	for _, name := range snap.Databases() {
		add(name)
	}
	for _, p := range d.Pools() {
		add(p.Database).Servers += p.Active + p.Idle + p.Tested + p.BeingCancelled + p.Closing + p.Login
	}
	d.eachConn(func(c *serve.Conn) {
		if c.Pool() != nil && !c.Administers() {
			add(c.Database()).Clients++
		}
	})
	rows := []console.Database{{Name: "pgbouncer", Database: "pgbouncer", ForceUser: "pgbouncer", Mode: "statement"}}
	for _, x := range byName {
		rows = append(rows, *x)
	}
	slices.SortFunc(rows, func(a, b console.Database) int { return cmp.Compare(a.Name, b.Name) })
	return rows
}

// Users implements [console.Desk].
func (d *Desk) Users() []console.User {
	byName := map[string]*console.User{}
	snap := d.o.Hub.Current()
	add := func(name string) *console.User {
		if byName[name] == nil {
			x := snap.AboutUser(name)
			byName[name] = &x
		}
		return byName[name]
	}
	for name := range snap.Users {
		add(name)
	}
	d.eachConn(func(c *serve.Conn) {
		if c.Pool() != nil {
			add(c.User()).ClientsOpen++
		}
	})
	for _, p := range d.Pools() {
		add(p.User).Servers += p.Active + p.Idle + p.Tested + p.BeingCancelled + p.Closing + p.Login
	}
	all := make([]console.User, 0, len(byName))
	for _, x := range byName {
		all = append(all, *x)
	}
	slices.SortFunc(all, func(a, b console.User) int { return cmp.Compare(a.Name, b.Name) })
	return all
}

// Stats implements [console.Desk].
func (d *Desk) Stats() []console.Stats { return d.stats.show(d.Counts()) }

// Lists implements [console.Desk].
func (d *Desk) Lists() []console.Count {
	clients, logins, servers := 0, 0, 0
	d.eachConn(func(c *serve.Conn) {
		clients++
		if c.Pool() == nil && !c.Administers() {
			logins++
		}
	})
	pools := 0
	d.o.Hub.Pools.Each(func(p *pool.Pool) {
		pools++
		n, _ := p.Total()
		servers += n
	})
	return []console.Count{
		{What: "databases", N: len(d.Databases())},
		{What: "users", N: len(d.Users())},
		{What: "peers", N: len(d.Peers())},
		{What: "pools", N: pools},
		{What: "peer_pools", N: len(d.Peers())},
		{What: "free_clients"},
		{What: "used_clients", N: clients},
		{What: "login_clients", N: logins},
		{What: "free_servers"},
		{What: "used_servers", N: servers},
		{What: "dns_names", N: len(d.o.Names.Known())},
		{What: "dns_zones", N: len(d.o.Names.Zones())},
		{What: "dns_queries", N: d.o.Names.Pending()},
		{What: "dns_pending"},
	}
}

// Memory implements [console.Desk]: what Go's runtime has, as there are no slabs.
func (d *Desk) Memory() []console.Memory {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return []console.Memory{
		{Name: "heap", Size: 1, Used: int(m.HeapInuse), Free: int(m.HeapIdle - m.HeapReleased), Bytes: int(m.HeapSys - m.HeapReleased)},
		{Name: "stacks", Size: 1, Used: int(m.StackInuse), Bytes: int(m.StackSys)},
	}
}

// Hosts implements [console.Desk].
func (d *Desk) Hosts() (all []console.Host) {
	for _, k := range d.o.Names.Known() {
		all = append(all, console.Host{Name: k.Name, TTL: k.TTL, Addresses: strings.Join(k.Addresses, ",")})
	}
	return all
}

// Zones implements [console.Desk].
func (d *Desk) Zones() (all []console.Zone) {
	for _, z := range d.o.Names.Zones() {
		all = append(all, console.Zone(z))
	}
	return all
}

// State implements [console.Desk].
func (d *Desk) State() console.State {
	all, _ := d.o.Hub.Gates.Held()
	suspended := d.suspended.Load()
	return console.State{Paused: all && (d.paused.Load() || !suspended), Suspended: suspended}
}

// Version implements [console.Desk].
func (d *Desk) Version() string {
	return fmt.Sprintf("HeliosProxy %s (console of PgBouncer %s)", version.String(), console.Speaks)
}

// Counts sums up what loops have counted by database.
func (d *Desk) Counts() map[string]*meter.Account {
	sums := map[string]*meter.Account{}
	for _, l := range d.o.Group.Loops() {
		l.PostWait(func() {
			for k, a := range l.Local.(*serve.Local).Accounts() {
				name := cmp.Or(k.Database, "(others)")
				if sums[name] == nil {
					sums[name] = &meter.Account{}
				}
				sums[name].Sum(a)
			}
		})
	}
	return sums
}

var _ console.Desk = (*Desk)(nil)
