package watch

import "golang.org/x/sys/unix"

// arrived says what of a socket's input there is: something to receive, a client to accept; its end.
func arrived(fd int) (what Event) {
	is := poll(fd, unix.POLLIN|end)
	if is&unix.POLLIN != 0 {
		what = Readable
	}
	if is&(end|unix.POLLHUP|unix.POLLERR|unix.POLLNVAL) != 0 {
		what |= End
	}
	return what
}

func hasRoom(fd int) bool { return poll(fd, unix.POLLOUT) != 0 }

// poll asks the kernel and does not wait.
func poll(fd int, events int16) int16 {
	p := [1]unix.PollFd{{Fd: int32(fd), Events: events}}
	for {
		_, err := unix.Poll(p[:], 0)
		switch err {
		case nil:
			return p[0].Revents
		case unix.EINTR:
		default:
			return events // whoever tries will know
		}
	}
}
