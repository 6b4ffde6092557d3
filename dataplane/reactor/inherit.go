package reactor

import (
	"errors"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"

	"github.com/heliosproxy/heliosproxy/dataplane/reactor/sys"
)

// Inherit makes a listener of a descriptor that somebody else has bound and listens at, and has handed over. It is the listener's from
// then on, and closed after an error. How many may wait to be accepted stays as it is, and so does the file of a unix socket when the
// listener is closed; if the listener is heir to it, until Succeed.
func Inherit(fd int, heir bool) (*Listener, error) {
	a, err := listening(fd)
	if err == nil {
		_, err = unix.FcntlInt(uintptr(fd), unix.F_SETFD, unix.FD_CLOEXEC)
	}
	if err == nil {
		err = unix.SetNonblock(fd, true)
	}
	if err != nil {
		sys.Close(fd)
		return nil, fmt.Errorf("inherit descriptor %d: %w", fd, err)
	}
	if !a.IsUnix() {
		inheritable(fd)
	}
	spare, _ := unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	return &Listener{fd: fd, spare: spare, addr: a, heir: heir && a.IsUnix()}, nil
}

// Owns says whether the file of the socket is the listener's, or will be.
func (ls *Listener) Owns() bool { return ls.owns || ls.heir }

// Succeed says that the process that had the socket before has it no more. On the loop's thread.
func (ls *Listener) Succeed() { ls.owns, ls.heir = ls.Owns(), false }

// listening is where a descriptor listens for streams.
func listening(fd int) (Address, error) {
	kind, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE)
	if err != nil {
		return Address{}, err
	}
	listens, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN)
	if errors.Is(err, unix.ENOPROTOOPT) {
		listens, err = 1, nil // macOS does not say: accept will
	}
	if err != nil {
		return Address{}, err
	}
	if kind != unix.SOCK_STREAM || listens == 0 {
		return Address{}, errors.New("it is not a socket that listens for streams")
	}
	sa, err := unix.Getsockname(fd)
	if err != nil {
		return Address{}, err
	}
	a := addressOf(sa)
	if a == (Address{}) {
		return Address{}, errors.New("it is neither a TCP nor a unix socket")
	}
	return a, nil
}

// Serves says whether the listener is one for a: bound there, or to all addresses of both families where a is all of IPv4.
func (ls *Listener) Serves(a Address) bool {
	if ls.addr.IsUnix() || a.IsUnix() {
		return ls.addr == a
	}
	own, other := ls.addr.IP.Addr(), a.IP.Addr()
	if ls.addr.IP.Port() != a.IP.Port() {
		return false
	}
	if own.Unmap() == other.Unmap() {
		return true
	}
	if own != netip.IPv6Unspecified() || other != netip.IPv4Unspecified() {
		return false
	}
	only, err := unix.GetsockoptInt(ls.fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY)
	return err == nil && only == 0
}
