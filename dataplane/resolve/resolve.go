// Package resolve asks the machine's name servers, and its file of hosts, for the addresses of a host, and for serial numbers of zones. It never keeps an answer: who asks is told how long it is good.
package resolve

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// The files of a machine.
const (
	ResolvConf = "/etc/resolv.conf"
	Hosts      = "/etc/hosts"
)

// ErrNone is that there is no such host, or that it has no address: somebody who knows has said so.
var ErrNone = errors.New("no such host")

// Always is how long an answer is good that comes from no name server.
const Always = time.Duration(1<<63 - 1)

// maxName is the longest name in characters, that for the root included.
const maxName = 254

// Answer is the addresses of a host, IPv4 first: a machine without a way to one finds out at once, while an IPv6 that leads nowhere costs
// time. There is at least one.
type Answer struct {
	Addresses []netip.Addr
	TTL       time.Duration // how long it is good
	Name      string        // in full, by which name servers know it, with a dot at its end; empty where none was asked
}

// Resolver asks. Its methods are for any goroutine; files are read at each question.
type Resolver struct {
	ResolvConf string // a file in the form of resolv.conf; if it is not there, a name server on this machine is asked
	Hosts      string // a file in the form of /etc/hosts, which goes before all name servers
}

// Lookup finds the addresses of a host: in the file of hosts, or by asking name servers for A and AAAA. Without a dot at the end a
// name is tried with the domains of the search list too. The error wraps [ErrNone] if there are none.
func (r *Resolver) Lookup(ctx context.Context, host string) (Answer, error) {
	if addrs := hostsOf(r.Hosts, host); len(addrs) > 0 {
		return Answer{Addresses: ordered(addrs), TTL: Always}, nil
	}
	if local(host) {
		return Answer{Addresses: []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1}), netip.IPv6Loopback()}, TTL: Always}, nil
	}
	conf := readConf(r.ResolvConf)
	var failed error
	for _, name := range conf.names(host) {
		a, err := conf.lookup(ctx, name)
		if err == nil {
			return a, nil
		}
		if !errors.Is(err, ErrNone) {
			failed = err // it may be there after all
			if ctx.Err() != nil {
				break
			}
		}
	}
	if failed == nil {
		failed = ErrNone
	}
	return Answer{}, fmt.Errorf("look up host %s: %w", host, failed)
}

// local says whether a name is this machine's by its form (RFC 6761).
func local(host string) bool {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	return host == "localhost" || strings.HasSuffix(host, ".localhost")
}

// ordered has IPv4 first, each address once, in the order of the answer.
func ordered(addrs []netip.Addr) []netip.Addr {
	var all []netip.Addr
	for _, six := range []bool{false, true} {
		for _, a := range addrs {
			if a = a.Unmap(); a.Is6() == six && !slices.Contains(all, a) {
				all = append(all, a)
			}
		}
	}
	return all
}

// lookup asks for both kinds of addresses of a full name, at once. What one of both has said is an answer where the other has failed.
func (c *conf) lookup(ctx context.Context, name string) (Answer, error) {
	type outcome struct {
		addrs []netip.Addr
		ttl   time.Duration
		err   error
	}
	kinds := [...]dnsmessage.Type{dnsmessage.TypeA, dnsmessage.TypeAAAA}
	var outcomes [len(kinds)]chan outcome
	for i, kind := range kinds {
		outcomes[i] = make(chan outcome, 1)
		go func() {
			var o outcome
			o.err = c.query(ctx, name, kind, func(p *dnsmessage.Parser, h dnsmessage.Header, q dnsmessage.Question) (err error) {
				if h.RCode == dnsmessage.RCodeNameError {
					return ErrNone
				}
				o.addrs, o.ttl, err = addressesOf(p, q)
				return err
			})
			outcomes[i] <- o
		}()
	}
	var addrs []netip.Addr
	var failed error
	ttl := Always
	for i := range kinds {
		o := <-outcomes[i]
		switch {
		case o.err == nil:
			addrs, ttl = append(addrs, o.addrs...), min(ttl, o.ttl)
		case !errors.Is(o.err, ErrNone):
			failed = o.err
		}
	}
	switch {
	case len(addrs) > 0:
		return Answer{ordered(addrs), ttl, name}, nil
	case failed != nil:
		return Answer{}, failed
	}
	return Answer{}, ErrNone
}

// reading takes what it wants from an answer: one that has something, or says that there is nothing or no such name. Its parser is behind
// the questions. After an error that does not wrap [ErrNone] the next name server is asked.
type reading func(p *dnsmessage.Parser, h dnsmessage.Header, q dnsmessage.Question) error

// query asks one name server after the other until one knows.
func (c *conf) query(ctx context.Context, name string, kind dnsmessage.Type, read reading) error {
	n, err := dnsmessage.NewName(name)
	if err != nil || len(name) > maxName {
		return fmt.Errorf("%w: %q is too long", ErrNone, name)
	}
	q := dnsmessage.Question{Name: n, Type: kind, Class: dnsmessage.ClassINET}
	var failed error
	for range c.attempts {
		for _, server := range c.servers {
			err := c.ask(ctx, server, q, read)
			if err == nil || errors.Is(err, ErrNone) {
				return err
			}
			failed = fmt.Errorf("name server %s: %w", server, err)
			if ctx.Err() != nil {
				return failed
			}
		}
	}
	return failed
}

// ask asks one name server: by UDP, and by TCP if the answer is too long for that.
func (c *conf) ask(ctx context.Context, server string, q dnsmessage.Question, read reading) error {
	for _, network := range []string{"udp", "tcp"} {
		if c.tcp && network == "udp" {
			continue
		}
		p, h, err := c.exchange(ctx, network, server, q)
		if err != nil {
			return err
		}
		if h.Truncated && network == "udp" {
			continue
		}
		switch h.RCode {
		case dnsmessage.RCodeSuccess, dnsmessage.RCodeNameError:
			return read(p, h, q)
		}
		return errors.New(strings.TrimPrefix(h.RCode.GoString(), "dnsmessage.RCode"))
	}
	return errors.New("the answer is cut off")
}

// exchange sends a question and returns the parser of what is a server's answer to it, behind the questions.
func (c *conf) exchange(ctx context.Context, network, server string, q dnsmessage.Question) (*dnsmessage.Parser, dnsmessage.Header, error) {
	id, packed, err := pack(q)
	if err != nil {
		return nil, dnsmessage.Header{}, err
	}
	ctx, stop := context.WithTimeout(ctx, c.timeout)
	defer stop()
	conn, err := new(net.Dialer).DialContext(ctx, network, server)
	if err != nil {
		return nil, dnsmessage.Header{}, err
	}
	defer conn.Close()
	if at, ok := ctx.Deadline(); ok {
		if err := conn.SetDeadline(at); err != nil {
			return nil, dnsmessage.Header{}, err
		}
	}
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })()
	if network == "tcp" {
		return overTCP(conn, id, packed, q)
	}
	return overUDP(conn, id, packed, q)
}
