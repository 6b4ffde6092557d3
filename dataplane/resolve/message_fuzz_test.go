package resolve

import (
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

// FuzzAnswer: whatever arrives, an answer has addresses of the kind that was asked for, or there is an error.
func FuzzAnswer(f *testing.F) {
	q := dnsmessage.Question{Name: dnsmessage.MustNewName("a.test."), Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET}
	m := dnsmessage.Message{
		Header: dnsmessage.Header{ID: 7, Response: true}, Questions: []dnsmessage.Question{q},
		Answers: []dnsmessage.Resource{
			{Header: dnsmessage.ResourceHeader{Name: q.Name, Class: dnsmessage.ClassINET, TTL: 5}, Body: &dnsmessage.CNAMEResource{CNAME: dnsmessage.MustNewName("b.test.")}},
			{Header: dnsmessage.ResourceHeader{Name: dnsmessage.MustNewName("b.test."), Class: dnsmessage.ClassINET, TTL: 5}, Body: &dnsmessage.AResource{A: [4]byte{10, 0, 0, 1}}},
		},
	}
	packed, err := m.Pack()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(packed)
	f.Add(packed[:len(packed)-1])
	f.Fuzz(func(t *testing.T, msg []byte) {
		p, h, ok := answer(msg, 7, q)
		if !ok {
			return
		}
		if h.ID != 7 || !h.Response {
			t.Fatalf("taken for an answer: %+v", h)
		}
		addrs, ttl, err := addressesOf(p, q)
		if err == nil && (len(addrs) == 0 || ttl < 0) {
			t.Fatalf("%v for %s", addrs, ttl)
		}
	})
}

// FuzzSerial: whatever arrives, a serial number is that of a zone which the message has, and which the name is in.
func FuzzSerial(f *testing.F) {
	q := dnsmessage.Question{Name: dnsmessage.MustNewName("a.test."), Type: dnsmessage.TypeSOA, Class: dnsmessage.ClassINET}
	soa := func(zone string, serial uint32) dnsmessage.Resource {
		n := dnsmessage.MustNewName(zone)
		return dnsmessage.Resource{
			Header: dnsmessage.ResourceHeader{Name: n, Class: dnsmessage.ClassINET, TTL: 5}, Body: &dnsmessage.SOAResource{NS: n, MBox: n, Serial: serial},
		}
	}
	for _, m := range []dnsmessage.Message{
		{Answers: []dnsmessage.Resource{soa("a.test.", 1)}},
		{Authorities: []dnsmessage.Resource{soa("other.", 2), soa("test.", 3)}},
		{Authorities: []dnsmessage.Resource{soa("xa.test.", 4), soa(".", 5)}},
	} {
		m.Header, m.Questions = dnsmessage.Header{ID: 7, Response: true}, []dnsmessage.Question{q}
		packed, err := m.Pack()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(packed)
		f.Add(packed[:len(packed)-1])
	}
	f.Fuzz(func(t *testing.T, msg []byte) {
		p, _, ok := answer(msg, 7, q)
		if !ok {
			return
		}
		serial, err := serialOf(p, q)
		if err != nil {
			return
		}
		var m dnsmessage.Message
		if err := m.Unpack(msg); err != nil { // what stands behind is not read
			m.Additionals = nil
		}
		if !slices.ContainsFunc(append(m.Answers, m.Authorities...), func(r dnsmessage.Resource) bool {
			s, is := r.Body.(*dnsmessage.SOAResource)
			return is && s.Serial == serial && slices.Contains([]string{"a.test.", "test.", "."}, strings.ToLower(r.Header.Name.String()))
		}) {
			t.Fatalf("%d is not the serial number of a zone of %s: %+v", serial, q.Name, m)
		}
	})
}
