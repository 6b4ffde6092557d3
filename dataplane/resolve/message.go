package resolve

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

const (
	// maxUDP is the largest answer by UDP that is asked for: it goes through everywhere in one piece.
	maxUDP = 1232
	// maxChain bounds how many names may stand for another.
	maxChain = 16
)

// pack makes the question, with an id that nobody can guess.
func pack(q dnsmessage.Question) (id uint16, packed []byte, err error) {
	var b [2]byte
	rand.Read(b[:])
	id = binary.BigEndian.Uint16(b[:])
	m := dnsmessage.NewBuilder(make([]byte, 0, 512), dnsmessage.Header{ID: id, RecursionDesired: true})
	m.EnableCompression()
	var opt dnsmessage.ResourceHeader
	err = errors.Join(
		m.StartQuestions(), m.Question(q), m.StartAdditionals(),
		opt.SetEDNS0(maxUDP, dnsmessage.RCodeSuccess, false), m.OPTResource(opt, dnsmessage.OPTResource{}),
	)
	if err != nil {
		return 0, nil, err
	}
	packed, err = m.Finish()
	return id, packed, err
}

// overUDP asks in one datagram. Whatever arrives that is no answer to it is passed over: anybody can send that.
func overUDP(conn net.Conn, id uint16, packed []byte, q dnsmessage.Question) (*dnsmessage.Parser, dnsmessage.Header, error) {
	if _, err := conn.Write(packed); err != nil {
		return nil, dnsmessage.Header{}, err
	}
	buf := make([]byte, maxUDP)
	for {
		n, err := conn.Read(buf)
		if err != nil {
			return nil, dnsmessage.Header{}, err
		}
		if p, h, ok := answer(buf[:n], id, q); ok {
			return p, h, nil
		}
	}
}

// overTCP asks over a connection, where a message has its length in front.
func overTCP(conn net.Conn, id uint16, packed []byte, q dnsmessage.Question) (*dnsmessage.Parser, dnsmessage.Header, error) {
	if _, err := conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(packed))), packed...)); err != nil {
		return nil, dnsmessage.Header{}, err
	}
	var length [2]byte
	if _, err := io.ReadFull(conn, length[:]); err != nil {
		return nil, dnsmessage.Header{}, err
	}
	buf := make([]byte, binary.BigEndian.Uint16(length[:]))
	if _, err := io.ReadFull(conn, buf); err != nil {
		return nil, dnsmessage.Header{}, err
	}
	p, h, ok := answer(buf, id, q)
	if !ok {
		return nil, h, errors.New("the answer is to another question")
	}
	return p, h, nil
}

// answer says whether a message answers q, and returns its parser, behind the questions.
func answer(msg []byte, id uint16, q dnsmessage.Question) (*dnsmessage.Parser, dnsmessage.Header, bool) {
	var p dnsmessage.Parser
	h, err := p.Start(msg)
	if err != nil || h.ID != id || !h.Response {
		return nil, h, false
	}
	asked, err := p.Question()
	if err != nil || asked.Type != q.Type || asked.Class != q.Class || !same(asked.Name, q.Name) {
		return nil, h, false
	}
	return &p, h, p.SkipAllQuestions() == nil
}

func same(a, b dnsmessage.Name) bool { return strings.EqualFold(a.String(), b.String()) }

// addressesOf reads the addresses of the name that was asked for, or of that which it stands for (CNAME), and how long all of it is good.
func addressesOf(p *dnsmessage.Parser, q dnsmessage.Question) ([]netip.Addr, time.Duration, error) {
	all, err := p.AllAnswers()
	if err != nil {
		return nil, 0, err
	}
	name, ttl := q.Name, Always
	for range maxChain {
		next, found := name, false
		var addrs []netip.Addr
		for _, r := range all {
			if !same(r.Header.Name, name) || r.Header.Class != dnsmessage.ClassINET {
				continue
			}
			switch b := r.Body.(type) {
			case *dnsmessage.AResource:
				addrs = append(addrs, netip.AddrFrom4(b.A))
			case *dnsmessage.AAAAResource:
				addrs = append(addrs, netip.AddrFrom16(b.AAAA))
			case *dnsmessage.CNAMEResource:
				next, found = b.CNAME, true
			default:
				continue
			}
			ttl = min(ttl, time.Duration(r.Header.TTL)*time.Second)
		}
		if len(addrs) > 0 {
			return addrs, ttl, nil
		}
		if !found {
			return nil, 0, ErrNone
		}
		name = next
	}
	return nil, 0, errors.New("names stand for each other")
}
