package reactor

import "syscall"

// Memory is the far side of an endpoint that has no descriptor. A test or a gateway on the same loop
// feeds it and takes what was sent to it.
type Memory struct {
	e      *Endpoint
	in     []byte
	inAt   int
	Sent   []byte // what the endpoint has sent; whoever takes it sets it to Sent[:0]
	Limit  int    // Sent holds at most so much, the rest waits; 0 is no limit
	ended  bool
	shut   bool
	closed bool
}

// NewMemory makes an endpoint of l whose far side is memory.
func (l *Loop) NewMemory() (*Endpoint, *Memory) {
	e := &Endpoint{loop: l, fd: -1}
	e.mem = &Memory{e: e}
	return e, e.mem
}

// Feed lets p arrive at the endpoint.
func (m *Memory) Feed(p []byte) {
	m.in = append(m.in, p...)
	m.wake()
}

// End lets the endpoint's input end.
func (m *Memory) End() {
	m.ended = true
	m.e.ready |= hungUp
	m.wake()
}

// Take gives room for what had to wait, and wakes whoever waits for that.
func (m *Memory) Take() {
	m.Sent = m.Sent[:0]
	if !m.e.Drained() {
		m.e.push()
		if m.e.task != nil {
			m.e.task.Wake()
		}
	}
}

// Closed says whether the endpoint was closed, or has said that it will send no more.
func (m *Memory) Closed() bool { return m.closed || m.shut }

func (m *Memory) wake() {
	m.e.ready |= readable
	if m.e.task != nil {
		m.e.task.Wake()
	}
}

func (m *Memory) recv(buf []byte) (int, syscall.Errno) {
	n := copy(buf, m.in[m.inAt:])
	if n == 0 {
		if m.ended {
			return 0, 0
		}
		return 0, syscall.EAGAIN
	}
	if m.inAt += n; m.inAt == len(m.in) {
		m.in, m.inAt = m.in[:0], 0
	}
	return n, 0
}

func (m *Memory) send(p []byte) (int, syscall.Errno) {
	if m.closed || m.ended {
		return 0, syscall.EPIPE
	}
	n := len(p)
	if m.Limit > 0 {
		if n = min(n, m.Limit-len(m.Sent)); n <= 0 {
			return 0, syscall.EAGAIN
		}
	}
	m.Sent = append(m.Sent, p[:n]...)
	return n, 0
}
