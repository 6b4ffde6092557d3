package reactor

import (
	"encoding/binary"
	"fmt"
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// poller is the epoll engine: edge-triggered, each descriptor registered once for what it reads, and
// once more, at its first short send, for what it writes.
type poller struct {
	fd, wake   int
	raw        bool // wait with the P held first
	idle       bool // the last such wait ended with nothing: sleep properly
	generation uint32
	buf        [256]unix.EpollEvent
}

// Descriptors that are not endpoints have generation 0.
const edge = unix.EPOLLET & 0xffffffff

func (p *poller) open() error {
	var err error
	if p.fd, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return fmt.Errorf("epoll_create1: %w", err)
	}
	if p.wake, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		return fmt.Errorf("eventfd: %w", err)
	}
	return p.ctl(unix.EPOLL_CTL_ADD, p.wake, unix.EPOLLIN|edge, 0)
}

func (p *poller) close() {
	closeDescriptor(p.wake)
	closeDescriptor(p.fd)
}

func (p *poller) ctl(op, fd int, events uint32, gen uint32) error {
	ev := unix.EpollEvent{Events: events, Fd: int32(fd), Pad: int32(gen)}
	_, _, e := syscall.RawSyscall6(unix.SYS_EPOLL_CTL, uintptr(p.fd), uintptr(op), uintptr(fd), uintptr(unsafe.Pointer(&ev)), 0, 0)
	if e != 0 {
		return e
	}
	return nil
}

const readEvents = unix.EPOLLIN | unix.EPOLLRDHUP | edge

func (p *poller) add(e *Endpoint) error {
	events := uint32(readEvents)
	if e.wantOut {
		events |= unix.EPOLLOUT
	}
	return p.ctl(unix.EPOLL_CTL_ADD, int(e.fd), events, e.gen)
}

// modify asks for events about output too. The call makes the kernel report what is the case now.
func (p *poller) modify(e *Endpoint) {
	if err := p.ctl(unix.EPOLL_CTL_MOD, int(e.fd), readEvents|unix.EPOLLOUT, e.gen); err != nil {
		e.fault = fmt.Errorf("epoll_ctl: %w", err)
	}
}

func (p *poller) remove(e *Endpoint) { _ = p.ctl(unix.EPOLL_CTL_DEL, int(e.fd), 0, 0) }

// wakeUp ends a wait from another thread.
func (p *poller) wakeUp() {
	var one [8]byte
	binary.NativeEndian.PutUint64(one[:], 1)
	_, _, _ = syscall.RawSyscall(unix.SYS_WRITE, uintptr(p.wake), uintptr(unsafe.Pointer(&one[0])), 8)
}

// wait returns the events of at most timeout milliseconds; -1 is for ever.
//
// A wait as an ordinary system call gives the P away each time and keeps the runtime's monitor thread
// busy: half as much CPU again at some thousand queries a second. A raw one keeps the P, but then a
// stop-the-world waits for it. So a loop waits raw for a few milliseconds, which bounds what the
// collector waits, and sleeps properly only when nothing happened in them. A signal that asks a raw
// waiter to stop ends the wait with EINTR, and Gosched is where it stops.
func (p *poller) wait(timeout int) []unix.EpollEvent {
	if timeout == 0 || (p.raw && !p.idle) {
		limit := timeout
		if limit < 0 || limit > rawWait {
			limit = rawWait
		}
		n, _, e := syscall.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(p.fd), uintptr(unsafe.Pointer(&p.buf[0])), uintptr(len(p.buf)), uintptr(limit), 0, 0)
		if e != 0 {
			runtime.Gosched()
			return nil
		}
		p.idle = n == 0 && timeout != 0
		return p.buf[:n]
	}
	n, _, e := syscall.Syscall6(unix.SYS_EPOLL_PWAIT, uintptr(p.fd), uintptr(unsafe.Pointer(&p.buf[0])), uintptr(len(p.buf)), uintptr(timeout), 0, 0)
	p.idle = false
	if e != 0 {
		return nil
	}
	return p.buf[:n]
}

// event notes what happened and wakes whom it concerns.
func (l *Loop) event(ev *unix.EpollEvent) {
	fd := int(ev.Fd)
	if ev.Pad == 0 {
		if fd == l.poll.wake {
			var b [8]byte
			_, _, _ = syscall.RawSyscall(unix.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), 8)
		} else if fd < len(l.accepting) && l.accepting[fd] != nil {
			l.accepting[fd].accept()
		}
		return
	}
	if fd >= len(l.endpoints) {
		return
	}
	e := l.endpoints[fd]
	if e == nil || e.gen != uint32(ev.Pad) {
		return // of an endpoint that had this descriptor before
	}
	if ev.Events&unix.EPOLLIN != 0 {
		e.ready |= readable
	}
	if ev.Events&(unix.EPOLLRDHUP|unix.EPOLLHUP|unix.EPOLLERR) != 0 {
		e.ready |= readable | hungUp
	}
	if !e.Drained() {
		e.push()
	}
	if e.task != nil {
		e.task.Wake()
	}
}
