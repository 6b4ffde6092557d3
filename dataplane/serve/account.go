package serve

import (
	"github.com/heliosproxy/heliosproxy/dataplane/backend"
	"github.com/heliosproxy/heliosproxy/dataplane/pool"
	"github.com/heliosproxy/heliosproxy/dataplane/state/meter"
	"github.com/heliosproxy/heliosproxy/pkg/pgwire"
)

// AccountKey is whose account it is: the clients of a database who use one pool. Where there are too many, it is that of all others,
// and has no names.
type AccountKey struct {
	Database string // as clients name it
	Pool     pool.Key
}

// maxAccounts bounds how many accounts a loop has.
const maxAccounts = 500

// account returns the account of a database's clients who use a pool.
func (lo *Local) account(db string, p *pool.Pool) *meter.Account {
	k := AccountKey{db, p.Key}
	a := lo.accounts[k]
	if a != nil {
		return a
	}
	if len(lo.accounts) >= maxAccounts {
		k = AccountKey{}
		if a = lo.accounts[k]; a != nil {
			return a
		}
	}
	a = &meter.Account{}
	lo.accounts[k] = a
	return a
}

// Accounts yields what was counted, by whom, the bytes of connections that are open included. It is called on the loop's thread.
func (lo *Local) Accounts(yield func(AccountKey, *meter.Account)) {
	for _, c := range lo.conns {
		c.countBytes()
	}
	for k, a := range lo.accounts {
		yield(k, a)
	}
}

// open makes the account of the connection's database and pool its own.
func (c *Conn) open() {
	c.countBytes()
	c.account = c.local.account(c.asked.Database, c.pool)
	if c.session != nil {
		c.session.Account = c.account
	}
}

// countBytes brings the account up to date with what the connection has received and sent.
func (c *Conn) countBytes() {
	in, out := &c.local.Meter.FromClient, &c.local.Meter.ToClient
	if c.account != nil {
		in, out = &c.account.FromClient, &c.account.ToClient
	}
	*in += c.ep.In - c.in
	*out += c.ep.Out - c.out
	c.in, c.out = c.ep.In, c.ep.Out
}

// stopwatch is what the time of the statement under way goes to, in nanoseconds.
type stopwatch struct {
	began          int64 // in the time of the loop; 0: none is under way
	queue, connect int64
	client         int64
}

// begins starts the time of a statement, and of the transaction that it begins.
func (c *Conn) begins() {
	now := c.Loop().Now()
	c.watch, c.last = stopwatch{began: now}, now
	if c.session.Status == pgwire.Idle && c.xact == 0 {
		c.xact = now
	}
}

// ended counts the statement whose answer is complete.
func (c *Conn) ended() {
	w := &c.watch
	if w.began == 0 {
		return
	}
	h := &c.account.Phases
	h[meter.Queue].Add(w.queue)
	h[meter.Server].Add(c.Loop().Now() - w.began - w.queue - w.connect - w.client)
	if w.connect > 0 {
		h[meter.Connect].Add(w.connect)
	}
	if w.client > 0 {
		h[meter.Client].Add(w.client)
	}
	w.began = 0
}

// refused counts the waits of a statement that no server has seen.
func (c *Conn) refused() {
	h, w := &c.account.Phases, &c.watch
	if w.queue > 0 {
		h[meter.Queue].Add(w.queue)
	}
	if w.connect > 0 {
		h[meter.Connect].Add(w.connect)
	}
	w.began, c.xact = 0, 0
}

// committed counts the transaction that has ended, in whatever way.
func (c *Conn) committed() {
	if c.xact != 0 {
		c.account.Transactions++
		c.account.TransactionTime += c.Loop().Now() - c.xact
		c.xact = 0
	}
}

// waited divides a wait for a server connection, which began at since and has brought s: where s was opened meanwhile it is that which
// was waited for.
func (c *Conn) waited(since int64, s *backend.Conn) {
	now := c.Loop().Now()
	if s == nil || s.Born <= since {
		c.watch.queue += now - since
		return
	}
	c.watch.queue += s.Born - since
	c.watch.connect += now - s.Born
}
