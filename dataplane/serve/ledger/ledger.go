// Package ledger finds the account of those clients of a loop who have database and pool in common. It never counts anything itself.
package ledger

import (
	"github.com/heliosproxy/heliosproxy/dataplane/pool"
	"github.com/heliosproxy/heliosproxy/dataplane/state/meter"
)

// Key is whose account it is: the clients of a database who use one pool. Where there are too many, it is that of all others,
// and has no names.
type Key struct {
	Database string // as clients name it
	Pool     pool.Key
}

// Ledger has the accounts of one loop.
type Ledger map[Key]*meter.Account

// most bounds how many accounts a loop has.
const most = 500

// Of returns the account of a database's clients who use a pool.
func (l Ledger) Of(db string, p pool.Key) *meter.Account {
	k := Key{db, p}
	a := l[k]
	if a != nil {
		return a
	}
	if len(l) >= most {
		k = Key{}
		if a = l[k]; a != nil {
			return a
		}
	}
	a = &meter.Account{}
	l[k] = a
	return a
}
