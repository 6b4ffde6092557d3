package serve

import (
	"github.com/heliosproxy/heliosproxy/dataplane/serve/ledger"
	"github.com/heliosproxy/heliosproxy/pkg/pgwire"
)

// Accounts returns what was counted, by whom, the bytes of connections that are open included. It is the loop's: its thread alone uses it.
func (lo *Local) Accounts() ledger.Ledger {
	for _, c := range lo.conns {
		c.countBytes()
	}
	return lo.accounts
}

// open makes the account of the connection's database and pool its own.
func (c *Conn) open() {
	c.countBytes()
	c.account = c.local.accounts.Of(c.asked.Database, c.pool.Key, c.snap.NamesDatabase(c.asked.Database))
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
