package reactor

import (
	"time"

	"golang.org/x/sys/unix"

	"github.com/heliosproxy/heliosproxy/dataplane/reactor/sys"
)

// SetUserTimeout makes the kernel give a peer up that has not acknowledged for so long what it was sent, or asked after half of that
// silence whether it is there. 0 changes nothing; neither has a unix socket such a time.
func (e *Endpoint) SetUserTimeout(d time.Duration) {
	if d <= 0 || e.mem != nil {
		return
	}
	seconds := func(d time.Duration) int { return max(1, int(d/time.Second)) }
	sys.SetUserTimeout(int(e.fd), d)
	sys.SetIdle(int(e.fd), seconds(d/2))
	sys.SetProbes(int(e.fd), seconds(d/4))
}

// PeerUID returns the number of the user at the other end of a unix socket.
func (e *Endpoint) PeerUID() (uint32, error) { return sys.PeerUID(int(e.fd)) }

// OpenFiles is how many files the process may have open.
func OpenFiles() int { return sys.OpenFiles() }

// Monotonic is the kernel's CLOCK_MONOTONIC, for who speaks of times with other processes.
func Monotonic() time.Duration { return sys.Clock(unix.CLOCK_MONOTONIC) }
