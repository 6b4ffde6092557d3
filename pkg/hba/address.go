package hba

import (
	"errors"
	"fmt"
	"math/bits"
	"net/netip"
	"strconv"
	"strings"
)

// An address is the column of addresses.
type address struct {
	kind     addressKind
	ip, mask netip.Addr // of network: both IPv4 or both IPv6
	host     string     // of hostName: the name, or its end from a dot on
}

type addressKind uint8

const (
	anyAddress addressKind = iota
	network
	hostName
	sameHost
	sameNet
)

// isAt says whether the client's address fits.
func (c *client) isAt(a *address) bool {
	switch a.kind {
	case network:
		return inNetwork(c.addr, a.ip, a.mask)
	case hostName:
		return isHost(c.hostName(), a.host)
	case sameHost, sameNet:
		for _, p := range c.Interfaces {
			if p.Addr().WithZone("") == c.addr || a.kind == sameNet && p.Bits() > 0 && p.Contains(c.addr) {
				return true
			}
		}
		return false
	}
	return true
}

// inNetwork says whether ip is network in the bits that mask has. No IPv4 address is in a network of IPv6, not even one of mapped addresses.
func inNetwork(ip, network, mask netip.Addr) bool {
	if !ip.IsValid() || ip.Is4() != network.Is4() {
		return false
	}
	i, n, m := ip.As16(), network.As16(), mask.As16()
	for k := range m {
		if (i[k]^n[k])&m[k] != 0 {
			return false
		}
	}
	return true
}

// isHost says whether a host's name is the one of a rule or, if that begins with a dot, ends with it. Case does not count.
func isHost(name, rule string) bool {
	if strings.HasPrefix(rule, ".") && len(name) > len(rule) {
		name = name[len(name)-len(rule):]
	}
	if name == "" || len(name) != len(rule) {
		return false
	}
	for i := range len(name) {
		if lower(name[i]) != lower(rule[i]) {
			return false
		}
	}
	return true
}

// lower is a byte in lower case: a host's name is ASCII.
func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		c += 'a' - 'A'
	}
	return c
}

// parseAddress reads a column of addresses that may be followed by a mask: then wantsMask is set, and addMask must be called.
func parseAddress(t token) (a address, wantsMask bool, err error) {
	if !t.quoted {
		switch t.text {
		case "all":
			return address{}, false, nil
		case "samehost":
			return address{kind: sameHost}, false, nil
		case "samenet":
			return address{kind: sameNet}, false, nil
		}
	}
	text, length, hasLength := strings.Cut(t.text, "/")
	ip, err := parseIP(text)
	switch {
	case err != nil:
		return address{}, false, err
	case !ip.IsValid() && hasLength:
		return address{}, false, fmt.Errorf("specifying both host name and CIDR mask is invalid: %q", t.text)
	case !ip.IsValid():
		return address{kind: hostName, host: text}, false, nil
	case !hasLength:
		return address{kind: network, ip: ip}, true, nil
	}
	n, err := strconv.Atoi(strings.TrimLeft(length, " \t\n\v\f\r")) // as strtol reads it
	if err != nil || n < 0 || n > ip.BitLen() {
		return address{}, false, fmt.Errorf("invalid CIDR mask in address %q", t.text)
	}
	return address{kind: network, ip: ip, mask: maskOf(n, ip)}, false, nil
}

// addMask reads the column of masks.
func (a *address) addMask(t token) error {
	mask, err := parseIP(t.text)
	switch {
	case err != nil:
		return err
	case !mask.IsValid():
		return fmt.Errorf("invalid IP mask %q: Name or service not known", t.text)
	case mask.Is4() != a.ip.Is4():
		return errors.New("IP address and mask do not match")
	}
	a.mask = mask
	return nil
}

// parseIP reads an address, and the zero Addr from what is a host's name. PostgreSQL takes, by getaddrinfo, forms of addresses that most of
// those who write them do not mean: 10/8 is 0.0.0.10/8 to it, and 010.0.0.1 is 8.0.0.1. They are refused here, as is the name of an interface,
// which it does not compare.
func parseIP(s string) (netip.Addr, error) {
	if ip, err := netip.ParseAddr(s); err == nil {
		if ip.Zone() != "" {
			return netip.Addr{}, fmt.Errorf("address %q names an interface, which is not compared: leave it out", s)
		}
		return ip, nil
	}
	if parts := strings.Split(s, "."); len(parts) <= 4 {
		for _, part := range parts {
			if _, err := strconv.ParseUint(part, 0, 32); err != nil {
				return netip.Addr{}, nil
			}
		}
		return netip.Addr{}, fmt.Errorf("address %q is not four decimal numbers from 0 to 255 without leading zeros: write it so", s)
	}
	return netip.Addr{}, nil
}

// maskOf is the mask of the first n bits, of the family of ip.
func maskOf(n int, ip netip.Addr) netip.Addr {
	var b [16]byte
	for i := range n {
		b[i/8] |= 0x80 >> (i % 8)
	}
	if ip.Is4() {
		return netip.AddrFrom4([4]byte(b[:4]))
	}
	return netip.AddrFrom16(b)
}

// String is the column, with the mask as a length where it is one.
func (a *address) String() string {
	switch a.kind {
	case network:
		ones := 0
		for _, b := range a.mask.AsSlice() {
			ones += bits.OnesCount8(b)
		}
		if a.mask == maskOf(ones, a.ip) {
			return a.ip.String() + "/" + strconv.Itoa(ones)
		}
		return a.ip.String() + " " + a.mask.String()
	case hostName:
		return (&name{text: a.host}).String()
	case sameHost:
		return "samehost"
	case sameNet:
		return "samenet"
	}
	return "all"
}
