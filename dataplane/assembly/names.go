package assembly

import (
	"cmp"
	"context"
	"errors"
	"net/netip"
	"sync/atomic"

	"go.uber.org/zap"

	"github.com/heliosproxy/heliosproxy/dataplane/resolve"
	"github.com/heliosproxy/heliosproxy/dataplane/snapshot"
	"github.com/heliosproxy/heliosproxy/dataplane/state/hosts"
)

// resolver looks up the names of nodes as the configuration in force says.
type resolver struct {
	*hosts.Book
	now atomic.Pointer[resolve.Resolver]
}

// newResolver makes one that tells when an address is gone.
func newResolver(log *zap.Logger, changed func()) *resolver {
	n := &resolver{}
	n.Book = hosts.New(hosts.Options{
		Log: log,
		Lookup: func(ctx context.Context, name string) (hosts.Found, error) {
			a, err := n.now.Load().Lookup(ctx, name)
			return hosts.Found(a), err
		},
		Serial:  func(ctx context.Context, zone string) (uint32, error) { return n.now.Load().Serial(ctx, zone) },
		None:    func(err error) bool { return errors.Is(err, resolve.ErrNone) },
		Changed: changed,
	})
	return n
}

// LookupHost finds the addresses of a host as a proxy does that has this resolv.conf; empty: the machine's own.
func LookupHost(ctx context.Context, resolvConf, host string) ([]netip.Addr, error) {
	a, err := resolverOf(resolvConf).Lookup(ctx, host)
	return a.Addresses, err
}

func resolverOf(resolvConf string) *resolve.Resolver {
	return &resolve.Resolver{ResolvConf: cmp.Or(resolvConf, resolve.ResolvConf), Hosts: resolve.Hosts}
}

// moved has connections closed that lead to addresses which their hosts do not have any more.
func (p *Proxy) moved() {
	p.hub.Pools.Moved()
	p.listeners.Moved()
}

// use says how names are looked up from now on.
func (n *resolver) use(r snapshot.Resolver) {
	n.now.Store(resolverOf(r.ResolvConf))
	n.Use(r.Policy)
}

// retain forgets the names that a snapshot does not have.
func (n *resolver) retain(snap *snapshot.Snapshot) {
	used := map[*hosts.Server]bool{}
	for s := range snap.Servers {
		used[s] = true
	}
	n.Retain(used)
}
