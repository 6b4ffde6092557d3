// Package pgscript plays either side of the PostgreSQL protocol from a script: it sends the messages and packets that a test
// chooses and renders what comes back as lines to compare. It never hides anything: no message is skipped, merged or answered
// unless the test says so, and nothing of it is shared with the code under test.
package pgscript

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"
	"time"
)

const (
	// Timeout bounds every wait, so that a peer that is silent fails a test and does not hang it.
	Timeout = 20 * time.Second
	// gap lets one packet of a split arrive before the next is sent.
	gap = time.Millisecond
	// largest bounds what a length may ask for.
	largest = 1 << 30
)

// A Conn is one side of a connection. It is used by one goroutine at a time for reading and one for writing.
type Conn struct {
	net.Conn
}

// Send writes messages in one packet.
func (c *Conn) Send(msgs ...[]byte) error {
	var all []byte
	for _, m := range msgs {
		all = append(all, m...)
	}
	return c.write(all)
}

// SendPackets writes packets one by one, with time for each to arrive alone.
func (c *Conn) SendPackets(packets ...[]byte) error {
	for i, p := range packets {
		if i > 0 {
			time.Sleep(gap)
		}
		if err := c.write(p); err != nil {
			return err
		}
	}
	return nil
}

func (c *Conn) write(b []byte) error {
	if err := c.SetWriteDeadline(time.Now().Add(Timeout)); err != nil {
		return err
	}
	_, err := c.Write(b)
	return err
}

// Receive reads one message with a type.
func (c *Conn) Receive() (Message, error) {
	head, err := c.next(5)
	if err != nil {
		return Message{}, err
	}
	body, err := c.body(head[1:])
	return Message{Type: head[0], Body: body}, err
}

// ReceiveOpening reads one of the messages that open a connection.
func (c *Conn) ReceiveOpening() (Message, error) {
	head, err := c.next(4)
	if err != nil {
		return Message{}, err
	}
	body, err := c.body(head)
	return Message{Body: body}, err
}

// ReceiveByte reads the answer to an SSLRequest or GSSENCRequest.
func (c *Conn) ReceiveByte() (byte, error) {
	b, err := c.next(1)
	if err != nil {
		return 0, err
	}
	return b[0], nil
}

// ExpectEOF returns nil when the peer has closed, and an error when it says anything instead.
func (c *Conn) ExpectEOF() error {
	switch b, err := c.next(1); {
	case err == nil:
		return fmt.Errorf("expected the end, got %q", b)
	case errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET):
		return nil
	default:
		return err
	}
}

func (c *Conn) body(length []byte) ([]byte, error) {
	n := binary.BigEndian.Uint32(length)
	if n < 4 || n > largest {
		return nil, fmt.Errorf("message of %d bytes", n)
	}
	body, err := c.next(int(n) - 4)
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return body, err
}

// next reads exactly n bytes; io.EOF means that the peer closed before the first.
func (c *Conn) next(n int) ([]byte, error) {
	if err := c.SetReadDeadline(time.Now().Add(Timeout)); err != nil {
		return nil, err
	}
	b := make([]byte, n)
	_, err := io.ReadFull(c.Conn, b)
	return b, err
}
