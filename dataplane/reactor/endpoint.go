package reactor

import (
	"errors"
	"fmt"
	"io"
	"syscall"

	"github.com/heliosproxy/heliosproxy/dataplane/reactor/sys"
)

// Edges that the loop has seen and nobody has used up. They are hints: a wrong one costs one EAGAIN.
const (
	readable = 1 << iota
	hungUp   // the peer is gone or going: read on to the end, a short read does not mean that all was read
)

// ErrClosed is returned for an endpoint that was closed on this side.
var ErrClosed = errors.New("endpoint is closed")

// Endpoint is one end of a byte stream that a loop owns: a descriptor, or memory.
type Endpoint struct {
	loop    *Loop
	task    *Task // who is woken
	mem     *Memory
	tls     *secure  // nil: bytes go as they are
	watch   *watched // nil but with the engine Goroutines
	fd      int32
	gen     uint32 // tells events for this endpoint from those for an earlier one with its descriptor
	ready   uint8
	wantOut bool // the kernel tells when it takes output again: from the first short send on
	closed  bool
	ends    bool   // nothing is sent behind what waits
	out     []byte // what the kernel did not take yet
	outAt   int    // the part of it that it has taken since
	fault   error  // sending failed with this

	In, Out uint64 // bytes received and sent
}

// Loop returns the loop that owns e.
func (e *Endpoint) Loop() *Loop { return e.loop }

// Attach makes t the one whom events at e wake.
func (e *Endpoint) Attach(t *Task) { e.task = t }

// Readable says whether there may be something to read, or an end.
func (e *Endpoint) Readable() bool { return e.ready&readable != 0 }

// HungUp says whether the peer has closed or lost its side. Bytes may still be there.
func (e *Endpoint) HungUp() bool { return e.ready&hungUp != 0 || e.fault != nil }

// Drained says whether the kernel has taken everything that was sent.
func (e *Endpoint) Drained() bool { return len(e.out) == e.outAt }

// TryRecv returns a chunk of what arrived, nil where nothing has, io.EOF behind the last byte. The
// chunk is the loop's: the next receive or park of anybody on the loop ends it.
func (e *Endpoint) TryRecv() ([]byte, error) {
	if e.tls != nil {
		return e.tls.recv()
	}
	return e.recvRaw()
}

// recvRaw is TryRecv of what comes over the wire.
func (e *Endpoint) recvRaw() ([]byte, error) {
	if e.closed {
		return nil, ErrClosed
	}
	buf := e.loop.buf
	for e.ready&readable != 0 {
		n, errno := e.recv(buf)
		switch {
		case errno == syscall.EAGAIN:
			e.emptied()
		case errno == syscall.EINTR:
		case errno != 0:
			e.ready |= hungUp
			return nil, fmt.Errorf("receive: %w", errno)
		case n == 0:
			e.ready |= hungUp
			return nil, io.EOF
		default:
			if n < len(buf) && e.ready&hungUp == 0 {
				e.emptied() // all was read: no probe for EAGAIN
			}
			if e.task != nil {
				e.task.chunks++
			}
			e.In += uint64(n)
			return buf[:n], nil
		}
	}
	return nil, nil
}

// emptied notes that nothing is left to read, unless something has come meanwhile.
func (e *Endpoint) emptied() {
	if e.watch == nil || e.watch.Emptied() {
		e.ready &^= readable
	}
}

// Recv is TryRecv that parks t until something arrived.
func (e *Endpoint) Recv(t *Task) ([]byte, error) {
	for {
		p, err := e.TryRecv()
		if p != nil || err != nil {
			return p, err
		}
		if err := t.Park(); err != nil {
			return nil, err
		}
	}
}

// Send gives p to the kernel and keeps a copy of what it does not take; the loop sends that later. It
// never waits: who sends more than a little looks at Drained first. An error is final.
func (e *Endpoint) Send(p []byte) error {
	if e.fault != nil {
		return e.fault
	}
	if e.closed {
		return ErrClosed
	}
	if len(p) == 0 {
		return nil
	}
	e.Out += uint64(len(p))
	if e.tls != nil {
		var err error
		if p, err = e.tls.seal(p); err != nil {
			e.fault = fmt.Errorf("send: %w", err)
			return e.fault
		}
	}
	return e.put(p)
}

// put sends what goes over the wire.
func (e *Endpoint) put(p []byte) error {
	if e.closed {
		return ErrClosed
	}
	if e.Drained() {
		n, errno := e.send(p)
		switch errno {
		case 0:
			if p = p[n:]; len(p) == 0 {
				return nil
			}
		case syscall.EAGAIN, syscall.EINTR:
		default:
			e.fault = fmt.Errorf("send: %w", errno)
			return e.fault
		}
		e.keepRest()
	}
	e.out = append(e.out, p...)
	return nil
}

// Flush parks t until everything that was sent is with the kernel.
func (e *Endpoint) Flush(t *Task) error {
	for !e.Drained() {
		if e.fault != nil {
			return e.fault
		}
		if err := t.Park(); err != nil {
			return err
		}
	}
	return e.fault
}

// keepRest prepares e for output that has to wait.
func (e *Endpoint) keepRest() {
	if e.mem == nil {
		e.loop.engine.room(e)
	}
	if n := len(e.loop.spare); e.out == nil && n > 0 {
		e.out, e.loop.spare = e.loop.spare[n-1], e.loop.spare[:n-1]
	}
}

// push sends what had to wait; the loop calls it when there is room.
func (e *Endpoint) push() {
	n, errno := e.send(e.out[e.outAt:])
	if errno != 0 {
		if errno != syscall.EAGAIN && errno != syscall.EINTR {
			e.fault = fmt.Errorf("send: %w", errno)
			e.ready |= readable | hungUp
			return
		}
		n = 0
	}
	if e.outAt += n; e.outAt < len(e.out) {
		if e.mem == nil {
			e.loop.engine.room(e)
		}
		return
	}
	if len(e.loop.spare) < 64 && cap(e.out) <= 2*chunkSize {
		e.loop.spare = append(e.loop.spare, e.out[:0])
	}
	e.out, e.outAt = nil, 0
	if e.ends {
		e.CloseWrite()
	}
}

// CloseWrite tells the peer that nothing more will be sent, behind what was.
func (e *Endpoint) CloseWrite() {
	if e.tls != nil && !e.closed {
		_ = e.tls.conn.CloseWrite() // once; the peer learns that nothing was cut off
	}
	if e.ends = !e.Drained(); e.ends {
		return
	}
	if e.mem != nil {
		e.mem.shut = true
		return
	}
	sys.ShutdownWrite(int(e.fd))
}

// Close ends the endpoint and drops what was not sent.
func (e *Endpoint) Close() {
	if e.closed {
		return
	}
	e.closed = true
	e.out, e.outAt, e.task = nil, 0, nil
	if e.mem != nil {
		e.mem.closed = true
		return
	}
	e.loop.endpoints[e.fd] = nil
	e.watch.stop()
	sys.Close(int(e.fd))
}

// Detach takes e away from its loop, so that Adopt can give it to another one. Nothing may wait to be sent.
func (e *Endpoint) Detach() {
	e.loop.engine.remove(e)
	e.loop.endpoints[e.fd] = nil
	e.loop, e.task = nil, nil
}

// Descriptor is the number of the endpoint's file descriptor; -1 in memory.
func (e *Endpoint) Descriptor() int { return int(e.fd) }

// Adopt makes e, detached elsewhere, an endpoint of l.
func (l *Loop) Adopt(e *Endpoint) error {
	e.loop = l
	e.ready |= readable
	return l.register(e)
}

// register makes events for e reach the loop.
func (l *Loop) register(e *Endpoint) error {
	for int(e.fd) >= len(l.endpoints) {
		l.endpoints = append(l.endpoints, nil)
	}
	l.endpoints[e.fd] = e
	if err := l.engine.add(e); err != nil {
		l.endpoints[e.fd] = nil
		return err
	}
	return nil
}

// note takes down what the engine has seen and wakes whom it concerns.
func (e *Endpoint) note(what uint8) {
	e.ready |= what
	if !e.Drained() {
		e.push()
	}
	e.Wake()
}

// Wake wakes whoever events at e wake.
func (e *Endpoint) Wake() {
	if e.task != nil {
		e.task.Wake()
	}
}

func (e *Endpoint) recv(buf []byte) (int, syscall.Errno) {
	if e.mem != nil {
		return e.mem.recv(buf)
	}
	e.loop.Calls++
	return sys.Recv(int(e.fd), buf)
}

func (e *Endpoint) send(p []byte) (int, syscall.Errno) {
	if e.mem != nil {
		return e.mem.send(p)
	}
	e.loop.Calls++
	return sys.Send(int(e.fd), p)
}

// Fault returns what sending has failed with, or nil.
func (e *Endpoint) Fault() error { return e.fault }
