package backend

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/heliosproxy/heliosproxy/dataplane/reactor"
	"github.com/heliosproxy/heliosproxy/pkg/pgwire"
	"github.com/heliosproxy/heliosproxy/pkg/scram"
	"github.com/heliosproxy/heliosproxy/pkg/tlsconf"
)

// errDeclined says that the server speaks no TLS, where there has to be some.
var errDeclined = errors.New("server does not support SSL, but SSL was required")

// reach tries in turn the ways to the server that the mode of its TLS knows. As with libpq, where TLS is a matter of preference, a
// server that does not let us in one way, or cannot agree on TLS, may let us in the other.
func (c *Conn) reach(t *reactor.Task) error {
	ways := []bool{false} // with TLS, or without
	if c.Target.TLS != nil {
		switch c.Target.TLS.Mode() {
		case tlsconf.Disable:
		case tlsconf.Allow:
			ways = []bool{false, true}
		case tlsconf.Prefer:
			ways = []bool{true, false}
		default:
			ways = []bool{true}
		}
	}
	var first error
	for i, secure := range ways {
		err := c.try(t, secure)
		for c.passOver(t, err) {
			c.anew()
			err = c.try(t, secure)
		}
		if c.mayRenew(err) {
			var other bool
			if other, err = c.renew(t, err); other {
				c.anew()
				err = c.try(t, secure)
			}
		}
		if err == nil {
			return nil
		}
		if first == nil {
			first = err
		}
		if i == len(ways)-1 || !c.otherwise(secure, err) || t.Expired() || t.Killed() != nil {
			break
		}
		c.anew()
	}
	return first
}

// anew gives the attempt up, for another one.
func (c *Conn) anew() {
	c.EP.Close()
	c.EP, c.in, c.inAt, c.secured, c.endPoint, c.bound = nil, nil, 0, false, nil, false
}

// otherwise says whether what has failed one way may go well the other.
func (c *Conn) otherwise(secure bool, err error) bool {
	var refused *pgwire.ServerError
	switch {
	case c.EP == nil, !c.route.IP.IsValid(): // nobody is there, or there is one way
		return false
	case secure && !c.secured:
		return !c.plain // the handshake has failed; else both ways have been tried
	}
	return errors.As(err, &refused) && strings.HasPrefix(refused.SQLState, "28")
}

// try connects and logs in, with TLS or without. The endpoint is nil if nobody was there.
func (c *Conn) try(t *reactor.Task, secure bool) error {
	if err := c.connect(t); err != nil {
		return err
	}
	c.EP.Attach(&c.Task)
	c.EP.SetUserTimeout(c.Target.UserTimeout)
	if c.plain = !c.route.IP.IsValid(); secure && !c.plain { // unix sockets are never encrypted
		if err := c.secure(t); err != nil {
			return err
		}
	}
	if c.Target.Binding == scram.Require && !c.secured {
		return errors.New("channel_binding is require, and the connection is not encrypted")
	}
	return c.logIn(t)
}

// secure makes the connection speak TLS, if the server does.
func (c *Conn) secure(t *reactor.Task) error {
	state, err := secure(t, c.EP, c.Target.TLS, c.route.Host)
	if errors.Is(err, errDeclined) && !c.Target.TLS.Mode().Required() {
		c.plain = true
		return nil
	}
	if err != nil {
		return err
	}
	c.secured = true
	// A certificate that has no end point can't be bound to: the exchange says so if it must be.
	c.endPoint, _ = tlsconf.EndPoint(state.PeerCertificates[0])
	return nil
}

// secure makes an endpoint that is connected to a host speak TLS. The error is errDeclined if the server does not.
func secure(t *reactor.Task, e *reactor.Endpoint, with *tlsconf.Client, host string) (tls.ConnectionState, error) {
	if !with.Direct() {
		if err := ask(t, e); err != nil {
			return tls.ConnectionState{}, err
		}
	}
	config := with.Config(host)
	return e.Secure(t, nil, func(raw net.Conn) *tls.Conn { return tls.Client(raw, config) })
}

// ask asks the server to speak TLS. As libpq, it takes nothing behind the answer: it could be from somebody in the middle
// (CVE-2021-23222).
func ask(t *reactor.Task, e *reactor.Endpoint) error {
	if err := e.Send(pgwire.AppendSSLRequest(nil)); err != nil {
		return err
	}
	p, err := e.Recv(t)
	switch {
	case err != nil:
		return err
	case p[0] == 'E':
		return errors.New("server does not know the request for TLS: it is older than PostgreSQL 7, or does not take more connections")
	case len(p) > 1:
		return errors.New("received unencrypted data after SSL response")
	case p[0] == 'N':
		return errDeclined
	case p[0] != 'S':
		return fmt.Errorf("received invalid response to SSL negotiation: %q", p[0])
	}
	return nil
}
