package assembly

import (
	"maps"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/heliosproxy/heliosproxy/dataplane/backend"
	"github.com/heliosproxy/heliosproxy/dataplane/lookup"
	"github.com/heliosproxy/heliosproxy/dataplane/reactor"
	"github.com/heliosproxy/heliosproxy/dataplane/snapshot"
	"github.com/heliosproxy/heliosproxy/dataplane/state/gate"
	"github.com/heliosproxy/heliosproxy/dataplane/state/hosts"
)

// inquirers has a connection for each database that is asked who may log in. Any thread may use it.
type inquirers struct {
	log   *zap.Logger
	loops []*reactor.Loop
	gates *gate.Gates

	mu  sync.Mutex
	all map[asked]*inquirer
}

// inquirer is one of them. The lock of all guards it.
type inquirer struct {
	*lookup.Users
	asking int           // log-ins that wait for an answer
	last   time.Duration // when the last of them had it, as loops count time
}

// unasked is how long one is kept that nobody asks. It has no connection any more then.
const unasked = 2 * time.Minute

// asked is a database that is asked, and as whom.
type asked struct {
	node           string
	at             *hosts.Server
	database, user string
}

func newInquirers(log *zap.Logger, loops []*reactor.Loop, gates *gate.Gates) *inquirers {
	return &inquirers{log: log, loops: loops, gates: gates, all: map[asked]*inquirer{}}
}

// Inquire asks about a user, for the task t.
func (u *inquirers) Inquire(t *reactor.Task, q *snapshot.Inquiry, name string) (lookup.Row, error) {
	l := u.of(q.Target)
	defer u.answered(l)
	return l.Ask(t, q.For, q.Query, name)
}

// Begin asks about a user without waiting. answer is called on another thread.
func (u *inquirers) Begin(q *snapshot.Inquiry, name string, answer func(lookup.Row, error)) {
	l := u.of(q.Target)
	l.Begin(q.For, q.Query, name, func(r lookup.Row, err error) {
		u.answered(l)
		answer(r, err)
	})
}

// of returns the connection that asks a database, for one question.
func (u *inquirers) of(to *backend.Target) *inquirer {
	k := asked{to.Node, to.Server, to.Database, to.User}
	u.mu.Lock()
	defer u.mu.Unlock()
	l := u.all[k]
	if l == nil {
		l = &inquirer{Users: lookup.NewUsers(u.loops[len(u.all)%len(u.loops)], to, u.gates, u.log)}
		u.all[k] = l
	}
	l.Use(to)
	l.asking++
	return l
}

// answered says that a question of l has its answer, or nobody waits for it any more.
func (u *inquirers) answered(l *inquirer) {
	u.mu.Lock()
	defer u.mu.Unlock()
	l.asking--
	l.last = Monotonic()
}

// CloseHeld closes the connections of databases whose clients are all held, and returns how many there are still for the clients of db.
func (u *inquirers) CloseHeld(db string) (left int) {
	u.mu.Lock()
	all := slices.Collect(maps.Values(u.all))
	u.mu.Unlock()
	for _, l := range all {
		left += l.CloseHeld(db)
	}
	return left
}

// Forget forgets what nobody has asked for long: clients may name any database.
func (u *inquirers) Forget(now time.Duration) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for k, l := range u.all {
		if l.asking == 0 && now-l.last >= unasked {
			l.Close()
			delete(u.all, k)
		}
	}
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
