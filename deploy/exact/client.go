package exact

import (
	"bufio"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"syscall"
	"time"

	"github.com/heliosproxy/heliosproxy/pkg/testkit/faultconn"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgscript"
)

// client is a logged-in connection.
type client struct {
	*pgscript.Conn
	in      *buffered
	wire    *faultconn.Cutter // below TLS; nil without
	greeted pgscript.Session
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

// say sends a turn: in one packet, or cut at random places; over TLS into records, and records into packets, of which one may have
// several. A server that has closed the connection is noticed when its answer is read.
func (c *client) say(t Turn, cuts *rand.Rand) {
	if c.wire != nil {
		c.wire.Cuts = cuts
	}
	if cuts == nil || cuts.IntN(6) > 0 {
		_ = c.Send(t...)
		return
	}
	packets := faultconn.Cut(slices.Concat(t...), 1+cuts.IntN(3), cuts)
	if c.wire == nil || cuts.IntN(2) == 0 {
		_ = c.SendPackets(packets...)
		return
	}
	c.wire.Hold()
	_ = c.SendPackets(packets...)
	_ = c.wire.Release()
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
