package resource

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"strconv"
	"strings"
)

// maxSocketPath is the longest path in bytes that Linux binds a unix socket to.
const maxSocketPath = 107

// Address is where a listener stands: a TCP address, or the path of a unix socket if Path is set.
type Address struct {
	TCP  netip.AddrPort // port 0 lets the kernel choose
	Path string
}

// ParseAddress reads HOST:PORT with an IP address as host, or unix:PATH with an absolute path.
func ParseAddress(s string) (Address, error) {
	if path, ok := strings.CutPrefix(s, "unix:"); ok {
		switch {
		case strings.IndexByte(path, 0) >= 0:
			return Address{}, errors.New("a socket's path has no NUL byte")
		case !filepath.IsAbs(path):
			return Address{}, fmt.Errorf("%q is not an absolute path", path)
		case len(path) > maxSocketPath:
			return Address{}, fmt.Errorf("the path %q is longer than the %d bytes that a unix socket may have", path, maxSocketPath)
		}
		return Address{Path: path}, nil
	}
	tcp, err := netip.ParseAddrPort(s)
	if err != nil {
		return Address{}, fmt.Errorf("%q is neither HOST:PORT with an IP address as host nor unix:PATH", s)
	}
	return Address{TCP: tcp}, nil
}

// String is the form that [ParseAddress] reads.
func (a Address) String() string {
	if a.Path != "" {
		return "unix:" + a.Path
	}
	return a.TCP.String()
}

// Local says whether only processes of this machine can connect: a unix socket or a loopback address.
func (a Address) Local() bool { return a.Path != "" || a.TCP.Addr().IsLoopback() }

// maxHosts bounds how many hosts a node may have.
const maxHosts = 32

// Host is where a node may be.
type Host struct {
	Name string // a name, an IP address, or the absolute path of a directory with a unix socket
	Port int
}

// String is HOST:PORT.
func (h Host) String() string { return net.JoinHostPort(h.Name, strconv.Itoa(h.Port)) }

// Hosts reads a node's host: names, IP addresses (those of IPv6 in brackets, or without if there is no port) and absolute paths of directories,
// with commas between them; a name or an address may have a port of its own behind a colon, in place of port.
func Hosts(text string, port uint32) ([]Host, error) {
	switch {
	case text == "":
		return nil, errors.New("missing")
	case strings.IndexByte(text, 0) >= 0:
		return nil, errors.New("a host has no NUL byte")
	}
	var all []Host
	for one := range strings.SplitSeq(text, ",") {
		h, err := parseHost(strings.TrimSpace(one), int(port))
		if err != nil {
			return nil, err
		}
		if len(all) == maxHosts {
			return nil, fmt.Errorf("there are more than %d hosts", maxHosts)
		}
		all = append(all, h)
	}
	return all, nil
}

// parseHost reads one host.
func parseHost(s string, port int) (Host, error) {
	if strings.HasPrefix(s, "/") {
		return Host{s, port}, nil
	}
	if ip, err := netip.ParseAddr(s); err == nil {
		return Host{ip.String(), port}, nil
	}
	name := s
	if inner, ok := strings.CutPrefix(s, "["); ok && strings.HasSuffix(inner, "]") {
		name = strings.TrimSuffix(inner, "]")
		if ip, err := netip.ParseAddr(name); err == nil && ip.Is6() {
			return Host{ip.String(), port}, nil
		}
		return Host{}, fmt.Errorf("%q is no address of IPv6 in brackets", s)
	}
	if host, own, err := net.SplitHostPort(s); err == nil {
		n, err := strconv.ParseUint(own, 10, 16)
		if err != nil || n == 0 {
			return Host{}, fmt.Errorf("%q: %q is not a port", s, own)
		}
		name, port = host, int(n)
	}
	if ip, err := netip.ParseAddr(name); err == nil {
		return Host{ip.String(), port}, nil
	}
	if !hostName(name) {
		return Host{}, fmt.Errorf("%q is neither a host name, nor an IP address, nor an absolute path", s)
	}
	return Host{name, port}, nil
}

// hostName says whether s may be a name in DNS; underscores are taken too, container networks use them.
func hostName(s string) bool {
	s = strings.TrimSuffix(s, ".")
	if s == "" || len(s) > 253 {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for _, c := range []byte(label) {
			if c != '-' && c != '_' && (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'z') {
				return false
			}
		}
	}
	return true
}
