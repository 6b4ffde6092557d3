package scram

import (
	"bytes"
	"crypto/hmac"
	"fmt"
	"strings"
)

// The gs2 headers of a client's first message; none of them acts for another user.
const (
	headerNone  = "n,," // the client does not bind channels
	headerCould = "y,," // it does, but believes that the server does not
	headerBound = "p=" + endPointType + ",,"

	endPointType = "tls-server-end-point" // the only type of channel binding that PostgreSQL knows
)

// ChannelBinding is what a client wants of channel binding, as libpq's parameter channel_binding. Under Require the caller
// also refuses a server that asks for something else than SASL.
type ChannelBinding uint8

// The values of channel_binding; libpq's default is Prefer, too.
const (
	Prefer  ChannelBinding = iota // bind if the server offers it
	Require                       // bind or fail
	Disable                       // never bind
)

// Offer returns the list of mechanisms that AuthenticationSASL holds, with its end: each name with a zero byte, the better
// one first. endPoint is empty without TLS, and for a certificate that has no end point: then channel binding is not
// offered.
func Offer(endPoint []byte) []byte {
	if len(endPoint) == 0 {
		return []byte(Mechanism + "\x00\x00")
	}
	return []byte(MechanismPlus + "\x00" + Mechanism + "\x00\x00")
}

// Select chooses one of the mechanisms that AuthenticationSASL lists in offer, as libpq does, and returns its name. endPoint
// is the hash of the server's certificate, empty without TLS or if the certificate has none; it is kept and must not change.
// Called before [Client.First]. The error is [ErrUnsupported] if nothing fits, [ErrMalformed] for a list without an end,
// and [ErrNegotiation] for an offer of channel binding where there is nothing to bind to, unless want is Disable.
func (c *Client) Select(offer, endPoint []byte, want ChannelBinding) (mechanism string, err error) {
	tls := len(endPoint) > 0
	if want == Require && !tls {
		return "", fmt.Errorf("%w: channel binding is required, but the connection has no TLS", ErrUnsupported)
	}
	plain, plus, err := readOffer(offer)
	switch {
	case err != nil:
		return "", err
	case plus && !tls && want != Disable:
		return "", fmt.Errorf("%w: server offers %s on a connection without TLS", ErrNegotiation, MechanismPlus)
	case plus && want != Disable:
		c.header, c.endPoint = headerBound, endPoint
		return MechanismPlus, nil
	case want == Require:
		return "", fmt.Errorf("%w: channel binding is required, but the server does not offer it", ErrUnsupported)
	case !plain:
		return "", fmt.Errorf("%w: the server offers no SASL mechanism that is known here", ErrUnsupported)
	case tls && want != Disable:
		c.header, c.endPoint = headerCould, nil
	default:
		c.header, c.endPoint = headerNone, nil
	}
	return Mechanism, nil
}

// readOffer reads names that end with a zero byte, up to an empty one.
func readOffer(list []byte) (plain, plus bool, err error) {
	for {
		name, rest, ok := bytes.Cut(list, []byte{0})
		switch {
		case !ok:
			return false, false, fmt.Errorf("%w: list of mechanisms without an end", ErrMalformed)
		case len(name) == 0:
			return plain, plus, nil
		}
		plain = plain || string(name) == Mechanism
		plus = plus || string(name) == MechanismPlus
		list = rest
	}
}

// Select says which mechanism the client has chosen of [Offer] for the same endPoint, the hash of the server's certificate;
// it is kept and must not change. Called before [Server.First], also for the mechanism without channel binding: over TLS
// that is what finds out a client to whom another offer was shown. The error is [ErrMalformed] for a mechanism that was not
// offered.
func (s *Server) Select(mechanism string, endPoint []byte) error {
	s.offered, s.endPoint = len(endPoint) > 0, nil
	switch {
	case mechanism == MechanismPlus && s.offered:
		s.endPoint = endPoint
	case mechanism != Mechanism:
		return fmt.Errorf("%w: client selected an invalid SASL authentication mechanism", ErrMalformed)
	}
	return nil
}

// readFlag reads the channel-binding flag and its comma, and returns what stands behind. The cases and their order are
// those of PostgreSQL's read_client_first_message.
func (s *Server) readFlag(message string) (rest string, err error) {
	a := attributes{message}
	bound := s.endPoint != nil
	switch message[0] {
	case 'n', 'y':
		switch {
		case bound:
			return "", fmt.Errorf("%w: the client selected %s, but the SCRAM message does not include channel binding data",
				ErrMalformed, MechanismPlus)
		case message[0] == 'y' && s.offered:
			return "", fmt.Errorf("%w: the client supports SCRAM channel binding but thinks the server does not", ErrNegotiation)
		case !strings.HasPrefix(message[1:], ","):
			return "", fmt.Errorf("%w: no comma behind the channel-binding flag", ErrMalformed)
		}
		return message[2:], nil
	case 'p':
		if !bound {
			return "", fmt.Errorf("%w: the client selected %s without channel binding, but the SCRAM message includes channel binding data",
				ErrMalformed, Mechanism)
		}
		name, err := a.want('p')
		if err == nil && name != endPointType {
			err = fmt.Errorf("%w: unsupported SCRAM channel-binding type %.30q", ErrMalformed, name)
		}
		return a.rest, err
	}
	return "", fmt.Errorf("%w: unexpected channel-binding flag %q", ErrMalformed, message[0])
}

// checkBinding compares the attribute c of a client's last message with what this server knows of the channel.
func (s *Server) checkBinding(attribute string) error {
	switch {
	case hmac.Equal([]byte(attribute), []byte(channelBinding(s.header, s.endPoint))):
		return nil
	case s.endPoint != nil:
		return ErrBinding
	}
	return fmt.Errorf("%w: unexpected SCRAM channel-binding attribute in client-final-message", ErrMalformed)
}
