package reactor

import (
	"math"
	"math/bits"
	"net/netip"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The calls of the steady path are raw: they never wait, so the scheduler need not hear of them.

func sysRecv(fd int, p []byte) (int, syscall.Errno) {
	n, _, e := syscall.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)), 0, 0, 0)
	return int(n), e
}

func sysSend(fd int, p []byte) (int, syscall.Errno) {
	n, _, e := syscall.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)), unix.MSG_NOSIGNAL, 0, 0)
	return int(n), e
}

// sysAccept takes in the client that waits longest at a listener that does not wait. At a unix socket the address is the zero one.
// [unix.Accept4] asks the kernel for the socket's protocol besides, at each client.
func sysAccept(listener int) (fd int, from Address, e syscall.Errno) {
	var sa unix.RawSockaddrAny
	n := uint32(unix.SizeofSockaddrAny)
	r, _, e := syscall.RawSyscall6(unix.SYS_ACCEPT4, uintptr(listener), uintptr(unsafe.Pointer(&sa)), uintptr(unsafe.Pointer(&n)),
		unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0, 0)
	if e != 0 {
		return -1, Address{}, e
	}
	switch sa.Addr.Family {
	case unix.AF_INET:
		in := (*unix.RawSockaddrInet4)(unsafe.Pointer(&sa))
		from.IP = netip.AddrPortFrom(netip.AddrFrom4(in.Addr), bits.ReverseBytes16(in.Port))
	case unix.AF_INET6:
		in := (*unix.RawSockaddrInet6)(unsafe.Pointer(&sa))
		from.IP = netip.AddrPortFrom(netip.AddrFrom16(in.Addr), bits.ReverseBytes16(in.Port))
	}
	return int(r), from, 0
}

func closeDescriptor(fd int) {
	_, _, _ = syscall.RawSyscall(unix.SYS_CLOSE, uintptr(fd), 0, 0)
}

func shutdownWrite(fd int) {
	_, _, _ = syscall.RawSyscall(unix.SYS_SHUTDOWN, uintptr(fd), unix.SHUT_WR, 0)
}

// keepAlive makes the kernel find out about a peer that is gone without a word: after a minute of
// silence it asks, and gives up after three answers that did not come. What was sent and is not
// acknowledged for as long ends the connection too.
func keepAlive(fd int) {
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1)
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, 60)
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, 15)
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_KEEPCNT, 3)
}

// SetUserTimeout makes the kernel give a peer up that has not acknowledged for so long what it was sent, or asked after half of that
// silence whether it is there. 0 changes nothing; neither has a unix socket such a time.
func (e *Endpoint) SetUserTimeout(d time.Duration) {
	if d <= 0 || e.mem != nil {
		return
	}
	seconds := func(d time.Duration) int { return max(1, int(d/time.Second)) }
	_ = unix.SetsockoptInt(int(e.fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(d.Milliseconds()))
	_ = unix.SetsockoptInt(int(e.fd), unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, seconds(d/2))
	_ = unix.SetsockoptInt(int(e.fd), unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, seconds(d/4))
}

// PeerUID returns the number of the user at the other end of a unix socket.
func (e *Endpoint) PeerUID() (uint32, error) {
	c, err := unix.GetsockoptUcred(int(e.fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err != nil {
		return 0, err
	}
	return c.Uid, nil
}

// OpenFiles is how many files the process may have open: Go has raised the soft limit to the hard one.
func OpenFiles() int {
	var r unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &r); err != nil || r.Cur > math.MaxInt32 {
		return math.MaxInt32
	}
	return int(r.Cur)
}
