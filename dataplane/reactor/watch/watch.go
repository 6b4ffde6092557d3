// Package watch lets goroutines wait at a socket, by Go's own poller, and tell what has happened. It never receives or sends.
package watch

import (
	"fmt"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Event is what has happened.
type Event uint8

// Events are hints: where one is told for nothing, the next call gives EAGAIN.
const (
	Readable Event = 1 << iota // there is something to receive, or somebody to accept
	End                        // the peer sends no more, or is gone; unread bytes may be there
	Room                       // something can be sent
)

// Watch tells what happens at one socket. Its goroutines wait at a second descriptor, which Go's poller knows and closes when they are
// to end: the socket's own is never touched.
type Watch struct {
	tell    func(Event)
	file    *os.File
	raw     syscall.RawConn
	in, out side
}

// Start makes tell be called when there is something to receive at a socket that does not wait: once, and again after [Watch.Emptied],
// but for ends, which are told at once. tell is called on goroutines until Stop, and must not wait for who calls that.
func Start(fd int, tell func(Event)) (*Watch, error) {
	own, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("fcntl", err)
	}
	w := &Watch{tell: tell, file: os.NewFile(uintptr(own), "socket")}
	if err = w.file.SetDeadline(time.Time{}); err == nil { // fails where the poller does not know it
		w.raw, err = w.file.SyscallConn()
	}
	if err != nil {
		_ = w.file.Close()
		return nil, fmt.Errorf("watch descriptor %d: %w", fd, err)
	}
	// The function looks at the socket at first, and then whenever the poller has seen an edge: the kernel makes one of whatever
	// arrives and of the end, so it does not look for nothing for long.
	go func() {
		_ = w.raw.Read(func(fd uintptr) bool {
			what := arrived(int(fd))
			if what&Readable != 0 && w.in.happened() || what&End != 0 {
				w.tell(what)
			}
			return false
		})
	}()
	return w, nil
}

// Sending makes tell be called when something can be sent, too: once, and again after [Watch.Filled]. It is called once.
func (w *Watch) Sending() {
	go func() {
		_ = w.raw.Write(func(fd uintptr) bool {
			if hasRoom(int(fd)) && w.out.happened() {
				w.tell(Room)
			}
			return false
		})
	}()
}

// Emptied says that everything was received. It is false where there may be something again, which is not told.
func (w *Watch) Emptied() bool { return w.in.usedUp() }

// Filled says that no more can be sent. It is false where there may be room again, which is not told.
func (w *Watch) Filled() bool { return w.out.usedUp() }

// Stop ends the goroutines, and waits until they are done with the socket.
func (w *Watch) Stop() { _ = w.file.Close() }

// side is what has been told of one direction. What happens until that is used up is kept, or the edge of what comes just
// behind the last receive would be lost.
type side struct{ state atomic.Int32 }

const (
	untold = iota
	told
	anew // told, and it has happened again
)

// happened says whether it is to be told.
func (s *side) happened() bool {
	for {
		switch was := s.state.Load(); {
		case was == anew:
			return false
		case s.state.CompareAndSwap(was, was+1):
			return was == untold
		}
	}
}

// usedUp is false where it has happened again since it was told.
func (s *side) usedUp() bool {
	return s.state.CompareAndSwap(told, untold) || !s.state.CompareAndSwap(anew, told)
}
