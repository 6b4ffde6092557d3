package assembly

import (
	"net"
	"net/netip"
	"os/user"
	"strconv"
)

// osUser returns the name of a user of the operating system.
func osUser(uid uint32) (string, error) {
	u, err := user.LookupId(strconv.FormatUint(uint64(uid), 10))
	if err != nil {
		return "", err
	}
	return u.Username, nil
}

// interfaces returns the addresses of this machine, with the lengths of their networks' masks.
func interfaces() ([]netip.Prefix, error) {
	all, err := net.InterfaceAddrs()
	if err != nil {
		return nil, err
	}
	var own []netip.Prefix
	for _, a := range all {
		if p, err := netip.ParsePrefix(a.String()); err == nil {
			own = append(own, p)
		}
	}
	return own, nil
}

// hostName returns the name that an address resolves to, if that resolves to the address again.
func hostName(a netip.Addr) string {
	names, err := net.LookupAddr(a.String())
	if err != nil || len(names) == 0 {
		return ""
	}
	back, err := net.LookupHost(names[0])
	if err != nil {
		return ""
	}
	for _, b := range back {
		if ip, err := netip.ParseAddr(b); err == nil && ip.Unmap() == a {
			return names[0]
		}
	}
	return ""
}
