package pgwire

import (
	"encoding/binary"
	"errors"
)

// Codes that stand where a StartupMessage has its protocol version.
const (
	CancelCode  = 80877102
	SSLCode     = 80877103
	GSSENCCode  = 80877104
	Version30   = 3 << 16
	Version32   = 3<<16 | 2
	maxStartup  = 10000 // PostgreSQL's MAX_STARTUP_PACKET_LENGTH
	cancelBytes = 256   // the longest secret of protocol 3.2
)

// Parameter is a name and value of a StartupMessage.
type Parameter struct{ Name, Value string }

var (
	errStartupLength  = errors.New("invalid length of startup packet")
	errStartupLayout  = errors.New("invalid startup packet layout: expected terminator as last byte")
	errCancelRequest  = errors.New("invalid length of cancel request")
	errParameterValue = errors.New("invalid startup packet layout: parameter without a value")
)

// StartupSize returns the length of the start-up packet at the beginning of p: 0 where more bytes
// are needed to know it, an error where no server would read on.
func StartupSize(p []byte) (int, error) {
	if len(p) < 4 {
		return 0, nil
	}
	n := int(binary.BigEndian.Uint32(p))
	if n < 8 || n > maxStartup {
		return 0, errStartupLength
	}
	return n, nil
}

// StartupCode returns the version or request code of a start-up packet.
func StartupCode(packet []byte) uint32 { return binary.BigEndian.Uint32(packet[4:]) }

// ReadStartup returns the parameters of a whole StartupMessage, in their order.
func ReadStartup(packet []byte) ([]Parameter, error) {
	p := packet[8:]
	if len(p) == 0 || p[len(p)-1] != 0 {
		return nil, errStartupLayout
	}
	var ps []Parameter
	for len(p) > 1 {
		name, rest, ok := CString(p)
		if !ok || len(name) == 0 {
			return nil, errStartupLayout
		}
		value, rest, ok := CString(rest)
		if !ok {
			return nil, errParameterValue
		}
		ps = append(ps, Parameter{string(name), string(value)})
		p = rest
	}
	if len(p) != 1 {
		return nil, errStartupLayout
	}
	return ps, nil
}

// AppendStartup appends a StartupMessage of protocol 3.0.
func AppendStartup(dst []byte, ps ...Parameter) []byte {
	at := len(dst)
	dst = append(dst, 0, 0, 0, 0)
	dst = binary.BigEndian.AppendUint32(dst, Version30)
	for _, p := range ps {
		dst = append(append(dst, p.Name...), 0)
		dst = append(append(dst, p.Value...), 0)
	}
	dst = append(dst, 0)
	binary.BigEndian.PutUint32(dst[at:], uint32(len(dst)-at))
	return dst
}

// ForwardCode is the request code of a CancelRequest that another proxy passes on. The packet is otherwise the same. It
// gives whoever sends it less than a CancelRequest does: whoever gets it passes it on to nobody.
const ForwardCode = 'H'<<24 | 'e'<<16 | 'C'<<8 | 'R' // a version of the protocol that nobody speaks: others refuse it

// What a proxy answers to a packet with ForwardCode before it closes the connection.
const (
	ForwardServed  = 'S' // the key was good, and the cancel is through
	ForwardUnknown = 'U' // nobody here has the key
)

// ReadCancel returns process ID and secret of a CancelRequest; the secret aliases packet.
func ReadCancel(packet []byte) (pid uint32, secret []byte, err error) {
	if len(packet) < 16 || len(packet) > 12+cancelBytes {
		return 0, nil, errCancelRequest
	}
	return binary.BigEndian.Uint32(packet[8:]), packet[12:], nil
}

// AppendSSLRequest appends the request to speak TLS.
func AppendSSLRequest(dst []byte) []byte {
	return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(dst, 8), SSLCode)
}

// AppendCancel appends a CancelRequest.
func AppendCancel(dst []byte, pid uint32, secret []byte) []byte {
	dst = binary.BigEndian.AppendUint32(dst, uint32(12+len(secret)))
	dst = binary.BigEndian.AppendUint32(dst, CancelCode)
	dst = binary.BigEndian.AppendUint32(dst, pid)
	return append(dst, secret...)
}

// AppendForward appends a CancelRequest that is not to be passed on.
func AppendForward(dst []byte, pid uint32, secret []byte) []byte {
	n := len(dst)
	dst = AppendCancel(dst, pid, secret)
	binary.BigEndian.PutUint32(dst[n+4:], ForwardCode)
	return dst
}

// AppendKey appends BackendKeyData.
func AppendKey(dst []byte, pid uint32, secret []byte) []byte {
	dst = AppendHeader(dst, BackendKeyData, 4+len(secret))
	dst = binary.BigEndian.AppendUint32(dst, pid)
	return append(dst, secret...)
}

// AppendNegotiate appends NegotiateProtocolVersion: the newest version that is spoken, and the
// protocol extensions of the client's packet that are not known.
func AppendNegotiate(dst []byte, version uint32, unknown []string) []byte {
	n := 8
	for _, u := range unknown {
		n += len(u) + 1
	}
	dst = AppendHeader(dst, NegotiateVersion, n)
	dst = binary.BigEndian.AppendUint32(dst, version)
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(unknown)))
	for _, u := range unknown {
		dst = append(append(dst, u...), 0)
	}
	return dst
}
