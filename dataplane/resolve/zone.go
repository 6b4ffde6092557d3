package resolve

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/net/dns/dnsmessage"
)

// errNoSerial is an answer that does not say which zone a name is in: the next name server may know.
var errNoSerial = errors.New("the answer has no serial number")

// Serial asks name servers for the serial number of a zone (SOA, RFC 1035 3.3.13). Where the name is not that of a zone it is the one of the
// zone that the name is in, which a name server says of what it does not have (RFC 2308 3). The search list does not count.
func (r *Resolver) Serial(ctx context.Context, zone string) (serial uint32, err error) {
	name := strings.TrimSuffix(zone, ".") + "."
	err = readConf(r.ResolvConf).query(ctx, name, dnsmessage.TypeSOA, func(p *dnsmessage.Parser, _ dnsmessage.Header, q dnsmessage.Question) (err error) {
		serial, err = serialOf(p, q)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("ask for the serial number of zone %s: %w", zone, err)
	}
	return serial, nil
}

// serialOf reads the serial number of the zone that was asked for, or of one that it is in.
func serialOf(p *dnsmessage.Parser, q dnsmessage.Question) (uint32, error) {
	answers, err := p.AllAnswers()
	if err != nil {
		return 0, err
	}
	authorities, err := p.AllAuthorities()
	if err != nil {
		return 0, err
	}
	for _, r := range answers {
		if soa, ok := r.Body.(*dnsmessage.SOAResource); ok && r.Header.Class == dnsmessage.ClassINET && same(r.Header.Name, q.Name) {
			return soa.Serial, nil
		}
	}
	for _, r := range authorities {
		if soa, ok := r.Body.(*dnsmessage.SOAResource); ok && r.Header.Class == dnsmessage.ClassINET && within(q.Name, r.Header.Name) {
			return soa.Serial, nil
		}
	}
	return 0, errNoSerial
}

// within says whether a name is that of a zone, or of something in it.
func within(name, zone dnsmessage.Name) bool {
	n, z := strings.ToLower(name.String()), strings.ToLower(zone.String())
	return z == "." || n == z || strings.HasSuffix(n, "."+z)
}
