package reactor

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/heliosproxy/heliosproxy/dataplane/reactor/sys"
)

// Dial connects to a. It parks t until the connection stands, failed, or t's deadline passed.
func Dial(t *Task, a Address) (*Endpoint, error) {
	if t.loop.Dialer != nil {
		e := t.loop.Dialer(a)
		e.Attach(t)
		return e, nil
	}
	family, sa := a.sockaddr()
	fd, err := sys.Socket(family)
	if err != nil {
		return nil, fmt.Errorf("dial %s: socket: %w", a, err)
	}
	if !a.IsUnix() {
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
		sys.KeepAlive(fd)
	}
	err = unix.Connect(fd, sa)
	if err != nil && !errors.Is(err, unix.EINPROGRESS) {
		sys.Close(fd)
		return nil, fmt.Errorf("dial %s: %w", a, err)
	}
	e := &Endpoint{loop: t.loop, fd: int32(fd), task: t, wantOut: errors.Is(err, unix.EINPROGRESS)}
	if err := t.loop.register(e); err != nil {
		sys.Close(fd)
		return nil, fmt.Errorf("dial %s: %w", a, err)
	}
	for e.wantOut {
		if err := t.Park(); err != nil {
			e.Close()
			return nil, fmt.Errorf("dial %s: %w", a, err)
		}
		switch done, err := connected(fd); {
		case err != nil:
			e.Close()
			return nil, fmt.Errorf("dial %s: %w", a, err)
		case done:
			return e, nil
		}
		t.loop.engine.room(e)
	}
	return e, nil
}

// connected says whether a connect that was under way has succeeded.
func connected(fd int) (bool, error) {
	n, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
	if err != nil {
		return false, err
	}
	if n != 0 {
		return false, unix.Errno(n)
	}
	_, err = unix.Getpeername(fd)
	if errors.Is(err, unix.ENOTCONN) {
		return false, nil // still under way
	}
	return err == nil, err
}

// Offload runs f on a goroutine and parks t until it has returned. It is for what would hold up the
// loop by waiting: names to resolve, files to read. Where t is woken for good first (killed, deadline) f
// goes on by itself and its result is dropped, so f must not touch what t owns.
func Offload[T any](t *Task, f func() (T, error)) (T, error) {
	g := t.loop.group
	return Await(t, func() (T, error) {
		g.blocked <- struct{}{}
		defer func() { <-g.blocked }()
		return f()
	})
}

// Compute is [Offload] for what takes a processor's time: passwords to stretch, signatures to verify. It shares its places with
// the handshakes of [Endpoint.Secure].
func Compute[T any](t *Task, f func() (T, error)) (T, error) {
	p := &t.loop.group.computing
	p.queue()
	return Await(t, func() (T, error) {
		t := p.enter()
		defer func() { p.leave(t) }()
		return f()
	})
}

// Await is Offload for an f that mostly waits, for a program or for another one's answer, and bounds by itself how many do: it takes
// none of the places that those have who work.
func Await[T any](t *Task, f func() (T, error)) (T, error) {
	return AwaitWhile(t, func() error { return nil }, f)
}

// AwaitWhile is Await for as long as alive, which is asked at first and each time that t is woken, has no error.
func AwaitWhile[T any](t *Task, alive func() error, f func() (T, error)) (T, error) {
	type outcome struct {
		done  bool
		value T
		err   error
	}
	o := &outcome{}
	l := t.loop
	go func() {
		v, err := f()
		l.Post(func() {
			o.done, o.value, o.err = true, v, err
			t.Wake()
		})
	}()
	for !o.done {
		err := alive()
		if err == nil {
			err = t.Park()
		}
		if err != nil {
			var zero T
			return zero, err
		}
	}
	return o.value, o.err
}
