package desk

import (
	"github.com/heliosproxy/heliosproxy/dataplane/console"
	"github.com/heliosproxy/heliosproxy/dataplane/peers"
	"github.com/heliosproxy/heliosproxy/dataplane/reactor"
)

// Peers implements [console.Desk].
func (d *Desk) Peers() []console.Peer {
	var all []console.Peer
	for _, x := range d.o.Hub.Peers.All() {
		row := console.Peer{Number: int(x.Number), Host: x.Address, Max: peers.MaxFlyingTo, Flying: x.Flying, NodeID: x.NodeID}
		if at, err := reactor.ParseAddress(x.Address); err == nil && at.IsUnix() {
			row.Host = at.Path
		} else if err == nil {
			row.Host, row.Port = at.IP.Addr().String(), int(at.IP.Port())
		}
		all = append(all, row)
	}
	return all
}
