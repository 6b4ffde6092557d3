package reactor

import (
	"testing"

	"golang.org/x/sys/unix"
)

func readEvent(fd int32, gen uint32) unix.EpollEvent {
	return unix.EpollEvent{Events: unix.EPOLLIN, Fd: fd, Pad: int32(gen)}
}

// TestStaleEvent gives a descriptor to another endpoint: an event for the first does not reach the second.
func TestStaleEvent(t *testing.T) {
	l := still(t, Options{Engine: Epoll})
	p := l.engine.(*epoll)
	woken := 0
	b := task(l, func(*Task) { woken++ })
	old := &Endpoint{loop: l, fd: int32(p.wake)} // any descriptor will do
	l.endpoints = make([]*Endpoint, p.wake+1)
	fresh := &Endpoint{loop: l, fd: old.fd, gen: 8, task: &b.Task}
	l.endpoints[old.fd] = fresh
	defer func() { l.endpoints[old.fd] = nil }()
	ev := readEvent(old.fd, 7)
	p.event(&ev)
	l.resumeAll()
	if woken != 0 || fresh.Readable() {
		t.Error("an event for an earlier endpoint reached the one that has its descriptor now")
	}
	ev = readEvent(old.fd, 8)
	p.event(&ev)
	l.resumeAll()
	if woken != 1 {
		t.Error("its own event did not reach it")
	}
}
