// Package unused forgets what the proxy has made for names of databases and users that the configuration does not have, when nobody uses
// them any more. It never touches what somebody uses, or what the configuration names.
package unused

import (
	"errors"
	"time"

	"github.com/heliosproxy/heliosproxy/dataplane/pool"
	"github.com/heliosproxy/heliosproxy/dataplane/reactor"
	"github.com/heliosproxy/heliosproxy/dataplane/serve"
	"github.com/heliosproxy/heliosproxy/dataplane/serve/ledger"
	"github.com/heliosproxy/heliosproxy/dataplane/snapshot"
	"github.com/heliosproxy/heliosproxy/pkg/pgwire"
)

const (
	after  = time.Hour   // that nobody has used a name; PgBouncer's autodb_idle_timeout unless set
	period = time.Minute // how often it is looked
	soon   = time.Second // when it is looked again where a database is not there
)

// Unused is what a proxy may forget.
type Unused struct {
	group   *reactor.Group
	hub     *serve.Hub
	others  func(now time.Duration)
	missing chan struct{}
}

// New makes the Unused of a proxy. others forgets what is of use for pools and log-ins alone; it is called when pools were forgotten.
func New(g *reactor.Group, h *serve.Hub, others func(now time.Duration)) *Unused {
	return &Unused{group: g, hub: h, others: others, missing: make(chan struct{}, 1)}
}

// Failed hears why a server connection could not be opened. Any thread may call it.
func (u *Unused) Failed(err error) {
	var se *pgwire.ServerError
	if !errors.As(err, &se) || se.SQLState != "3D000" {
		return
	}
	select {
	case u.missing <- struct{}{}:
	default: // it is known that there is one
	}
}

// Watch forgets from time to time, until done is closed.
func (u *Unused) Watch(done <-chan struct{}) {
	missing := u.missing
	next := time.NewTimer(period)
	defer next.Stop()
	for {
		select {
		case <-missing:
			missing = nil // they are looked at together
			next.Reset(soon)
		case <-next.C:
			missing = u.missing
			if next.Reset(period); u.Forget(reactor.Monotonic()) {
				missing = nil
				next.Reset(soon)
			}
		case <-done:
			return
		}
	}
}

// Forget forgets what is not used. It says whether it has something to do again soon. While sessions go to another process all stays as it is.
func (u *Unused) Forget(now time.Duration) (again bool) {
	snap := u.hub.Current()
	if snap == nil || u.hub.Fate() != serve.Stays {
		return false
	}
	_, again = u.hub.Pools.Forget(pool.Forgetting{
		Now: int64(now), After: after, Used: u.clients,
		Keeps: func(as pool.Alias) bool {
			return snap.Names(snapshot.Asked{Database: as.Database, Server: as.Server}, as.User)
		},
	})
	u.others(now)
	u.close(snap)
	return again
}

// clients returns who uses which pool.
func (u *Unused) clients() map[pool.Client]bool {
	all := map[pool.Client]bool{}
	for _, l := range u.group.Loops() {
		l.PostWait(func() {
			l.Local.(*serve.Local).Each(func(c *serve.Conn) { all[pool.Client{Pool: c.Pool(), Database: c.Database(), User: c.User()}] = true })
		})
	}
	return all
}

// close adds what was counted for databases that are forgotten to what was counted for all others.
func (u *Unused) close(snap *snapshot.Snapshot) {
	known := map[string]bool{}
	u.hub.Pools.Each(func(p *pool.Pool) {
		for _, as := range u.hub.Pools.Aliases(p) {
			known[as.Database] = true
		}
	})
	for _, l := range u.group.Loops() {
		l.PostWait(func() {
			lo, here := l.Local.(*serve.Local), map[string]bool{} // who has come meanwhile
			lo.Each(func(c *serve.Conn) { here[c.Database()] = true })
			lo.Accounts().Forget(func(k ledger.Key) bool {
				return known[k.Database] || here[k.Database] || snap.NamesDatabase(k.Database)
			})
		})
	}
}
