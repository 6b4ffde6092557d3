package hosts

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/heliosproxy/heliosproxy/pkg/resource"
)

// Route is a way to a server.
type Route struct {
	Host    string         // as the configuration has it: a name, an IP address, or the directory of a unix socket
	Port    int            //
	IP      netip.AddrPort // not valid where it is a directory
	Address *Address       // of the name; nil: there is none
}

// Server is one or several hosts, of which one at a time is connected to, or one after the other where connections are spread.
type Server struct {
	text   string
	places []place
	spread bool
	turns  turns                 // where connections are spread
	last   atomic.Pointer[Route] // answered last, where they are not; nil: none did
}

// key is what a book finds a server by.
type key struct {
	hosts  string
	spread bool
}

// place is a host of a server.
type place struct {
	host string
	port int
	ip   netip.Addr // valid where the host is one
	name *name      // where it is a name
}

// Fixed is the server at hosts that are no names. spread is as for [Book.Server].
func Fixed(list []resource.Host, spread bool) *Server {
	return newServer(textOf(list), list, spread, func(string) *name { return nil })
}

func newServer(text string, list []resource.Host, spread bool, find func(string) *name) *Server {
	s := &Server{text: text, spread: spread}
	for _, h := range list {
		p := place{host: h.Name, port: h.Port}
		if ip, err := netip.ParseAddr(h.Name); err == nil {
			p.ip = ip
		} else if !strings.HasPrefix(h.Name, "/") {
			p.name = find(h.Name)
		}
		s.places = append(s.places, p)
	}
	return s
}

func textOf(list []resource.Host) string {
	all := make([]string, len(list))
	for i, h := range list {
		all[i] = h.String()
	}
	return strings.Join(all, ",")
}

// String is HOST:PORT, or several with commas between.
func (s *Server) String() string { return s.text }

// Spreads says whether connections are spread over the hosts and their addresses.
func (s *Server) Spreads() bool { return s.spread }

// Routes are the ways to the server in the order in which they are to be tried: that which has answered last, and then the others in
// turn. Where connections are spread it is the next one, and behind the others those that did not answer. known is false where a name has
// to be asked for first: see Ask. The error is why there is no way.
func (s *Server) Routes() (routes []Route, known bool, err error) { return s.order(false) }

// Next is Routes for a connection that is one of those that are spread: the next one begins with another way.
func (s *Server) Next() (routes []Route, known bool, err error) { return s.order(true) }

func (s *Server) order(take bool) (routes []Route, known bool, err error) {
	routes, known, err = s.all()
	switch {
	case len(routes) < 2:
	case s.spread:
		routes = s.turns.order(routes, take)
	default:
		if last := s.last.Load(); last != nil {
			if i := slices.Index(routes, *last); i > 0 {
				routes = slices.Concat(routes[i:], routes[:i])
			}
		}
	}
	return routes, known, err
}

// all are the ways to the server in the order of its hosts.
func (s *Server) all() (routes []Route, known bool, err error) {
	for _, p := range s.places {
		switch {
		case p.ip.IsValid():
			routes = append(routes, Route{Host: p.host, Port: p.port, IP: netip.AddrPortFrom(p.ip, uint16(p.port))})
		case p.name != nil:
			a := p.name.fresh()
			if a == nil {
				return nil, false, nil
			}
			err = both(err, a.err)
			for _, x := range a.addrs {
				routes = append(routes, Route{p.host, p.port, netip.AddrPortFrom(x.IP, uint16(p.port)), x})
			}
		case strings.HasPrefix(p.host, "/"):
			routes = append(routes, Route{Host: p.host, Port: p.port})
		default:
			err = both(err, fmt.Errorf("look up host %s: %w", p.host, errNoBook))
		}
	}
	if len(routes) == 0 {
		return nil, true, err
	}
	return routes, true, nil
}

// Way is the way by which a connection leads that another process has opened: to a host of the server, at an address, which is not valid
// where the host is a directory. has is false where the server has no such host, or its name has another address now.
func (s *Server) Way(host string, port int, ip netip.AddrPort) (r Route, has bool) {
	r = Route{Host: host, Port: port, IP: ip}
	i := slices.IndexFunc(s.places, func(p place) bool { return p.host == host && p.port == port })
	if i < 0 {
		return r, false
	}
	n := s.places[i].name
	if n == nil {
		return r, true
	}
	a := n.fresh()
	if a == nil { // nobody has asked yet
		return r, true
	}
	for _, x := range a.addrs {
		if x.IP == ip.Addr() {
			r.Address = x
			return r, true
		}
	}
	return r, false
}

// both is two errors in one line.
func both(a, b error) error {
	switch {
	case a == nil:
		return b
	case b == nil:
		return a
	}
	return fmt.Errorf("%w; %w", a, b)
}

// Ask waits until each name of the server was asked for, or ctx ends. It is for goroutines.
func (s *Server) Ask(ctx context.Context) {
	for _, p := range s.places {
		if p.name != nil && p.name.fresh() == nil {
			p.name.ask(ctx)
		}
	}
}

// Named says whether Renew may change anything.
func (s *Server) Named() bool {
	return slices.ContainsFunc(s.places, func(p place) bool { return p.name != nil })
}

// Renew asks for all names anew, as no way that was known at since has led there, and waits for the answers, or for the end of ctx. What was
// answered meanwhile is new enough. It is for goroutines.
func (s *Server) Renew(ctx context.Context, since time.Time) {
	for _, p := range s.places {
		if p.name != nil {
			p.name.renew(ctx, since)
		}
	}
}

// Answered says that a route has led to the server.
func (s *Server) Answered(r Route) {
	switch {
	case s.spread:
		s.turns.answer(r)
		return
	case len(s.places) == 1 && r.Address == nil: // there is no other
		return
	}
	if last := s.last.Load(); last == nil || *last != r {
		s.last.Store(&r)
	}
}

// Failed says that a route did not lead to the server. Where connections are spread it is the last to be tried for a while.
func (s *Server) Failed(r Route) {
	if s.spread {
		s.turns.fail(r)
	}
}

// Text is HOST:PORT, for people.
func (r Route) Text() string { return net.JoinHostPort(r.Host, strconv.Itoa(r.Port)) }
