package assembly

import (
	"sync"

	"go.uber.org/zap"

	"github.com/heliosproxy/heliosproxy/dataplane/backend"
	"github.com/heliosproxy/heliosproxy/dataplane/lookup"
	"github.com/heliosproxy/heliosproxy/dataplane/reactor"
	"github.com/heliosproxy/heliosproxy/dataplane/snapshot"
	"github.com/heliosproxy/heliosproxy/dataplane/state/hosts"
)

// inquirers has a connection for each database that is asked who may log in. Any thread may use it.
type inquirers struct {
	log   *zap.Logger
	loops []*reactor.Loop

	mu  sync.Mutex
	all map[asked]*lookup.Users
}

// asked is a database that is asked, and as whom.
type asked struct {
	node           string
	at             *hosts.Server
	database, user string
}

func newInquirers(log *zap.Logger, loops []*reactor.Loop) *inquirers {
	return &inquirers{log: log, loops: loops, all: map[asked]*lookup.Users{}}
}

// Inquire asks about a user, for the task t.
func (u *inquirers) Inquire(t *reactor.Task, q *snapshot.Inquiry, name string) (lookup.Row, error) {
	return u.of(q.Target).Ask(t, q.Query, name)
}

// Begin asks about a user without waiting. answer is called on another thread.
func (u *inquirers) Begin(q *snapshot.Inquiry, name string, answer func(lookup.Row, error)) {
	u.of(q.Target).Begin(q.Query, name, answer)
}

// of returns the connection that asks a database.
func (u *inquirers) of(to *backend.Target) *lookup.Users {
	k := asked{to.Node, to.Server, to.Database, to.User}
	u.mu.Lock()
	defer u.mu.Unlock()
	l := u.all[k]
	if l == nil {
		l = lookup.NewUsers(u.loops[len(u.all)%len(u.loops)], to, u.log)
		u.all[k] = l
	}
	l.Use(to)
	return l
}

// Sweep closes the connections that a new configuration has no use for.
func (u *inquirers) Sweep(snap *snapshot.Snapshot) {
	nodes := map[asked]bool{}
	snap.Primaries(func(name string, at *hosts.Server) { nodes[asked{node: name, at: at}] = true })
	u.mu.Lock()
	defer u.mu.Unlock()
	for k, l := range u.all {
		if !nodes[asked{node: k.node, at: k.at}] {
			l.Close()
			delete(u.all, k)
		}
	}
}
