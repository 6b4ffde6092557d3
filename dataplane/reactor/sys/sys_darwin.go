package sys

import (
	"net/netip"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Socket makes one that does not wait, and that no child gets.
func Socket(family int) (int, error) {
	syscall.ForkLock.RLock()
	fd, err := unix.Socket(family, unix.SOCK_STREAM, 0)
	if err == nil {
		unix.CloseOnExec(fd)
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return -1, err
	}
	return fd, alone(fd)
}

// alone makes a socket return at once, and a send to a peer that is gone an error and no signal.
func alone(fd int) error {
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_NOSIGPIPE, 1)
	if err := unix.SetNonblock(fd, true); err != nil {
		Close(fd)
		return err
	}
	return nil
}

// Recv receives into p.
func Recv(fd int, p []byte) (int, syscall.Errno) {
	n, err := unix.Read(fd, p)
	return n, number(err)
}

// Send sends p, or the beginning of it.
func Send(fd int, p []byte) (int, syscall.Errno) {
	n, err := unix.Write(fd, p)
	return n, number(err)
}

// number is what golang.org/x/sys/unix makes its errors of.
func number(err error) syscall.Errno {
	e, _ := err.(syscall.Errno)
	return e
}

// Accept takes in the client that waits longest at a listener that does not wait. At a unix socket there is no address.
func Accept(listener int) (fd int, from netip.AddrPort, e syscall.Errno) {
	syscall.ForkLock.RLock()
	fd, sa, err := unix.Accept(listener)
	if err == nil {
		unix.CloseOnExec(fd)
	}
	syscall.ForkLock.RUnlock()
	if err == nil {
		err = alone(fd)
	}
	if err != nil {
		return -1, netip.AddrPort{}, number(err)
	}
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		from = netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port))
	case *unix.SockaddrInet6:
		from = netip.AddrPortFrom(netip.AddrFrom16(sa.Addr), uint16(sa.Port))
	}
	return fd, from, 0
}

// Close closes a descriptor.
func Close(fd int) { _ = unix.Close(fd) }

// ShutdownWrite tells the peer that nothing more will be sent.
func ShutdownWrite(fd int) { _ = unix.Shutdown(fd, unix.SHUT_WR) }

// SetIdle sets after how many seconds of silence the kernel asks a peer whether it is there.
func SetIdle(fd, seconds int) {
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_KEEPALIVE, seconds)
}

// SetUserTimeout sets how long what was sent may be unacknowledged, in whole seconds.
func SetUserTimeout(fd int, d time.Duration) {
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_RXT_CONNDROPTIME, max(1, int(d/time.Second)))
}

// PeerUID returns the number of the user at the other end of a unix socket.
func PeerUID(fd int) (uint32, error) {
	c, err := unix.GetsockoptXucred(fd, unix.SOL_LOCAL, unix.LOCAL_PEERCRED)
	if err != nil {
		return 0, err
	}
	return c.Uid, nil
}
