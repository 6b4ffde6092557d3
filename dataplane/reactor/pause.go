package reactor

import (
	"os"

	"golang.org/x/sys/unix"
)

// Pause takes nobody in at the listener until Resume: those who come wait, or are taken in by another process that has the socket. On
// the loop's thread, as Resume and Abandon are.
func (ls *Listener) Pause() {
	if ls.loop == nil || ls.fd < 0 {
		return
	}
	ls.loop.accepting[ls.fd] = nil
	_ = ls.loop.poll.ctl(unix.EPOLL_CTL_DEL, ls.fd, 0, 0)
}

// Resume takes clients in again.
func (ls *Listener) Resume() error {
	ls.loop.accepting[ls.fd] = ls
	return os.NewSyscallError("epoll_ctl", ls.loop.poll.ctl(unix.EPOLL_CTL_ADD, ls.fd, unix.EPOLLIN, 0))
}

// Abandon closes the listener, whose socket another process has: the file of a unix socket stays.
func (ls *Listener) Abandon() {
	ls.owns = false
	ls.Close()
}

// Descriptor is the number of the listener's file descriptor.
func (ls *Listener) Descriptor() int { return ls.fd }
