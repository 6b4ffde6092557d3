package backend

import (
	"reflect"

	"github.com/heliosproxy/heliosproxy/dataplane/reactor"
)

// Address is where the connection leads, or is to lead.
func (c *Conn) Address() reactor.Address { return addressOf(c.route) }

// Prepared is how many prepared statements the connection has.
func (c *Conn) Prepared() int {
	if c.Held == nil {
		return 0
	}
	return c.Held.Len()
}

// ID is a number that no other connection has meanwhile.
func (c *Conn) ID() uint64 { return uint64(reflect.ValueOf(c).Pointer()) }
