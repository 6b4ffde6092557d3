package reactor

import (
	"fmt"
	"net/netip"
	"strings"

	"golang.org/x/sys/unix"
)

// Address is where a socket is bound or connected: an IP address with a port, or a path.
type Address struct {
	IP   netip.AddrPort
	Path string // of a unix socket
}

// ParseAddress reads HOST:PORT with an IP address as host, or unix:PATH.
func ParseAddress(s string) (Address, error) {
	if p, ok := strings.CutPrefix(s, "unix:"); ok {
		return Address{Path: p}, nil
	}
	ap, err := netip.ParseAddrPort(s)
	if err != nil {
		return Address{}, fmt.Errorf("address %q: want an IP address and port, or unix:PATH: %w", s, err)
	}
	return Address{IP: ap}, nil
}

// String returns the address as ParseAddress reads it.
func (a Address) String() string {
	if a.IsUnix() { // without a path where it is a client's
		return "unix:" + a.Path
	}
	return a.IP.String()
}

// IsLocal says whether a peer with this address is on this machine: a unix socket or loopback.
func (a Address) IsLocal() bool {
	return a.Path != "" || !a.IP.IsValid() || a.IP.Addr().Unmap().IsLoopback()
}

// LocalAddress is the proxy's end of the connection; the zero Address where there is none.
func (e *Endpoint) LocalAddress() Address {
	if sa, err := unix.Getsockname(int(e.fd)); err == nil {
		return addressOf(sa)
	}
	return Address{}
}

// IsUnix says whether it is the address of a unix socket.
func (a Address) IsUnix() bool { return !a.IP.IsValid() }

func (a Address) sockaddr() (int, unix.Sockaddr) {
	switch {
	case a.IsUnix():
		return unix.AF_UNIX, &unix.SockaddrUnix{Name: a.Path}
	case a.IP.Addr().Is4():
		return unix.AF_INET, &unix.SockaddrInet4{Port: int(a.IP.Port()), Addr: a.IP.Addr().As4()}
	default:
		return unix.AF_INET6, &unix.SockaddrInet6{Port: int(a.IP.Port()), Addr: a.IP.Addr().As16()}
	}
}

func addressOf(sa unix.Sockaddr) Address {
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return Address{IP: netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port))}
	case *unix.SockaddrInet6:
		return Address{IP: netip.AddrPortFrom(netip.AddrFrom16(sa.Addr), uint16(sa.Port))}
	case *unix.SockaddrUnix:
		return Address{Path: sa.Name}
	default:
		return Address{}
	}
}
