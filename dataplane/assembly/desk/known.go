package desk

import (
	"cmp"
	"slices"
	"time"

	"github.com/heliosproxy/heliosproxy/dataplane/console"
	"github.com/heliosproxy/heliosproxy/dataplane/state/keyring"
	"github.com/heliosproxy/heliosproxy/dataplane/state/users"
)

// Known implements [console.Desk].
func (d *Desk) Known(user string) (all []console.Known) {
	answered := map[keyring.Owner]bool{}
	d.o.Hub.Users.Each(func(p users.Place, name string, u users.Known) bool {
		if user == "" || name == user {
			answered[keyring.Owner{Cluster: p.Cluster, User: name}] = true
			all = append(all, known(p, name, u))
		}
		return true
	})
	for i := range all {
		all[i].Key = d.o.Hub.Ring.Has(keyring.Owner{Cluster: all[i].Cluster, User: all[i].User})
	}
	d.o.Hub.Ring.Each(func(o keyring.Owner) bool {
		if (user == "" || o.User == user) && !answered[o] {
			all = append(all, console.Known{Cluster: o.Cluster, User: o.User, Key: true})
		}
		return true
	})
	slices.SortFunc(all, func(a, b console.Known) int {
		return cmp.Or(cmp.Compare(a.Cluster, b.Cluster), cmp.Compare(a.Database, b.Database), cmp.Compare(a.User, b.User), a.Asked.Compare(b.Asked))
	})
	return all
}

// known is what is told of a user: no secret, but which kind it is.
func known(p users.Place, name string, u users.Known) console.Known {
	k := console.Known{Cluster: p.Cluster, Database: p.Database, User: name, Secret: "nobody", Asked: time.Unix(0, u.Asked)}
	if u.Until != 0 {
		k.Until = time.Unix(0, u.Until)
	}
	if u.User != nil {
		k.Secret = u.User.Kind()
	}
	return k
}

// Forget implements [console.Desk].
func (d *Desk) Forget(user string) (answers, keys int) {
	d.told("FORGET "+user, "")
	return d.o.Hub.Users.Forget(user), d.o.Hub.Ring.Forget(user)
}
