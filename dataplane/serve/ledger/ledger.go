// Package ledger finds the account of those clients of a loop who have database and pool in common. It never counts anything itself.
package ledger

import (
	"github.com/heliosproxy/heliosproxy/dataplane/pool"
	"github.com/heliosproxy/heliosproxy/dataplane/state/meter"
)

// Key is whose account it is: the clients of a database who use one pool. Where there are too many, it is that of all others, and has no
// names; or of all others of a database that the configuration names, and has that name alone.
type Key struct {
	Database string // as clients name it
	Pool     pool.Key
}

// Ledger has the accounts of one loop.
type Ledger map[Key]*meter.Account

// most bounds how many accounts a loop has of databases that the configuration names, and of all. Besides, each that it names has one.
const most, mostOfAll = 500, 1000

// Of returns the account of a database's clients who use a pool. named says whether the configuration names the database: names that
// clients think of do not take the places of those.
func (l Ledger) Of(db string, p pool.Key, named bool) *meter.Account {
	k := Key{db, p}
	if a := l[k]; a != nil {
		return a
	}
	switch {
	case named && len(l) >= mostOfAll:
		k = Key{Database: db}
	case !named && len(l) >= most:
		k = Key{}
	}
	a := l[k]
	if a == nil {
		a = &meter.Account{}
		l[k] = a
	}
	return a
}

// Forget adds the accounts that are not to be kept to that of all others, so that sums stay what they were. Nobody may use them any more.
func (l Ledger) Forget(keep func(Key) bool) {
	for k, a := range l {
		if k == (Key{}) || keep(k) {
			continue
		}
		delete(l, k)
		o := l[Key{}]
		if o == nil {
			o = &meter.Account{}
			l[Key{}] = o
		}
		o.Sum(a)
	}
}
