// Package sys makes the system calls of a socket, each as its platform does it. It never waits.
package sys

import (
	"math"
	"time"

	"golang.org/x/sys/unix"
)

// KeepAlive makes the kernel find out about a peer that is gone without a word: after a minute of
// silence it asks, and gives up after three answers that did not come. What was sent and is not
// acknowledged for as long ends the connection too.
func KeepAlive(fd int) {
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1)
	SetIdle(fd, 60)
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, 15)
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_KEEPCNT, 3)
}

// SetProbes sets how many seconds are between two questions whether a silent peer is there.
func SetProbes(fd, seconds int) {
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, seconds)
}

// OpenFiles is how many files the process may have open: Go has raised the soft limit to the hard one.
func OpenFiles() int {
	var r unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &r); err != nil || r.Cur > math.MaxInt32 {
		return math.MaxInt32
	}
	return int(r.Cur)
}

// Clock reads one of the kernel's clocks, which every platform has that this is built for.
func Clock(which int32) time.Duration {
	var t unix.Timespec
	_ = unix.ClockGettime(which, &t)
	return time.Duration(t.Nano())
}
