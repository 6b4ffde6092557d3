package exact

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"net"

	"github.com/heliosproxy/heliosproxy/pkg/testkit/faultconn"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgscript"
)

// A Login is how clients log in, who are always the superuser. The zero Login is for who is trusted, without TLS.
type Login struct {
	TLS      *tls.Config // nil is without
	Password string      // is proved by SCRAM, which is bound to the connection
}

// dial logs in. Nothing is waited for longer than the harness waits.
func (h *Harness) dial(addr, database string) (*client, error) {
	conn, err := net.DialTimeout("tcp", addr, h.Wait)
	if err != nil {
		return nil, err
	}
	c := &client{Conn: &pgscript.Conn{Conn: conn}}
	if err := h.logIn(c, database); err != nil {
		conn.Close()
		return nil, fmt.Errorf("log in at %s: %w", addr, err)
	}
	return c, nil
}

func (h *Harness) logIn(c *client, database string) (err error) {
	l := pgscript.Login{User: "postgres", Database: database, Password: h.Login.Password}
	if h.Login.TLS != nil {
		h.dials++
		c.wire = faultconn.NewCutter(c.Conn.Conn, h.dials)
		c.Conn.Conn = c.wire
		if l.EndPoint, err = c.Encrypt(h.Login.TLS); err != nil {
			return err
		}
	}
	c.in = &buffered{Conn: c.Conn.Conn, r: bufio.NewReaderSize(c.Conn.Conn, 32<<10), wait: h.Wait}
	c.Conn.Conn = c.in
	c.greeted, err = c.LogIn(l)
	return err
}
