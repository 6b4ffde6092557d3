package reactor

import (
	"encoding/binary"
	"fmt"
	"os"
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/heliosproxy/heliosproxy/dataplane/reactor/sys"
)

// epoll is the engine of Linux: edge-triggered, each descriptor registered once for what it reads, and
// once more, at its first short send, for what it writes.
type epoll struct {
	loop       *Loop
	fd, wake   int
	raw        bool // wait with the P held first
	idle       bool // the last such wait ended with nothing: sleep properly
	generation uint32
	happened   int // the events of the last wait, in buf
	buf        [256]unix.EpollEvent
}

// Descriptors that are not endpoints have generation 0.
const edge = unix.EPOLLET & 0xffffffff

func newEpoll(l *Loop, raw bool) (engine, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("epoll_create1: %w", err)
	}
	wake, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		sys.Close(fd)
		return nil, fmt.Errorf("eventfd: %w", err)
	}
	p := &epoll{loop: l, fd: fd, wake: wake, raw: raw}
	if err := p.ctl(unix.EPOLL_CTL_ADD, wake, unix.EPOLLIN|edge, 0); err != nil {
		p.close()
		return nil, err
	}
	return p, nil
}

func (p *epoll) close() {
	sys.Close(p.wake)
	sys.Close(p.fd)
}

func (p *epoll) ctl(op, fd int, events uint32, gen uint32) error {
	ev := unix.EpollEvent{Events: events, Fd: int32(fd), Pad: int32(gen)}
	_, _, e := syscall.RawSyscall6(unix.SYS_EPOLL_CTL, uintptr(p.fd), uintptr(op), uintptr(fd), uintptr(unsafe.Pointer(&ev)), 0, 0)
	if e != 0 {
		return os.NewSyscallError("epoll_ctl", e)
	}
	return nil
}

const readEvents = unix.EPOLLIN | unix.EPOLLRDHUP | edge

func (p *epoll) add(e *Endpoint) error {
	p.generation++
	e.gen = p.generation
	events := uint32(readEvents)
	if e.wantOut {
		events |= unix.EPOLLOUT
	}
	return p.ctl(unix.EPOLL_CTL_ADD, int(e.fd), events, e.gen)
}

// room asks for events about output too, from the first time on. The call makes the kernel report what is the case now.
func (p *epoll) room(e *Endpoint) {
	if e.wantOut {
		return
	}
	e.wantOut = true
	p.loop.Calls++
	if err := p.ctl(unix.EPOLL_CTL_MOD, int(e.fd), readEvents|unix.EPOLLOUT, e.gen); err != nil {
		e.fault = err
	}
}

func (p *epoll) remove(e *Endpoint) { _ = p.ctl(unix.EPOLL_CTL_DEL, int(e.fd), 0, 0) }

// listen is level-triggered: who is left waiting is told again in the next turn, without a probe for EAGAIN.
func (p *epoll) listen(ls *Listener) error { return p.ctl(unix.EPOLL_CTL_ADD, ls.fd, unix.EPOLLIN, 0) }

func (p *epoll) ignore(ls *Listener) { _ = p.ctl(unix.EPOLL_CTL_DEL, ls.fd, 0, 0) }

// wakeUp ends a wait from another thread.
func (p *epoll) wakeUp() {
	var one [8]byte
	binary.NativeEndian.PutUint64(one[:], 1)
	_, _, _ = syscall.RawSyscall(unix.SYS_WRITE, uintptr(p.wake), uintptr(unsafe.Pointer(&one[0])), 8)
}

// wait takes down the events of at most timeout milliseconds.
//
// A wait as an ordinary system call gives the P away each time and keeps the runtime's monitor thread
// busy: half as much CPU again at some thousand queries a second. A raw one keeps the P, but then a
// stop-the-world waits for it. So a loop waits raw for a few milliseconds, which bounds what the
// collector waits, and sleeps properly only when nothing happened in them. A signal that asks a raw
// waiter to stop ends the wait with EINTR, and Gosched is where it stops.
func (p *epoll) wait(timeout int) {
	p.loop.Calls++
	p.happened = 0
	if timeout == 0 || (p.raw && !p.idle) {
		limit := timeout
		if limit < 0 || limit > rawWait {
			limit = rawWait
		}
		n, _, e := syscall.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(p.fd), uintptr(unsafe.Pointer(&p.buf[0])), uintptr(len(p.buf)), uintptr(limit), 0, 0)
		if e != 0 {
			runtime.Gosched()
			return
		}
		p.idle = n == 0 && timeout != 0
		p.happened = int(n)
		return
	}
	n, _, e := syscall.Syscall6(unix.SYS_EPOLL_PWAIT, uintptr(p.fd), uintptr(unsafe.Pointer(&p.buf[0])), uintptr(len(p.buf)), uintptr(timeout), 0, 0)
	p.idle = false
	if e == 0 {
		p.happened = int(n)
	}
}

func (p *epoll) deliver() {
	for i := range p.buf[:p.happened] {
		p.event(&p.buf[i])
	}
}

// event notes what happened and wakes whom it concerns.
func (p *epoll) event(ev *unix.EpollEvent) {
	l, fd := p.loop, int(ev.Fd)
	if ev.Pad == 0 {
		if fd == p.wake {
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
	var what uint8
	if ev.Events&unix.EPOLLIN != 0 {
		what = readable
	}
	if ev.Events&(unix.EPOLLRDHUP|unix.EPOLLHUP|unix.EPOLLERR) != 0 {
		what = readable | hungUp
	}
	e.note(what)
}
