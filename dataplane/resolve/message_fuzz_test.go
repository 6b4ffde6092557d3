package resolve

import (
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
