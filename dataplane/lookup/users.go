package lookup

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/heliosproxy/heliosproxy/dataplane/backend"
	"github.com/heliosproxy/heliosproxy/dataplane/reactor"
	"github.com/heliosproxy/heliosproxy/dataplane/state/gate"
	"github.com/heliosproxy/heliosproxy/pkg/resource"
)

// UsersApplicationName is what pg_stat_activity shows of the connections that look users up.
const UsersApplicationName = "heliosproxy users"

const (
	maxWaiting = 10_000          // for one database's answer
	askLimit   = 5 * time.Second // for one, opening a connection included
	unused     = time.Minute     // after that a connection is closed
	maxNames   = 1000            // of databases that a connection is known to be for
)

// prepareUsers keeps the answers from depending on the user's settings, and names from meaning something that somebody else has
// made (CVE-2025-12819).
const prepareUsers = "SET search_path = pg_catalog, pg_temp; SET client_encoding = 'UTF8'; SET DateStyle = 'ISO'; SET TimeZone = 'UTC';" +
	"SET statement_timeout = '5s'; SET lock_timeout = 0; SET jit = off"

// ErrHeld answers who asks for a client of a database whose clients an administrator holds.
var ErrHeld = errors.New("the database is held")

var errCrowded = errors.New("too many log-ins wait for the same")

// Row is what a database says of one name.
type Row struct {
	Found  bool
	Secret string // empty for NULL
	Until  int64  // the secret is not good from then on: nanoseconds since 1970; 0: for ever
}

// Users asks one database who may log in. It has one connection, besides those of the pools and of no pool's number, while
// anybody asks, and asks one question at a time.
type Users struct {
	reactor.Task
	log    *zap.Logger
	loop   *reactor.Loop
	gates  *gate.Gates
	target atomic.Pointer[backend.Target]
	asked  atomic.Uint64

	// What follows is of the loop.
	queue []*inquiry
	now   *inquiry // is being answered
	line  line
	names map[string]bool // databases whose clients were asked for on the connection that was opened last, and
	many  bool            // others
	ends  bool            // that one is closed as soon as nothing is asked
}

type inquiry struct {
	database, query, name string
	answer                func(Row, error)
}

// NewUsers makes a Users that works on l and connects to t. Nothing is asked for clients of databases that gates hold, but for those of the
// console, who may be who lets the others go on.
func NewUsers(l *reactor.Loop, t *backend.Target, gates *gate.Gates, log *zap.Logger) *Users {
	u := &Users{log: log, loop: l, gates: gates, names: map[string]bool{}}
	u.target.Store(t)
	u.Init(l, u)
	u.line.task = &u.Task
	return u
}

// Use says that t is how the database is reached now. Any thread may call it.
func (u *Users) Use(t *backend.Target) { u.target.Store(t) }

// Asked returns how many questions have been asked. Any thread may call it.
func (u *Users) Asked() uint64 { return u.asked.Load() }

// Ask asks query, whose one parameter is name, for a client of database, and parks t until there is an answer. Any loop's task may call it.
func (u *Users) Ask(t *reactor.Task, database, query, name string) (row Row, err error) {
	here, done := t.Loop(), false
	u.Begin(database, query, name, func(r Row, e error) {
		here.Post(func() { row, err, done = r, e, true; t.Wake() })
	})
	for !done {
		if err := t.Park(); err != nil {
			return Row{}, err
		}
	}
	return row, err
}

// Begin asks without waiting; answer is called on another thread. Any thread may call it.
func (u *Users) Begin(database, query, name string, answer func(Row, error)) {
	u.asked.Add(1)
	u.loop.Post(func() {
		if len(u.queue) >= maxWaiting {
			answer(Row{}, errCrowded)
			return
		}
		u.queue = append(u.queue, &inquiry{database, query, name, answer})
		u.Wake()
	})
}

// CloseHeld closes the connection as soon as nothing is asked, if the clients of all databases for which it was opened are held, and those of db
// are among them. It returns how many there are still. Any goroutine may call it that is none of a loop.
func (u *Users) CloseHeld(db string) (left int) {
	u.loop.PostWait(func() {
		if u.line.open > 0 && u.held(db) {
			left, u.ends = u.line.open, true
			u.Wake()
		}
	})
	return left
}

// held says whether all are held for whom the connection is, and db is among them.
func (u *Users) held(db string) bool {
	for name := range u.names {
		if !u.gates.Holds(name) {
			return false
		}
	}
	return db == gate.All || u.names[db] && !u.many
}

// admit says whether a question may be asked now.
func (u *Users) admit(q *inquiry) bool {
	held := u.gates.Holds(q.database)
	switch {
	case resource.IsConsole(q.database):
		u.ends = u.ends || held // a server connection that nobody expects
		return true
	case held:
		return false
	case len(u.names) < maxNames:
		u.names[q.database] = true
	case !u.names[q.database]:
		u.many = true
	}
	return true
}

// Close ends the connection. Any thread may call it.
func (u *Users) Close() { u.loop.Post(func() { u.Kill(errClosed) }) }

// Serve answers what has been asked, and closes a connection that nobody has used for a minute.
func (u *Users) Serve(t *reactor.Task) {
	for len(u.queue) > 0 {
		q := u.queue[0]
		u.queue, u.now = u.queue[1:], q
		if !u.admit(q) {
			q.answer(Row{}, ErrHeld)
			continue
		}
		t.SetDeadline(t.Loop().Now() + int64(askLimit))
		row, err := u.ask(t, q)
		if err != nil {
			to := u.target.Load()
			u.log.Warn("cannot look up a user", zap.String("node", to.Node), zap.String("database", to.Database), zap.String("as", to.User), zap.Error(err))
		}
		q.answer(row, err)
	}
	idle := u.line.conn != nil && !u.ends && !u.line.conn.EP.HungUp() && !t.Expired() && t.Killed() == nil
	if idle {
		if p, err := u.line.conn.EP.TryRecv(); p == nil && err == nil {
			t.SetDeadline(t.Loop().Now() + int64(unused))
			return
		}
	}
	t.SetDeadline(0)
	if u.line.conn != nil { // what a server says unasked is its end, mostly
		u.line.conn.Retire()
		u.line.conn = nil
	}
	u.ends = false
	if t.Killed() != nil {
		u.End()
	}
}

// ask asks one question, on a new connection if the one that was there is not good any more.
func (u *Users) ask(t *reactor.Task, q *inquiry) (Row, error) {
	if c := u.line.conn; c != nil && c.Moved() {
		c.Retire()
		u.line.conn = nil
	}
	for {
		kept := u.line.conn != nil
		if !kept {
			clear(u.names)
			u.many = false
			_ = u.admit(q)
			if err := u.open(t); err != nil {
				return Row{}, err
			}
		}
		row, refused, err := answerTo(t, u.line.conn, q)
		switch {
		case err == nil:
			return row, refused
		case !kept || t.Expired() || t.Killed() != nil:
			u.line.lose()
			return Row{}, err
		}
		u.line.lose()
	}
}

// answerTo asks on an open connection. After an err it is of no more use.
func answerTo(t *reactor.Task, c *backend.Conn, q *inquiry) (row Row, refused, err error) {
	rows := 0
	var bad error
	se, err := c.Question(t, q.query, q.name, func(i int, v []byte) {
		switch i {
		case 0:
			rows++
			row.Found = true
			if string(v) != q.name {
				bad = fmt.Errorf("was asked for %q and has answered with another name", q.name)
			}
		case 1:
			row.Secret = string(v)
		case 2:
			if row.Until, err = until(v); err != nil {
				bad = err
			}
		}
	})
	switch {
	case err != nil:
		return Row{}, nil, err
	case se != nil:
		return Row{}, se, nil
	case rows > 1:
		return Row{}, fmt.Errorf("the query has returned %d rows", rows), nil
	case bad != nil:
		return Row{}, bad, nil
	}
	return row, nil, nil
}

// until reads a moment as PostgreSQL writes it in UTC; NULL and infinity are 0.
func until(v []byte) (int64, error) {
	switch s := string(v); {
	case len(v) == 0, s == "infinity":
		return 0, nil
	case s == "-infinity", strings.HasSuffix(s, " BC"):
		return 1, nil
	default:
		at, err := time.Parse("2006-01-02 15:04:05.999999-07", s)
		if err != nil {
			return 0, fmt.Errorf("the third column is not a moment: %q", s)
		}
		if at.Year() > 2200 { // more nanoseconds than there are
			return 0, nil
		}
		return max(1, at.UnixNano()), nil
	}
}

func (u *Users) open(t *reactor.Task) error {
	if err := u.line.dial(t, u.target.Load(), UsersApplicationName); err != nil {
		return err
	}
	if err := query(t, u.line.conn, prepareUsers, nil); err != nil {
		u.line.lose()
		return err
	}
	return nil
}

// Panicked drops the connection; who waits is asked again to.
func (u *Users) Panicked(_ *reactor.Task, value any, stack []byte) {
	u.line.lose()
	u.log.Error("panic while a user was looked up", zap.Any("panic", value), zap.ByteString("stack", stack))
	for _, q := range append(u.queue, u.now) {
		q.answer(Row{}, errPanicked)
	}
	u.queue = nil
}

var _ reactor.Body = (*Users)(nil)
