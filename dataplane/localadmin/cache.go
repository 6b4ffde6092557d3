package localadmin

import (
	"cmp"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/heliosproxy/heliosproxy/dataplane/state/keyring"
	"github.com/heliosproxy/heliosproxy/dataplane/state/users"
)

// cachePath is where it is said, and forgotten, whom the proxy knows.
const cachePath = "/auth/cache"

// How many of each are listed unless the request says otherwise, and at most.
const (
	defaultListed = 1000
	maxListed     = 10_000
)

// Known is the answer to GET /auth/cache?user=NAME&limit=N, which both may be left out. No secret is in it.
type Known struct {
	Users []KnownUser `json:"users"` // by cluster, database, user
	Keys  []KeyOwner  `json:"keys"`  // by cluster, user
	// How many more there are than the limit lets through; those that are listed are then any.
	MoreUsers int `json:"moreUsers"`
	MoreKeys  int `json:"moreKeys"`
}

// KnownUser is what a database has said of a name.
type KnownUser struct {
	Cluster  string     `json:"cluster"`
	Database string     `json:"database"`
	User     string     `json:"user"`
	Asked    time.Time  `json:"asked"`
	Until    *time.Time `json:"until"`  // from when on the secret is not good; nil: it is for ever
	Secret   string     `json:"secret"` // scram, md5, password, none, or nobody: nobody who may log in has the name
	Key      bool       `json:"key"`    // it has proved to have the key of its verifier since the proxy was started
}

// KeyOwner is who has proved to have a key, whether the configuration or a database has its verifier.
type KeyOwner struct {
	Cluster string `json:"cluster"`
	User    string `json:"user"`
}

// Forgotten is the answer to DELETE /auth/cache?user=NAME.
type Forgotten struct {
	Users int `json:"users"` // in so many places
	Keys  int `json:"keys"`
}

// cache lists and forgets.
type cache struct{ o Options }

func (c cache) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	user := r.URL.Query().Get("user")
	if r.Method == http.MethodDelete {
		switch {
		case c.o.Token == "":
			fail(w, http.StatusForbidden, "who has no admin token may look and not forget: set proxy.admin_token, or --admin-token-file")
		case user == "":
			fail(w, http.StatusBadRequest, "user=NAME is missing")
		default:
			answer(w, http.StatusOK, Forgotten{Users: c.o.Users.Forget(user), Keys: c.o.Keys.Forget(user)})
		}
		return
	}
	limit := defaultListed
	if text := r.URL.Query().Get("limit"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > maxListed {
			fail(w, http.StatusBadRequest, "limit is not a number from 1 to "+strconv.Itoa(maxListed))
			return
		}
		limit = n
	}
	answer(w, http.StatusOK, c.known(user, limit))
}

// known lists at most so many users and keys, those of one name or, if that is empty, of all.
func (c cache) known(user string, limit int) Known {
	k := Known{Users: []KnownUser{}, Keys: []KeyOwner{}}
	c.o.Users.Each(func(p users.Place, name string, u users.Known) bool {
		switch {
		case user != "" && name != user:
		case len(k.Users) < limit:
			k.Users = append(k.Users, entryOf(p, name, u))
		default:
			k.MoreUsers++
		}
		return user != "" || len(k.Users) < limit // the rest need only be counted
	})
	c.o.Keys.Each(func(o keyring.Owner) bool {
		switch {
		case user != "" && o.User != user:
		case len(k.Keys) < limit:
			k.Keys = append(k.Keys, KeyOwner{o.Cluster, o.User})
		default:
			k.MoreKeys++
		}
		return user != "" || len(k.Keys) < limit
	})
	if user == "" {
		k.MoreUsers, k.MoreKeys = max(0, c.o.Users.Len()-len(k.Users)), max(0, c.o.Keys.Len()-len(k.Keys))
	}
	for i := range k.Users {
		u := &k.Users[i]
		u.Key = c.o.Keys.Has(keyring.Owner{Cluster: u.Cluster, User: u.User})
	}
	slices.SortFunc(k.Users, func(a, b KnownUser) int {
		return cmp.Or(cmp.Compare(a.Cluster, b.Cluster), cmp.Compare(a.Database, b.Database), cmp.Compare(a.User, b.User), a.Asked.Compare(b.Asked))
	})
	slices.SortFunc(k.Keys, func(a, b KeyOwner) int { return cmp.Or(cmp.Compare(a.Cluster, b.Cluster), cmp.Compare(a.User, b.User)) })
	return k
}

// entryOf is what is told of a user.
func entryOf(p users.Place, name string, k users.Known) KnownUser {
	u := KnownUser{Cluster: p.Cluster, Database: p.Database, User: name, Asked: time.Unix(0, k.Asked).UTC(), Secret: "nobody"}
	if k.Until != 0 {
		until := time.Unix(0, k.Until).UTC()
		u.Until = &until
	}
	if k.User != nil {
		u.Secret = k.User.Kind()
	}
	return u
}
