// Package dnsserver is a small name server on loopback for tests: what it answers is set while it runs. It never asks another one.
package dnsserver

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/heliosproxy/heliosproxy/pkg/testkit/freeport"
)

// Host is what the server says of a name.
type Host struct {
	Addresses []string // of IPv4 and IPv6
	Alias     string   // the name stands for this one (CNAME), of which the server says the addresses too
	TTL       uint32
	Serial    uint32 // the name is that of a zone, which has this serial number (SOA); 0: it is not
	Fails     bool   // SERVFAIL
	Long      bool   // the answer is cut off, over UDP
	Silent    bool   // there is no answer
	Forged    bool   // a wrong answer comes first, with another id
}

// Server answers by UDP and TCP.
type Server struct {
	Addr string // HOST:PORT

	udp net.PacketConn
	tcp net.Listener

	mu      sync.Mutex
	hosts   map[string]Host // by the name, without a dot at its end
	queries map[string]int  // by network
	asked   []string        // the names, in order
}

// Start starts a server for the length of a test. A name that it does not have is not there (NXDOMAIN).
func Start(t testing.TB) *Server {
	t.Helper()
	s := &Server{hosts: map[string]Host{}, queries: map[string]int{}}
	s.Addr = fmt.Sprintf("127.0.0.1:%d", freeport.For(t))
	var err error
	if s.udp, err = net.ListenPacket("udp", s.Addr); err != nil {
		t.Fatal(err)
	}
	if s.tcp, err = net.Listen("tcp", s.Addr); err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	running.Go(s.serveUDP)
	running.Go(s.serveTCP)
	t.Cleanup(func() {
		_ = errors.Join(s.udp.Close(), s.tcp.Close())
		running.Wait()
	})
	return s
}

// ResolvConf writes a resolv.conf that names the server, with further lines, and returns its path.
func (s *Server) ResolvConf(t testing.TB, lines ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "resolv.conf")
	text := "nameserver " + s.Addr + "\n" + strings.Join(lines, "\n") + "\n"
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// Set says what the server answers for a name.
func (s *Server) Set(name string, h Host) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hosts[strings.ToLower(name)] = h
}

// Forget makes a name one that is not there.
func (s *Server) Forget(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.hosts, strings.ToLower(name))
}

// Queries is how many questions came by a network, udp or tcp.
func (s *Server) Queries(network string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.queries[network]
}

// Asked are the names that were asked for, in order; each comes once for A and once for AAAA, a zone once.
func (s *Server) Asked() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.asked...)
}

func (s *Server) serveUDP() {
	buf := make([]byte, 4096)
	for {
		n, from, err := s.udp.ReadFrom(buf)
		if err != nil {
			return
		}
		for _, p := range s.answer("udp", buf[:n]) {
			_, _ = s.udp.WriteTo(p, from)
		}
	}
}

func (s *Server) serveTCP() {
	for {
		c, err := s.tcp.Accept()
		if err != nil {
			return
		}
		func() {
			defer c.Close()
			var length [2]byte
			if _, err := io.ReadFull(c, length[:]); err != nil {
				return
			}
			buf := make([]byte, binary.BigEndian.Uint16(length[:]))
			if _, err := io.ReadFull(c, buf); err != nil {
				return
			}
			for _, p := range s.answer("tcp", buf) {
				_, _ = c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(p))), p...))
			}
		}()
	}
}

// answer makes the messages that answer one.
func (s *Server) answer(network string, msg []byte) [][]byte {
	var p dnsmessage.Parser
	h, err := p.Start(msg)
	if err != nil {
		return nil
	}
	q, err := p.Question()
	if err != nil {
		return nil
	}
	name := strings.ToLower(strings.TrimSuffix(q.Name.String(), "."))
	s.mu.Lock()
	defer s.mu.Unlock()
	s.queries[network]++
	s.asked = append(s.asked, name)
	host, known := s.hosts[name]
	head := dnsmessage.Header{ID: h.ID, Response: true, RecursionDesired: true, RecursionAvailable: true}
	m := dnsmessage.Message{Questions: []dnsmessage.Question{q}}
	switch {
	case host.Silent:
		return nil
	case host.Fails:
		head.RCode = dnsmessage.RCodeServerFailure
	case !known:
		head.RCode = dnsmessage.RCodeNameError
		m.Authorities = s.zoneOf(name)
	case host.Long && network == "udp":
		head.Truncated = true
	default:
		if m.Answers = s.records(q.Name, host, q.Type); len(m.Answers) == 0 {
			m.Authorities = s.zoneOf(name)
		}
	}
	m.Header = head
	packed, err := m.Pack()
	if err != nil {
		return nil
	}
	if !host.Forged {
		return [][]byte{packed}
	}
	m.ID++
	m.Answers = []dnsmessage.Resource{address(q.Name, 60, netip.MustParseAddr("192.0.2.66"))}
	forged, _ := m.Pack()
	return [][]byte{forged, packed}
}

// records are those of a host and of what it stands for.
func (s *Server) records(name dnsmessage.Name, h Host, kind dnsmessage.Type) []dnsmessage.Resource {
	var all []dnsmessage.Resource
	if kind == dnsmessage.TypeSOA && h.Serial != 0 {
		return append(all, authority(name, h))
	}
	for range 20 {
		for _, text := range h.Addresses {
			a := netip.MustParseAddr(text)
			if a.Is4() && kind == dnsmessage.TypeA || a.Is6() && kind == dnsmessage.TypeAAAA {
				all = append(all, address(name, h.TTL, a))
			}
		}
		if h.Alias == "" {
			break
		}
		to := dnsmessage.MustNewName(h.Alias + ".")
		all = append(all, dnsmessage.Resource{
			Header: dnsmessage.ResourceHeader{Name: name, Class: dnsmessage.ClassINET, TTL: h.TTL}, Body: &dnsmessage.CNAMEResource{CNAME: to},
		})
		name, h = to, s.hosts[h.Alias]
	}
	return all
}

// zoneOf is what the server says of a name that it does not have: which zone it is in, the smallest of them, if it is in one.
func (s *Server) zoneOf(name string) []dnsmessage.Resource {
	for ; name != ""; _, name, _ = strings.Cut(name, ".") {
		if h := s.hosts[name]; h.Serial != 0 {
			return []dnsmessage.Resource{authority(dnsmessage.MustNewName(name+"."), h)}
		}
	}
	return nil
}

func authority(zone dnsmessage.Name, h Host) dnsmessage.Resource {
	return dnsmessage.Resource{
		Header: dnsmessage.ResourceHeader{Name: zone, Class: dnsmessage.ClassINET, TTL: h.TTL},
		Body:   &dnsmessage.SOAResource{NS: zone, MBox: zone, Serial: h.Serial, Refresh: 60, Retry: 60, Expire: 60, MinTTL: h.TTL},
	}
}

func address(name dnsmessage.Name, ttl uint32, a netip.Addr) dnsmessage.Resource {
	r := dnsmessage.Resource{Header: dnsmessage.ResourceHeader{Name: name, Class: dnsmessage.ClassINET, TTL: ttl}}
	if a.Is4() {
		r.Body = &dnsmessage.AResource{A: a.As4()}
	} else {
		r.Body = &dnsmessage.AAAAResource{AAAA: a.As16()}
	}
	return r
}
