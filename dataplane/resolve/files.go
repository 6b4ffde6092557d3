package resolve

import (
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"
)

// conf is what a resolv.conf says (man 5 resolv.conf).
type conf struct {
	servers  []string // HOST:PORT
	search   []string // domains, each with a dot at its end
	ndots    int      // a name with so many dots is tried as it is first
	timeout  time.Duration
	attempts int
	tcp      bool // UDP is not used
}

// The bounds that resolvers have.
const (
	maxServers  = 3
	maxSearch   = 32
	maxNdots    = 15
	maxTimeout  = 30
	maxAttempts = 5
)

// readConf reads a file. What it does not say, or if it is not there, is as the C library has it.
func readConf(path string) *conf {
	c := &conf{ndots: 1, timeout: 5 * time.Second, attempts: 2}
	text, _ := os.ReadFile(path)
	for line := range strings.Lines(string(text)) {
		f := fields(line, ";#")
		if len(f) < 2 {
			continue
		}
		switch f[0] {
		case "nameserver":
			if s, ok := server(f[1]); ok && len(c.servers) < maxServers {
				c.servers = append(c.servers, s)
			}
		case "domain":
			c.search = domains(f[1:2])
		case "search":
			c.search = domains(f[1:])
		case "options":
			for _, o := range f[1:] {
				c.option(o)
			}
		}
	}
	if len(c.servers) == 0 {
		c.servers = []string{"127.0.0.1:53"}
	}
	return c
}

// fields are the words of a line before one of the characters that begin a comment.
func fields(line, comments string) []string {
	if i := strings.IndexAny(line, comments); i >= 0 {
		line = line[:i]
	}
	return strings.Fields(line)
}

// server reads an address; with a port it is one that only tests and odd machines have.
func server(s string) (string, bool) {
	if a, err := netip.ParseAddr(s); err == nil {
		return net.JoinHostPort(a.String(), "53"), true
	}
	if a, err := netip.ParseAddrPort(s); err == nil {
		return a.String(), true
	}
	return "", false
}

func domains(words []string) []string {
	var all []string
	for _, w := range words[:min(len(words), maxSearch)] {
		if w = strings.TrimSuffix(w, "."); w != "" {
			all = append(all, w+".")
		}
	}
	return all
}

func (c *conf) option(o string) {
	name, value, _ := strings.Cut(o, ":")
	n, err := strconv.Atoi(value)
	switch {
	case o == "use-vc" || o == "usevc" || o == "tcp":
		c.tcp = true
	case err != nil || n < 0:
	case name == "ndots":
		c.ndots = min(n, maxNdots)
	case name == "timeout":
		c.timeout = time.Duration(max(1, min(n, maxTimeout))) * time.Second
	case name == "attempts":
		c.attempts = max(1, min(n, maxAttempts))
	}
}

// names are the full names to try for a host, in order.
func (c *conf) names(host string) []string {
	if strings.HasSuffix(host, ".") {
		return []string{host}
	}
	full := host + "."
	var all []string
	for _, d := range c.search {
		all = append(all, host+"."+d)
	}
	if strings.Count(host, ".") >= c.ndots {
		return append([]string{full}, all...)
	}
	return append(all, full)
}

// hostsOf are the addresses of a host in a file of hosts; none if the file is not there.
func hostsOf(path, host string) []netip.Addr {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil
	}
	host = strings.TrimSuffix(host, ".")
	var all []netip.Addr
	for line := range strings.Lines(string(text)) {
		f := fields(line, "#")
		if len(f) < 2 {
			continue
		}
		a, err := netip.ParseAddr(f[0])
		if err != nil {
			continue
		}
		for _, name := range f[1:] {
			if strings.EqualFold(strings.TrimSuffix(name, "."), host) {
				all = append(all, a)
				break
			}
		}
	}
	return all
}
