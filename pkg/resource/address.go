package resource

import (
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
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

// checkHost says what is wrong with a node's host, a name, an IP address or the absolute path of a directory.
func checkHost(host string) error {
	switch {
	case host == "":
		return errors.New("missing")
	case strings.IndexByte(host, 0) >= 0:
		return errors.New("a host has no NUL byte")
	case strings.HasPrefix(host, "/"):
		return nil
	}
	if _, err := netip.ParseAddr(host); err == nil {
		return nil
	}
	if _, err := netip.ParseAddrPort(host); err == nil {
		return fmt.Errorf("%q has a port, which is a field of its own", host)
	}
	if !hostName(host) {
		return fmt.Errorf("%q is neither a host name, nor an IP address, nor an absolute path", host)
	}
	return nil
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
