package pgscript

import (
	"fmt"
	"net"
	"strconv"
	"sync"
	"testing"

	"github.com/heliosproxy/heliosproxy/pkg/testkit/freeport"
)

// A Server is the server's side in a test: every connection plays a script.
type Server struct {
	listener net.Listener
	mu       sync.Mutex
	conns    []net.Conn
	closed   bool
}

// Serve listens on a free loopback port and plays script on every connection, each in a goroutine. What a
// script returns fails the test, but for the end of the connection; the connection is closed then. All ends with the test.
func Serve(t testing.TB, script func(*Conn) error) *Server {
	t.Helper()
	l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(freeport.For(t))))
	if err != nil {
		t.Fatal(err)
	}
	return ServeOn(t, l, script)
}

// ServeOn is Serve on a listener of the caller's.
func ServeOn(t testing.TB, l net.Listener, script func(*Conn) error) *Server {
	s := &Server{listener: l}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			if !s.keep(conn) {
				conn.Close()
				return
			}
			wg.Go(func() {
				defer conn.Close()
				if err := script(&Conn{Conn: conn}); err != nil && !s.over() {
					t.Errorf("script of the server: %v", err)
				}
			})
		}
	})
	t.Cleanup(func() {
		s.close()
		wg.Wait()
	})
	return s
}

// Addr returns HOST:PORT.
func (s *Server) Addr() string { return s.listener.Addr().String() }

func (s *Server) keep(c net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conns = append(s.conns, c)
	return !s.closed
}

func (s *Server) over() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}

func (s *Server) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	s.listener.Close()
	for _, c := range s.conns {
		c.Close()
	}
}

// Welcome answers a client's start without authentication: SSLRequest and GSSENCRequest with 'N', StartupMessage with a
// Greeting. It returns the StartupMessage, or the CancelRequest that came instead.
func (c *Conn) Welcome(pid uint32, secret []byte) (Message, error) {
	for {
		m, err := c.ReceiveOpening()
		if err != nil {
			return m, err
		}
		r := reader{b: m.Body}
		switch r.u32() {
		case sslCode, gssCode:
			if err := c.Send([]byte{'N'}); err != nil {
				return m, err
			}
		case cancelCode:
			return m, nil
		default:
			return m, c.Send(Greeting(pid, secret))
		}
	}
}

// Expect reads as many messages of a client as there are lines and compares.
func (c *Conn) Expect(lines ...string) error {
	for i, want := range lines {
		m, err := c.Receive()
		if err != nil {
			return fmt.Errorf("message %d: expected %q: %w", i+1, want, err)
		}
		if got := m.Frontend(); got != want {
			return fmt.Errorf("message %d: got %q, want %q", i+1, got, want)
		}
	}
	return nil
}
