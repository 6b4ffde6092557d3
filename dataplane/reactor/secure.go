package reactor

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/heliosproxy/heliosproxy/dataplane/reactor/sys"
	"github.com/heliosproxy/heliosproxy/pkg/planted"
)

// maxHandshake bounds what a peer may have sent in a handshake that nobody has read yet.
const maxHandshake = 128 << 10

var errHandshakeSize = errors.New("the peer sends more than a handshake needs")

// secure is TLS over an endpoint. After the handshake the loop alone uses it: crypto/tls reads from a slice and writes to
// one, so neither side ever waits, and a session at rest holds no buffer of ours.
type secure struct {
	conn  *tls.Conn
	e     *Endpoint
	shake *handshake // nil once it is done
	in    []byte     // received, not yet read by conn
	head  [5]byte    // of the record that conn is in, as far as it has it
	heads int        // how far that is
	left  int        // bytes of that record that conn has not got
	seals bool       // what conn writes is collected
	end   error      // behind what was returned
}

// handshake is what the loop and the goroutine that does a handshake share.
type handshake struct {
	loop   *Loop
	e      *Endpoint
	places *places
	turn   turn // the goroutine's

	mu   sync.Mutex
	more sync.Cond
	in   []byte
	err  error // nothing more comes
	done bool  // the loop's
}

// Secure makes e speak TLS: what is received and sent from then on is plain text again. conn makes the connection of what
// it is handed, [tls.Server] or [tls.Client]; received is what has come of the peer already. It parks t until the handshake
// is done. A goroutine computes it, of which so many of the group work at a time as Options says; one that waits for
// the peer is not counted.
//
// The states of both sides are undefined after an error: the endpoint is to be closed.
func (e *Endpoint) Secure(t *Task, received []byte, conn func(net.Conn) *tls.Conn) (tls.ConnectionState, error) {
	h := &handshake{loop: e.loop, e: e, places: &e.loop.group.computing, in: bytes.Clone(received)}
	h.more.L = &h.mu
	s := &secure{e: e, shake: h}
	s.conn = conn(s)
	var outcome error
	h.places.queue()
	go func() {
		h.turn = h.places.enter()
		err := s.conn.Handshake()
		h.places.leave(h.turn)
		h.loop.Post(func() { h.done, outcome = true, err; t.Wake() })
	}()
	for !h.done {
		p, err := e.recvRaw()
		if err == nil && p != nil {
			h.feed(p, nil)
			continue
		}
		if err != nil {
			h.feed(nil, err)
		}
		if err := t.Park(); err != nil {
			h.feed(nil, err) // the goroutine ends by itself
			return tls.ConnectionState{}, err
		}
	}
	if outcome != nil {
		return tls.ConnectionState{}, fmt.Errorf("TLS handshake: %w", outcome)
	}
	s.in, s.shake, e.tls = h.in, nil, s
	e.ready |= readable
	return s.conn.ConnectionState(), nil
}

// feed gives the goroutine what has arrived, or the reason why nothing more will.
func (h *handshake) feed(p []byte, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.in = append(h.in, p...); len(h.in) > maxHandshake {
		err = errHandshakeSize
	}
	if h.err == nil {
		h.err = err
	}
	h.more.Signal()
}

// read is for the goroutine. While it waits, another one works in its place.
func (h *handshake) read(p []byte, s *secure) (int, error) {
	h.mu.Lock()
	if len(h.in) == 0 && h.err == nil {
		h.places.leave(h.turn)
		for len(h.in) == 0 && h.err == nil {
			h.more.Wait()
		}
		h.mu.Unlock()
		h.turn = h.places.again()
		h.mu.Lock()
	}
	defer h.mu.Unlock()
	if len(h.in) == 0 {
		return 0, h.err
	}
	n := s.record(h.in[:min(len(p), len(h.in))])
	copy(p, h.in[:n])
	h.in = h.in[n:]
	return n, nil
}

// write is for the goroutine.
func (h *handshake) write(p []byte) {
	own, posted := bytes.Clone(p), sys.Clock(unix.CLOCK_MONOTONIC)
	h.loop.Post(func() {
		h.places.did(posted)
		_ = h.e.put(own) // a fault shows when the peer is read from
	})
}

// recv is TryRecv of an endpoint that speaks TLS. The chunk is the loop's.
func (s *secure) recv() ([]byte, error) {
	e := s.e
	if s.end != nil {
		return nil, s.end
	}
	if e.loop.plain == nil {
		// Nothing that is received decrypts to more than it was, and of an earlier record less than one can be left.
		e.loop.plain = make([]byte, chunkSize+32<<10)
	}
	for {
		if len(s.in) == 0 {
			raw, err := e.recvRaw()
			if err != nil || raw == nil {
				return nil, err
			}
			e.In -= uint64(len(raw))
			s.in = raw
		}
		if n := s.open(e.loop.plain); n > 0 {
			e.In += uint64(n)
			return e.loop.plain[:n], nil
		}
		if s.end != nil {
			return nil, s.end
		}
	}
}

// open decrypts what has arrived, as far as plain holds it, and says how much that is. conn takes in one record at a time, so
// where everything has arrived there is no need to ask whether it holds more.
func (s *secure) open(plain []byte) (n int) {
	for n < len(plain) && len(s.in) > 0 {
		m, err := s.conn.Read(plain[n:])
		n += m
		if err != nil && !errors.Is(err, errEmpty) {
			s.in, s.end = nil, err
			s.e.ready |= readable | hungUp
		}
		if m > 0 && planted.Is(planted.Behind) {
			s.in = nil
		}
	}
	if len(s.in) > 0 { // after the handshake alone, in which more may have come than in one chunk
		s.in = bytes.Clone(s.in)
		s.e.ready |= readable
	}
	return n
}

// seal returns p as it goes out. The bytes are the loop's until the next seal.
func (s *secure) seal(p []byte) ([]byte, error) {
	l := s.e.loop
	l.sealed, s.seals = l.sealed[:0], true
	_, err := s.conn.Write(p)
	s.seals = false
	return l.sealed, err
}

// errEmpty says that everything that arrived was read. crypto/tls goes on behind an error that is temporary.
var errEmpty net.Error = empty{}

type empty struct{}

func (empty) Error() string   { return "nothing has arrived" }
func (empty) Timeout() bool   { return true }
func (empty) Temporary() bool { return true }

// Read is what crypto/tls receives by.
func (s *secure) Read(p []byte) (int, error) {
	if s.shake != nil {
		return s.shake.read(p, s)
	}
	if len(s.in) == 0 {
		return 0, errEmpty
	}
	n := s.record(s.in[:min(len(p), len(s.in))])
	copy(p, s.in[:n])
	s.in = s.in[n:]
	return n, nil
}

// record says how much of p is of the record that conn is in: its header, which has five bytes with the length at their end,
// and its body (RFC 8446, 5.1). It is called for what conn is given, and once.
func (s *secure) record(p []byte) int {
	at := 0
	if s.left == 0 {
		at = copy(s.head[s.heads:], p)
		if s.heads += at; s.heads < len(s.head) {
			return at
		}
		s.heads, s.left = 0, int(s.head[3])<<8|int(s.head[4])
	}
	n := min(len(p), at+s.left)
	if s.left -= n - at; planted.Is(planted.Record) {
		s.left = 0
	}
	return n
}

// Write is what crypto/tls sends by.
func (s *secure) Write(p []byte) (int, error) {
	switch {
	case s.shake != nil:
		s.shake.write(p)
	case s.seals:
		s.e.loop.sealed = append(s.e.loop.sealed, p...)
	default: // an alert, or a new key
		return len(p), s.e.put(p)
	}
	return len(p), nil
}

// The rest of a net.Conn is of no use to crypto/tls here.

func (s *secure) Close() error                     { return nil }
func (s *secure) LocalAddr() net.Addr              { return nil }
func (s *secure) RemoteAddr() net.Addr             { return nil }
func (s *secure) SetDeadline(time.Time) error      { return nil }
func (s *secure) SetReadDeadline(time.Time) error  { return nil }
func (s *secure) SetWriteDeadline(time.Time) error { return nil }

var (
	_ net.Conn  = (*secure)(nil)
	_ io.Writer = (*secure)(nil)
)

// Cipher names the version of TLS and the cipher suite that the endpoint speaks; empty where it does not, or not yet.
func (e *Endpoint) Cipher() string {
	if e.tls == nil || e.tls.shake != nil {
		return ""
	}
	s := e.tls.conn.ConnectionState()
	return tls.VersionName(s.Version) + "/" + tls.CipherSuiteName(s.CipherSuite)
}
