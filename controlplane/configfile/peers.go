package configfile

import (
	"errors"

	"github.com/heliosproxy/heliosproxy/pkg/resource"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// peers are the other proxies behind the same balancer.
func (r *reader) peers() *heliosv1.Peers {
	all := &heliosv1.Peers{YourNumber: uint32(r.settings.int("proxy.peer_id"))}
	if list := r.lists["peers"]; len(list) > 0 && all.YourNumber == 0 {
		r.fail(list[0].line, "proxy.peer_id", "missing: this proxy has to have a number among its peers")
	}
	lines := map[uint32]int{}
	for _, s := range r.lists["peers"] {
		p := &heliosv1.Peer{Number: uint32(s.int("peers.peer_id")), Address: s.text("peers.address")}
		id, address := s.at("peers.peer_id"), s.at("peers.address")
		a, err := resource.ParseAddress(p.Address)
		if err == nil && a.Path == "" && (a.TCP.Port() == 0 || a.TCP.Addr().IsUnspecified()) {
			err = errors.New("nobody is reached there")
		}
		switch before := lines[p.Number]; {
		case p.Number == 0:
			r.fail(id.line, id.key, "missing")
		case before > 0:
			r.fail(id.line, id.key, "%d is in line %d already", p.Number, before)
		case p.Address == "":
			r.fail(address.line, address.key, "missing")
		case err != nil:
			r.fail(address.line, address.key, "%s", err)
		case p.Number != all.YourNumber:
			all.Peers = append(all.Peers, p)
		}
		lines[p.Number] = id.line
	}
	return all
}
