package reactor

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"runtime"
	"sync"
	"testing"
	"time"
)

// wire is the client's end of a connection whose other end is memory of a loop.
type wire struct {
	net.Conn
	mu      sync.Mutex
	more    sync.Cond
	in, out []byte
	over    bool
}

func newWire() *wire {
	w := &wire{}
	w.more.L = &w.mu
	return w
}

func (w *wire) Read(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for len(w.in) == 0 && !w.over {
		w.more.Wait()
	}
	if len(w.in) == 0 {
		return 0, io.EOF
	}
	n := copy(p, w.in)
	w.in = w.in[n:]
	return n, nil
}

func (w *wire) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.out = append(w.out, p...)
	return len(p), nil
}

// feed lets p arrive; over, nothing comes behind it.
func (w *wire) feed(p []byte, over bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.in, w.over = append(w.in, p...), over
	w.more.Broadcast()
}

// take returns what was written.
func (w *wire) take() (p []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	p, w.out = w.out, nil
	return p
}

func (w *wire) SetDeadline(time.Time) error      { return nil }
func (w *wire) SetWriteDeadline(time.Time) error { return nil }

// shake lets an endpoint agree on TLS with c, whose end w is.
func shake(l *Loop, e *Endpoint, m *Memory, server *tls.Config, c *tls.Conn, w *wire) error {
	done := false
	var here error
	b := task(l, func(t *Task) {
		_, here = e.Secure(t, nil, func(raw net.Conn) *tls.Conn { return tls.Server(raw, server) })
		done = true
	})
	e.Attach(&b.Task)
	b.Wake()
	there := make(chan error, 1)
	go func() { there <- c.Handshake() }()
	for !done {
		if p := w.take(); len(p) > 0 {
			m.Feed(p)
		}
		l.Step()
		w.feed(m.Sent, false)
		m.Take()
		runtime.Gosched()
	}
	w.feed(nil, here != nil)
	if err := <-there; err != nil || here != nil {
		return fmt.Errorf("no handshake: %w, %w", here, err)
	}
	return nil
}

// secureFault lets a client send text over TLS: in records and in packets of the sizes that cuts say, and with junk at a place of what
// goes over the wire. It says what is wrong with what arrives, and with what comes back.
func secureFault(l *Loop, server, client *tls.Config, text, cuts, junk []byte, at uint16, feed func(*Memory, []byte)) string {
	e, m := l.NewMemory()
	defer e.Close()
	w := newWire()
	defer w.feed(nil, true)
	c := tls.Client(w, client)
	if err := shake(l, e, m, server, c, w); err != nil {
		return err.Error()
	}
	i := 0
	size := func() int {
		if len(cuts) == 0 {
			return 5000
		}
		b := int(cuts[i%len(cuts)])
		i++
		return 1 + b*b/4
	}
	for p := text; len(p) > 0; {
		n := min(len(p), size())
		if _, err := c.Write(p[:n]); err != nil {
			return err.Error()
		}
		p = p[n:]
	}
	stream := w.take()
	if len(junk) > 0 {
		place := int(at) % (len(stream) + 1)
		stream = append(append(bytes.Clone(stream[:place]), junk...), stream[place:]...)
	}
	var got []byte
	var end error
	receive := func() {
		for end == nil {
			var p []byte
			if p, end = e.TryRecv(); p == nil {
				return
			}
			got = append(got, p...)
			_ = e.Send(p) // it shows where it comes back
		}
	}
	for p := stream; len(p) > 0; {
		n := min(len(p), size())
		feed(m, p[:n])
		p = p[n:]
		receive()
	}
	switch {
	case !bytes.HasPrefix(text, got):
		return fmt.Sprintf("%d bytes arrive that were not sent so", len(got))
	case len(junk) == 0 && end != nil:
		return "it ends with " + end.Error()
	case len(junk) == 0 && len(got) < len(text):
		return fmt.Sprintf("%d bytes arrive of %d", len(got), len(text))
	}
	m.End()
	if receive(); end == nil {
		return "it does not end"
	}
	w.feed(m.Sent, true)
	back := make([]byte, len(got))
	// What was received together with what is no TLS is answered behind the alert, which ends the connection.
	if n, err := io.ReadFull(c, back); err != nil && len(junk) == 0 || !bytes.HasPrefix(got, back[:n]) {
		return fmt.Sprintf("what comes back is not what was sent: %v", err)
	}
	return ""
}

func FuzzSecure(f *testing.F) {
	l := still(f, Options{Poison: true})
	server12, client := configs(f, tls.VersionTLS12)
	server13 := server12.Clone()
	server13.MaxVersion = tls.VersionTLS13
	f.Add([]byte("select 1"), []byte{0}, []byte{}, uint16(0), true)
	f.Add(bytes.Repeat([]byte("a row"), 9000), []byte{255, 3, 40}, []byte{}, uint16(0), false)
	f.Add([]byte("select 1"), []byte{9}, []byte{23, 3, 3, 0, 0}, uint16(4), true)
	f.Add([]byte("select 1, 2"), []byte{2}, []byte{21, 3, 3, 0, 2, 1, 0}, uint16(1000), false)
	f.Add([]byte("select 1"), []byte{5}, []byte{20, 3, 3, 0, 1, 1}, uint16(0), true)
	f.Fuzz(func(t *testing.T, text, cuts, junk []byte, at uint16, newest bool) {
		server := server12
		if newest {
			server = server13
		}
		if len(text) > 100_000 || len(cuts) > 0 && len(text)/len(cuts) > 100_000 {
			return
		}
		if fault := secureFault(l, server, client, text, cuts, junk, at, (*Memory).Feed); fault != "" {
			t.Error(fault)
		}
	})
}

// handshakeFault lets an endpoint begin TLS, as client or as server, with a peer that sends said and ends. It says what is wrong with
// that; the handshake cannot succeed.
func handshakeFault(l *Loop, conn func(net.Conn) *tls.Conn, said []byte, packet int, outcome func(error) error) string {
	e, m := l.NewMemory()
	defer e.Close()
	done := false
	var err error
	b := task(l, func(t *Task) {
		first := min(len(said), packet)
		_, err = e.Secure(t, said[:first], conn)
		done = true
	})
	e.Attach(&b.Task)
	b.Wake()
	for p := said[min(len(said), packet):]; len(p) > 0; {
		n := min(len(p), packet)
		m.Feed(p[:n])
		p = p[n:]
		l.Step()
	}
	m.End()
	for !done {
		l.Step()
		runtime.Gosched()
	}
	switch {
	case outcome(err) == nil:
		return "a peer that proves nothing is taken for one"
	case len(m.Sent) > 1<<16:
		return fmt.Sprintf("%d bytes are sent to a peer that is none", len(m.Sent))
	}
	return ""
}

// hello is what a client says first.
func hello(config *tls.Config) []byte {
	w := newWire()
	w.feed(nil, true)
	tls.Client(w, config).Handshake()
	return w.take()
}

func FuzzHandshake(f *testing.F) {
	l := still(f, Options{Poison: true})
	server, client := configs(f, tls.VersionTLS13)
	f.Add(hello(client), uint16(7), true)
	f.Add(append(hello(client), hello(client)...), uint16(1000), true)
	f.Add([]byte("GET / HTTP/1.1\r\n\r\n"), uint16(3), true)
	f.Add([]byte{22, 3, 1, 64, 0, 1, 0, 63, 0}, uint16(1), true)
	f.Add([]byte{21, 3, 3, 0, 2, 2, 40}, uint16(100), false)
	f.Add([]byte{22, 3, 3, 0, 4, 2, 0, 0, 0}, uint16(5), false)
	f.Fuzz(func(t *testing.T, said []byte, packet uint16, serves bool) {
		conn := func(raw net.Conn) *tls.Conn { return tls.Client(raw, client) }
		if serves {
			conn = func(raw net.Conn) *tls.Conn { return tls.Server(raw, server) }
		}
		if fault := handshakeFault(l, conn, said, max(1, int(packet)), func(err error) error { return err }); fault != "" {
			t.Error(fault)
		}
	})
}

// TestSecureFuzzerSees plants faults that the fuzzers' checks have to see.
func TestSecureFuzzerSees(t *testing.T) {
	l := still(t, Options{})
	server, client := configs(t, tls.VersionTLS13)
	text := []byte("a text of some length")
	short := func(m *Memory, p []byte) { m.Feed(p[:max(1, len(p)-1)]) }
	deaf := func(*Memory, []byte) {}
	for name, c := range map[string]struct {
		cuts, junk []byte
		feed       func(*Memory, []byte)
		seen       bool
	}{
		"nothing":                      {[]byte{3}, nil, (*Memory).Feed, false},
		"junk, which is no fault":      {[]byte{3}, []byte("junk"), (*Memory).Feed, false},
		"the last byte of each packet": {[]byte{9}, nil, short, true},
		"all of it":                    {[]byte{9}, nil, deaf, true},
	} {
		if got := secureFault(l, server, client, text, c.cuts, c.junk, 30, c.feed); (got != "") != c.seen {
			t.Errorf("%s: %q", name, got)
		}
	}
	conn := func(raw net.Conn) *tls.Conn { return tls.Server(raw, server) }
	if handshakeFault(l, conn, hello(client), 100, func(error) error { return nil }) == "" {
		t.Error("a handshake that counts although it has failed is not seen")
	}
	if got := handshakeFault(l, conn, hello(client), 100, func(err error) error { return err }); got != "" {
		t.Error(got)
	}
}
