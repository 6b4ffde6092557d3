package proxyproto

import (
	"fmt"
	"net/netip"
	"slices"
)

// Senders are those who are believed. The zero value is nobody.
type Senders struct {
	prefixes []netip.Prefix
	unix     bool
}

// Unix stands for all who come by a unix socket.
const Unix = "unix"

// ParseSenders reads addresses, networks (10.0.0.0/8), and [Unix].
func ParseSenders(texts []string) (Senders, error) {
	var s Senders
	for _, text := range texts {
		if text == Unix {
			s.unix = true
			continue
		}
		p, err := netip.ParsePrefix(text)
		if err != nil {
			a, no := netip.ParseAddr(text)
			if no != nil || a.Zone() != "" {
				return Senders{}, fmt.Errorf("%q is neither an IP address, nor a network as 10.0.0.0/8, nor %s", text, Unix)
			}
			a = a.Unmap()
			p = netip.PrefixFrom(a, a.BitLen())
		}
		s.prefixes = append(s.prefixes, p.Masked())
	}
	return s, nil
}

// Trusts says whether who comes from there is believed. An address that is not valid is that of somebody at a unix socket.
func (s Senders) Trusts(a netip.Addr) bool {
	if !a.IsValid() {
		return s.unix
	}
	a = a.Unmap().WithZone("")
	return slices.ContainsFunc(s.prefixes, func(p netip.Prefix) bool { return p.Contains(a) })
}
