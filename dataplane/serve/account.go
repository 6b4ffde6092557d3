package serve

import (
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

// begins starts the time of a statement, and of the transaction that it begins.
func (c *Conn) begins() {
	c.last = c.Loop().Now()
	c.watch.Begin(c.last, c.session.Status == pgwire.Idle)
}
