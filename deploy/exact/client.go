package exact

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"syscall"
	"time"

	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgscript"
)

// client is a logged-in connection.
type client struct {
	*pgscript.Conn
	in       *buffered
	greeting []pgscript.Message // from authentication on
}

// buffered reads more than it is asked for, and sets a deadline only where it has to wait.
type buffered struct {
	net.Conn
	r    *bufio.Reader
	wait time.Duration
}

func (b *buffered) Read(p []byte) (int, error) {
	if b.r.Buffered() == 0 {
		if err := b.Conn.SetReadDeadline(time.Now().Add(b.wait)); err != nil {
			return 0, err
		}
	}
	return b.r.Read(p)
}

// SetReadDeadline does nothing: see wait.
func (b *buffered) SetReadDeadline(time.Time) error { return nil }

// dial logs in as the superuser, who is trusted. Nothing is waited for longer than wait.
func dial(addr, database string, wait time.Duration) (*client, error) {
	conn, err := net.DialTimeout("tcp", addr, wait)
	if err != nil {
		return nil, err
	}
	in := &buffered{Conn: conn, r: bufio.NewReaderSize(conn, 32<<10), wait: wait}
	c := &client{Conn: &pgscript.Conn{Conn: in}, in: in}
	if err := c.login(database); err != nil {
		conn.Close()
		return nil, fmt.Errorf("log in at %s: %w", addr, err)
	}
	return c, nil
}

func (c *client) login(database string) error {
	if err := c.Send(pgscript.Startup(pgscript.Version30, "user", "postgres", "database", database)); err != nil {
		return err
	}
	for {
		m, err := c.Receive()
		if err != nil {
			return err
		}
		c.greeting = append(c.greeting, m)
		switch m.Type {
		case 'Z':
			return nil
		case 'E':
			return errors.New(m.Backend())
		}
	}
}

// next returns the next message, or end where the server has closed the connection.
func (c *client) next() (pgscript.Message, error) {
	m, err := c.Receive()
	if errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) {
		return end, nil
	}
	return m, err
}

// silent says whether nothing comes within wait.
func (c *client) silent(wait time.Duration) bool {
	if c.in.r.Buffered() > 0 {
		return false
	}
	if err := c.in.Conn.SetReadDeadline(time.Now().Add(wait)); err != nil {
		return false
	}
	_, err := c.in.r.Peek(1)
	return errors.Is(err, os.ErrDeadlineExceeded)
}

// say sends a turn: in one packet, or cut at random places. A server that has closed the connection is noticed
// when its answer is read.
func (c *client) say(t Turn, cuts *rand.Rand) {
	if cuts == nil || cuts.IntN(6) > 0 {
		_ = c.Send(t...)
		return
	}
	_ = c.SendPackets(cut(slices.Concat(t...), 1+cuts.IntN(3), cuts)...)
}

// cut cuts b at up to n places, as often as not within a header.
func cut(b []byte, n int, r *rand.Rand) (packets [][]byte) {
	for ; n > 0 && len(b) > 1; n-- {
		at := 1 + r.IntN(min(len(b)-1, 40))
		packets = append(packets, b[:at])
		b = b[at:]
	}
	return append(packets, b)
}

// ask runs a Query of the harness itself and returns its answers up to ReadyForQuery.
func (c *client) ask(sql string) (answers []pgscript.Message, err error) {
	if err := c.Send(pgscript.Query(sql)); err != nil {
		return nil, err
	}
	return c.untilReady()
}

func (c *client) untilReady() (answers []pgscript.Message, err error) {
	for {
		m, err := c.Receive()
		if err != nil {
			return answers, err
		}
		answers = append(answers, m)
		if m.Type == 'Z' {
			return answers, nil
		}
	}
}
