package backend

import (
	"context"
	"errors"
	"net/netip"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/heliosproxy/heliosproxy/dataplane/reactor"
	"github.com/heliosproxy/heliosproxy/dataplane/state/hosts"
	"github.com/heliosproxy/heliosproxy/pkg/pgwire"
	"github.com/heliosproxy/heliosproxy/pkg/resource"
)

// server is where the target is.
func (t *Target) server() *hosts.Server {
	if t.Server != nil {
		return t.Server
	}
	return hosts.Fixed([]resource.Host{{Name: t.Host, Port: t.Port}}, false)
}

// Moved says that the connection leads to an address which its server's name does not have any more: it should not serve for long.
func (c *Conn) Moved() bool { return c.route.Address.Gone() }

// connect connects to one of the server's hosts, in turn until one answers. Where none does and there are names, these are asked for
// anew, and what is new in their answer is tried. A connection that is made again begins with the host that it had: it has one turn.
func (c *Conn) connect(t *reactor.Task) error {
	s, began := c.Target.server(), time.Now()
	if c.routes == nil {
		var err error
		if c.routes, err = c.ways(t, s); err != nil {
			return err
		}
	}
	routes := c.routes
	err := c.dial(t, s, routes)
	if err == nil || !s.Named() || t.Killed() != nil || c.over(t) {
		return err
	}
	_, failed := reactor.Await(t, func() (struct{}, error) {
		s.Renew(context.Background(), began)
		return struct{}{}, nil
	})
	if failed != nil {
		return err
	}
	more, _, _ := s.Routes()
	more = slices.DeleteFunc(more, func(r hosts.Route) bool { return slices.Contains(routes, r) })
	if len(more) == 0 {
		return err
	}
	return c.dial(t, s, more)
}

// ways returns the ways to a server. Only where a name was not asked for, or not with success, somebody is waited for. Where connections are
// spread, one for sessions takes a turn. One of the proxy's own takes none: it would be a turn that sessions lack, often the same one.
func (c *Conn) ways(t *reactor.Task, s *hosts.Server) ([]hosts.Route, error) {
	ask := s.Next
	if c.Target.ApplicationName != "" {
		ask = s.Routes
	}
	routes, known, err := ask()
	if known {
		return routes, err
	}
	_, err = reactor.Await(t, func() (struct{}, error) {
		s.Ask(context.Background())
		return struct{}{}, nil
	})
	if err != nil {
		return nil, err
	}
	if routes, known, err = ask(); !known {
		return nil, errUnknown
	}
	return routes, err
}

var errUnknown = errors.New("the host was not looked up in time")

// dial tries ways in turn. Where the time is bounded each has its share of what is left, so that one that leads nowhere leaves some to
// the others. The one that leads somewhere is the first of the connection's from then on.
func (c *Conn) dial(t *reactor.Task, s *hosts.Server, routes []hosts.Route) (err error) {
	for i, r := range routes {
		if c.end > 0 && len(routes)-i > 1 {
			now := t.Loop().Now()
			t.SetDeadline(now + max(0, c.end-now)/int64(len(routes)-i))
		}
		c.EP, err = reactor.Dial(t, addressOf(r))
		if t.SetDeadline(c.end); err == nil {
			c.route, c.routes = r, slices.Concat(routes[i:], routes[:i])
			s.Answered(r)
			return nil
		}
		if t.Killed() != nil || errors.Is(err, reactor.ErrStopped) {
			return err
		}
		if s.Failed(r); c.over(t) {
			return err
		}
	}
	return err
}

// notNow is the SQLSTATE of a server that starts, ends, or recovers (cannot_connect_now). Who is refused with it goes on to the next host
// in libpq, too.
const notNow = "57P03"

// passOver says whether the server's host lets nobody in for now, so that another one is to be tried, where connections are spread.
func (c *Conn) passOver(t *reactor.Task, err error) bool {
	s := c.Target.server()
	var refused *pgwire.ServerError
	if !s.Spreads() || !errors.As(err, &refused) || refused.SQLState != notNow || t.Killed() != nil || c.over(t) {
		return false
	}
	s.Failed(c.route)
	if len(c.routes) < 2 {
		return false
	}
	c.routes, c.proof = c.routes[1:], nil
	return true
}

// over says whether the time for opening the connection is over.
func (c *Conn) over(t *reactor.Task) bool { return c.end > 0 && t.Loop().Now() >= c.end }

// addressOf is where a way leads; the zero address for none.
func addressOf(r hosts.Route) reactor.Address {
	if r.Host == "" {
		return reactor.Address{}
	}
	if r.IP.IsValid() {
		return reactor.Address{IP: netip.AddrPortFrom(r.IP.Addr().Unmap(), r.IP.Port())}
	}
	return reactor.Address{Path: filepath.Join(r.Host, ".s.PGSQL."+strconv.Itoa(r.Port))}
}
