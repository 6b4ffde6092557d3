package serve

import (
	"errors"

	"github.com/heliosproxy/heliosproxy/dataplane/reactor"
	"github.com/heliosproxy/heliosproxy/pkg/pgerr"
)

var errRelayed = errors.New("the connection is passed on by somebody else, and nobody says who is at its end")

// introduced reads the header that says whose connection it is, and leaves what came behind it in p.
func (c *Conn) introduced(p *[]byte) error {
	h, rest, done, err := c.login.header.Step(*p)
	if err != nil {
		return pgerr.New(pgerr.ProxyHeader, err.Error())
	}
	if !done {
		return nil
	}
	c.login.header, *p = nil, rest
	if h.Source.IsValid() {
		c.peer = reactor.Address{IP: h.Source}
		c.offer()
	}
	return nil
}

// offer says whether the client may speak TLS.
func (c *Conn) offer() { c.login.startup.Offers = c.door.TLS != nil && !c.peer.IsUnix() }

// near says whether the client is on this machine. One whose connection is passed on is not, whatever is said of it: its address is
// near somebody else, or that of who passes it on.
func (c *Conn) near() bool { return c.peer.IsLocal() && !c.relayed }
