package reactor

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/heliosproxy/heliosproxy/pkg/testkit/certs"
)

// configs are those of a server and of a client that trusts it.
func configs(t testing.TB, version uint16) (server, client *tls.Config) {
	a := certs.NewAuthority(t)
	server = &tls.Config{Certificates: []tls.Certificate{a.Server("server").TLS(t)}, MaxVersion: version, DynamicRecordSizingDisabled: true}
	return server, &tls.Config{RootCAs: a.Pool(), ServerName: "server", DynamicRecordSizingDisabled: true}
}

// answer sends back whatever arrives at e, which speaks TLS as a server.
func answer(e *Endpoint, c *tls.Config, failed chan<- error) {
	shaken := false
	b := task(e.Loop(), nil)
	b.serve = func(t *Task) {
		if !shaken {
			shaken = true
			if _, err := e.Secure(t, nil, func(raw net.Conn) *tls.Conn { return tls.Server(raw, c) }); err != nil {
				failed <- err
				e.Close()
				t.End()
				return
			}
		}
		for {
			p, err := e.TryRecv()
			if err != nil {
				if errors.Is(err, io.EOF) {
					err = nil
				}
				failed <- err
				e.CloseWrite()
				t.End()
				return
			}
			if p == nil {
				return
			}
			if e.Send(p) != nil || e.Flush(t) != nil {
				return
			}
		}
	}
	e.Attach(&b.Task)
	b.Wake()
}

// TestSecure talks with a server that speaks TLS, in both versions: little, much, in pieces; and closes.
func TestSecure(t *testing.T) { conform(t, testSecure) }

func testSecure(t *testing.T, o Options) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		server, client := configs(t, version)
		o.Poison = true
		l := group(t, 1, o).Loops()[0]
		failed := make(chan error, 1)
		raw := dial(t, listen(t, l, func(e *Endpoint) { answer(e, server, failed) }))
		c := tls.Client(raw, client)
		sent := make([]byte, 3<<20)
		rand.NewChaCha8([32]byte{1}).Read(sent)
		go func() {
			for p := sent; len(p) > 0; {
				n := min(len(p), 1+rand.IntN(100_000))
				if _, err := c.Write(p[:n]); err != nil {
					t.Error(err)
				}
				p = p[n:]
			}
			c.CloseWrite()
		}()
		got, err := io.ReadAll(c)
		if err != nil || !bytes.Equal(got, sent) {
			t.Errorf("%x: %d bytes of %d came back, equal %v: %v", version, len(got), len(sent), bytes.Equal(got, sent), err)
		}
		if err := <-failed; err != nil {
			t.Errorf("%x: the server's side ended with %v", version, err)
		}
		c.Close()
	}
}

// TestSecureEarly sends data in the packet that ends the handshake, and so much of it that it does not fit the loop's buffer.
func TestSecureEarly(t *testing.T) { conform(t, testSecureEarly) }

func testSecureEarly(t *testing.T, o Options) {
	server, client := configs(t, tls.VersionTLS13)
	l := group(t, 1, o).Loops()[0]
	failed := make(chan error, 1)
	raw := dial(t, listen(t, l, func(e *Endpoint) { answer(e, server, failed) }))
	held := &holder{Conn: raw}
	c := tls.Client(held, client)
	if err := c.Handshake(); err != nil {
		t.Fatal(err)
	}
	sent := bytes.Repeat([]byte("early"), 20_000)
	if _, err := c.Write(sent); err != nil {
		t.Fatal(err)
	}
	held.release(t)
	got := make([]byte, len(sent))
	if _, err := io.ReadFull(c, got); err != nil || !bytes.Equal(got, sent) {
		t.Errorf("what came back is not what was sent: %v", err)
	}
	c.Close()
	if err := <-failed; err != nil {
		t.Error(err)
	}
}

// holder keeps everything that is written from the second write on, which ends a client's handshake.
type holder struct {
	net.Conn
	writes int
	kept   []byte
}

func (h *holder) Write(p []byte) (int, error) {
	if h.writes++; h.writes == 1 || h.kept == nil && h.writes > 2 {
		return h.Conn.Write(p)
	}
	h.kept = append(h.kept, p...)
	return len(p), nil
}

func (h *holder) release(t *testing.T) {
	t.Helper()
	if _, err := h.Conn.Write(h.kept); err != nil {
		t.Fatal(err)
	}
	h.kept = nil
}

// TestSecureRefused ends handshakes that cannot succeed, with an error at each side.
func TestSecureRefused(t *testing.T) { conform(t, testSecureRefused) }

func testSecureRefused(t *testing.T, o Options) {
	server, client := configs(t, tls.VersionTLS13)
	for _, c := range []struct {
		name string
		send func(raw net.Conn)
		want string
	}{
		{"another name", func(raw net.Conn) {
			other := client.Clone()
			other.ServerName = "elsewhere"
			if tls.Client(raw, other).Handshake() == nil {
				t.Error("a server of another name was believed")
			}
		}, "bad certificate"},
		{"no TLS", func(raw net.Conn) { raw.Write([]byte("GET / HTTP/1.1\r\n\r\n")) }, "does not look like a TLS handshake"},
		{"goes away", func(raw net.Conn) { raw.Write([]byte{22, 3, 1, 0, 100}); raw.(*net.TCPConn).CloseWrite() }, "EOF"},
		{"too much", func(raw net.Conn) {
			raw.Write([]byte{22, 3, 1, 64, 0, 1, 0, 63, 0})
			raw.Write(make([]byte, 1<<20))
		}, ""},
	} {
		l := group(t, 1, o).Loops()[0]
		failed := make(chan error, 1)
		raw := dial(t, listen(t, l, func(e *Endpoint) { answer(e, server, failed) }))
		c.send(raw)
		if err := <-failed; err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want one with %q", c.name, err, c.want)
		}
		raw.Close()
	}
}

// TestSecureSlow lets peers that say nothing hold no place: others' handshakes go on.
func TestSecureSlow(t *testing.T) {
	server, client := configs(t, tls.VersionTLS13)
	l := group(t, 1, Options{Computing: 1}).Loops()[0]
	failed := make(chan error, 100)
	addr := listen(t, l, func(e *Endpoint) { answer(e, server, failed) })
	for range 20 {
		slow := dial(t, addr)
		slow.Write([]byte{22})
		defer slow.Close()
	}
	raw := dial(t, addr)
	raw.SetDeadline(time.Now().Add(20 * time.Second))
	if err := tls.Client(raw, client).Handshake(); err != nil {
		t.Errorf("behind peers that say nothing: %v", err)
	}
}

// TestSecureAllocations receives and sends over TLS without an allocation of its own.
func TestSecureAllocations(t *testing.T) {
	server, client := configs(t, tls.VersionTLS13)
	l := still(t, Options{})
	e, m := l.NewMemory()
	near, far := net.Pipe()
	c := tls.Client(near, client)
	go c.Handshake()
	shaken := false
	b := task(l, func(t *Task) {
		_, err := e.Secure(t, nil, func(raw net.Conn) *tls.Conn { return tls.Server(raw, server) })
		shaken = err == nil
	})
	e.Attach(&b.Task)
	b.Wake()
	arrived := make(chan []byte)
	go func() {
		for {
			p := make([]byte, 4096)
			n, err := far.Read(p)
			if err != nil {
				return
			}
			arrived <- p[:n]
		}
	}()
	for deadline := time.After(20 * time.Second); !shaken; {
		select {
		case p := <-arrived:
			m.Feed(p)
		case <-deadline:
			t.Fatal("no handshake within 20 s")
		default:
		}
		if l.Step(); len(m.Sent) > 0 {
			far.Write(m.Sent)
			m.Take()
		}
	}
	const rounds = 100
	go func() {
		for range rounds + 1 {
			c.Write([]byte("select 1"))
		}
	}()
	var records [][]byte
	for range rounds + 1 {
		records = append(records, <-arrived)
	}
	near.Close()
	far.Close()
	m.Feed(records[0]) // with it comes what the handshake has left
	e.TryRecv()
	n := 0
	allocs := testing.AllocsPerRun(rounds-1, func() {
		n++
		m.Feed(records[n])
		p, err := e.TryRecv()
		if err != nil || string(p) != "select 1" || e.Send(p) != nil {
			t.Fatalf("received %q, %v", p, err)
		}
		m.Take()
	})
	if allocs > 2 { // one is crypto/tls's for each record; the race detector adds what sync.Pool loses
		t.Errorf("%v allocations a round trip", allocs)
	}
}
