package assembly

import (
	"net/netip"

	"github.com/heliosproxy/heliosproxy/dataplane/peers"
	"github.com/heliosproxy/heliosproxy/dataplane/reactor"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// Meet says what number the proxy has and who the others behind the same balancer are, where no control plane does.
func (p *Proxy) Meet(said *heliosv1.Peers) { p.hub.Peers.Set(said) }

// reach is where the other proxies reach this one with cancel requests.
func (r reporter) reach() string {
	if r.o.Advertise != "" {
		return r.o.Advertise
	}
	var all []reactor.Address
	everywhere := false
	r.p.mu.Lock()
	for _, d := range r.p.doors {
		a := d.ls.Address()
		all = append(all, a)
		everywhere = everywhere || !a.IsUnix() && a.IP.Addr().IsUnspecified()
	}
	r.p.mu.Unlock()
	host := netip.Addr{}
	if everywhere {
		host = peers.Host(r.o.Addresses, r.p.hub.Interfaces)
	}
	return peers.Reach(all, host)
}
