package desk

import (
	"cmp"
	"strconv"
	"strings"

	"github.com/heliosproxy/heliosproxy/dataplane/console"
	"github.com/heliosproxy/heliosproxy/dataplane/peers"
	"github.com/heliosproxy/heliosproxy/dataplane/reactor"
)

// Peers implements [console.Desk].
func (d *Desk) Peers() []console.Peer {
	var all []console.Peer
	for _, x := range d.o.Hub.Peers.All() {
		row := console.Peer{Number: int(x.Number), Max: peers.MaxFlyingTo, Flying: x.Flying, NodeID: x.NodeID}
		row.Host, row.Port = placeOf(x.Address)
		all = append(all, row)
	}
	return all
}

// placeOf is a peer's address as PgBouncer has it: a unix socket whose name has a port is its directory and that one.
func placeOf(address string) (host string, port int) {
	at, err := reactor.ParseAddress(address)
	switch {
	case err != nil:
		return address, 0
	case !at.IsUnix():
		return at.IP.Addr().String(), int(at.IP.Port())
	}
	dir, name, ok := strings.Cut(at.Path, "/.s.PGSQL.")
	if port, err := strconv.ParseUint(name, 10, 16); ok && err == nil {
		return cmp.Or(dir, "/"), int(port)
	}
	return at.Path, 0
}
