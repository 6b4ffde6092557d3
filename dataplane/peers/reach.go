package peers

import (
	"net"
	"net/netip"

	"github.com/heliosproxy/heliosproxy/dataplane/reactor"
)

// Reach chooses where the other proxies of a group reach this one, of the addresses of its listeners: one on the network before one on
// loopback, and that before a unix socket, which only those on the same machine reach. A listener on all addresses is reached at host,
// which may be not valid. It is empty where there is nothing.
func Reach(listeners []reactor.Address, host netip.Addr) string {
	best, rank := "", 0
	for _, l := range listeners {
		r := 1
		if !l.IsUnix() {
			a := l.IP.Addr().Unmap()
			if a.IsUnspecified() {
				if a = host; !a.IsValid() {
					a = netip.AddrFrom4([4]byte{127, 0, 0, 1})
				}
			}
			l.IP = netip.AddrPortFrom(a, l.IP.Port())
			if r = 3; a.IsLoopback() {
				r = 2
			}
		}
		if s := l.String(); r > rank || r == rank && s < best {
			best, rank = s, r
		}
	}
	return best
}

// Host is an address of this machine that others reach: the one from which it reaches the control planes, or, where they are on loopback, the
// first on a network. It is not valid where there is none.
func Host(controlPlanes []string, interfaces func() ([]netip.Prefix, error)) netip.Addr {
	for _, to := range controlPlanes {
		c, err := net.Dial("udp", to) // nothing is sent: the kernel says which way it would go
		if err != nil {
			continue
		}
		from, _ := netip.ParseAddrPort(c.LocalAddr().String())
		c.Close()
		if a := from.Addr().Unmap(); a.IsValid() && !a.IsLoopback() {
			return a
		}
	}
	all, err := interfaces()
	if err != nil {
		return netip.Addr{}
	}
	for _, p := range all {
		if a := p.Addr().Unmap(); a.IsGlobalUnicast() {
			return a
		}
	}
	return netip.Addr{}
}
