package pgscript

import (
	"net"
	"strings"
	"testing"
)

// A Client is the client's side in a test; what goes wrong fails the test. It is used by the test's goroutine.
type Client struct {
	*Conn
	t testing.TB
}

// Dial connects a client; the connection is closed when the test ends.
func Dial(t testing.TB, network, addr string) *Client {
	t.Helper()
	conn, err := net.DialTimeout(network, addr, Timeout)
	if err != nil {
		t.Fatal(err)
	}
	return NewClient(t, conn)
}

// NewClient makes a client of a connection that exists, as one that injects faults.
func NewClient(t testing.TB, conn net.Conn) *Client {
	t.Cleanup(func() { conn.Close() })
	return &Client{Conn: &Conn{Conn: conn}, t: t}
}

// Send writes messages in one packet.
func (c *Client) Send(msgs ...[]byte) {
	c.t.Helper()
	if err := c.Conn.Send(msgs...); err != nil {
		c.t.Fatalf("send: %v", err)
	}
}

// SendPackets writes packets one by one; see Split.
func (c *Client) SendPackets(packets ...[]byte) {
	c.t.Helper()
	if err := c.Conn.SendPackets(packets...); err != nil {
		c.t.Fatalf("send: %v", err)
	}
}

// Until reads messages up to and with the first of the types given.
func (c *Client) Until(types string) []Message {
	c.t.Helper()
	var got []Message
	for {
		m, err := c.Receive()
		if err != nil {
			c.t.Fatalf("expected one of %q: %v, after:\n%s", types, err, strings.Join(Lines(got), "\n"))
		}
		got = append(got, m)
		if strings.IndexByte(types, m.Type) >= 0 {
			return got
		}
	}
}

// Ready reads up to ReadyForQuery and renders what came.
func (c *Client) Ready() []string {
	c.t.Helper()
	return Lines(c.Until("Z"))
}

// Expect reads as many messages as there are lines and compares.
func (c *Client) Expect(lines ...string) {
	c.t.Helper()
	for i, want := range lines {
		m, err := c.Receive()
		if err != nil {
			c.t.Fatalf("message %d: expected %q: %v", i+1, want, err)
		}
		if got := m.Backend(); got != want {
			c.t.Fatalf("message %d: got %q, want %q", i+1, got, want)
		}
	}
}

// ExpectByte reads the answer to an SSLRequest or GSSENCRequest.
func (c *Client) ExpectByte(want byte) {
	c.t.Helper()
	if got, err := c.ReceiveByte(); err != nil || got != want {
		c.t.Fatalf("got %q, %v, want %q", got, err, want)
	}
}

// ExpectEOF reads the end of the connection.
func (c *Client) ExpectEOF() {
	c.t.Helper()
	if err := c.Conn.ExpectEOF(); err != nil {
		c.t.Fatal(err)
	}
}

// Run sends messages and returns everything up to ReadyForQuery.
func (c *Client) Run(msgs ...[]byte) []string {
	c.t.Helper()
	c.Send(msgs...)
	return c.Ready()
}

// Lines renders messages of a server.
func Lines(msgs []Message) []string {
	lines := make([]string, len(msgs))
	for i, m := range msgs {
		lines[i] = m.Backend()
	}
	return lines
}
