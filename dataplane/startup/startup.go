// Package startup reads what a client says before it is asked who it is: requests for encryption, the StartupMessage, a CancelRequest. It never does I/O: bytes go in, bytes to send come out.
package startup

import (
	"strings"

	"github.com/heliosproxy/heliosproxy/dataplane/state/settings"
	"github.com/heliosproxy/heliosproxy/pkg/pgerr"
	"github.com/heliosproxy/heliosproxy/pkg/pgwire"
)

// Machine reads the packets of one client. The zero Machine is ready, for a listener that speaks no TLS.
type Machine struct {
	// Offers says that the listener speaks TLS.
	Offers bool

	buf    []byte // received, not yet dealt with
	asked  [2]bool
	secure *Secure // TLS begins once its first record is there
}

// Start is a StartupMessage that is understood.
type Start struct {
	User     string
	Database string
	// LongKey says that protocol 3.2 is spoken, in which cancel keys may be long: see Negotiate.
	LongKey bool
	// Settings are the parameters that the client sets, options included. For replication they are not looked at.
	Settings []settings.Pair
	// Replication says that the client wants a walsender. Then Parameters are those of its packet as they came, but for
	// user and database.
	Replication bool
	Parameters  []pgwire.Parameter

	version uint32
	unknown []string // extensions of the protocol that the client asks for
}

// Physical says whether the client wants physical replication, for which there is no database: pg_hba.conf has the word
// replication for it.
func (s *Start) Physical() bool {
	if !s.Replication {
		return false
	}
	for _, p := range s.Parameters {
		if p.Name == "replication" && p.Value == "database" {
			return false
		}
	}
	return true
}

// Plain says that protocol 3.0 is spoken and nothing besides, so that there is nothing to negotiate.
func (s *Start) Plain() bool { return s.version <= pgwire.Version30 && len(s.unknown) == 0 }

// Negotiate settles which version of the protocol is spoken: the one that the client asks for, but newest at most, which is 3.0 or 3.2.
// The client is sent what is returned, nil for most, before anything else.
func (s *Start) Negotiate(newest uint32) []byte {
	s.LongKey = min(s.version, newest) >= pgwire.Version32
	if s.version <= newest && len(s.unknown) == 0 {
		return nil
	}
	return pgwire.AppendNegotiate(nil, min(s.version, newest), s.unknown)
}

// Cancel is a CancelRequest.
type Cancel struct {
	PID    uint32
	Secret []byte
	// Forwarded says that another proxy has passed it on.
	Forwarded bool
}

// Outcome is what a step came to. Of the pointers at most one is set; none says that more has to come.
type Outcome struct {
	Reply []byte // to be sent first
	// Agrees says that the reply agrees on TLS: what is refused before it can be said in clear text.
	Agrees bool
	Secure *Secure
	Start  *Start
	Cancel *Cancel
	Err    *pgerr.Error
}

// Secure says that TLS begins now. What the client sends within it is handed to [Machine.Step] again.
type Secure struct {
	// Direct says that the client has begun with TLS, without an SSLRequest: PostgreSQL 17's sslnegotiation=direct.
	Direct bool
	// Received is what has arrived of it: the first record at least, or what is none.
	Received []byte
}

// hello returns the length of the first TLS record of p; 0 says that more has to come. What is no handshake is for TLS to refuse.
func hello(p []byte) int {
	const header, most = 5, 1 << 14 // RFC 8446, 5.1
	switch {
	case len(p) > 0 && p[0] != handshake:
		return len(p)
	case len(p) < header:
		return 0
	}
	n := int(p[3])<<8 | int(p[4])
	if n > most {
		return len(p)
	}
	if len(p) < header+n {
		return 0
	}
	return header + n
}

// handshake is the type of a TLS record that begins a handshake (RFC 8446, 5.1). No length of a startup packet begins so.
const handshake = 0x16

// Step takes in what arrived. The bytes are copied where they are needed longer.
func (m *Machine) Step(p []byte) (o Outcome) {
	m.buf = append(m.buf, p...)
	if m.Offers && m.asked == [2]bool{} && len(m.buf) > 0 && m.buf[0] == handshake {
		m.secure, m.asked = &Secure{Direct: true}, [2]bool{true, true}
	}
	if m.secure != nil { // a peer that says no more costs no goroutine
		if hello(m.buf) > 0 {
			m.secure.Received = m.buf
			o.Secure, m.secure, m.buf = m.secure, nil, nil
		}
		return o
	}
	n, err := pgwire.StartupSize(m.buf)
	if err != nil {
		o.Err = pgerr.New(pgerr.InvalidStartup, err.Error())
		return o
	}
	if n == 0 || len(m.buf) < n {
		return o
	}
	packet := m.buf[:n]
	code := pgwire.StartupCode(packet)
	switch code {
	case pgwire.SSLCode, pgwire.GSSENCCode:
		if len(m.buf) > n || n != 8 {
			o.Err = pgerr.New(pgerr.InjectedBytes)
			return o
		}
		i := code - pgwire.SSLCode
		if m.asked[i] {
			o.Err = pgerr.New(pgerr.InvalidStartup, "encryption was asked for twice")
			return o
		}
		m.asked[i] = true
		m.buf = m.buf[:0]
		if code == pgwire.SSLCode && m.Offers {
			m.asked, m.secure = [2]bool{true, true}, &Secure{}
			o.Reply, o.Agrees = append(o.Reply, 'S'), true
			return o
		}
		o.Reply = append(o.Reply, 'N')
		return o
	case pgwire.CancelCode, pgwire.ForwardCode:
		pid, secret, err := pgwire.ReadCancel(packet)
		if err != nil {
			o.Err = pgerr.New(pgerr.InvalidStartup, err.Error())
			return o
		}
		o.Cancel = &Cancel{pid, append([]byte(nil), secret...), code == pgwire.ForwardCode}
		return o
	}
	o.Start, o.Reply, o.Err = start(packet, code, o.Reply)
	m.buf = m.buf[n:]
	return o
}

// Message returns the body of the next message of type t, without its header, once it is whole: it is good as long as p is. Before
// the client is known a message may have 64 KiB, as in PostgreSQL.
func (m *Machine) Message(p []byte, t byte) (body []byte, ok bool, err *pgerr.Error) {
	if len(m.buf) > 0 {
		m.buf = append(m.buf, p...)
		p = m.buf
	}
	if len(p) > 0 && p[0] != t {
		return nil, false, pgerr.New(pgerr.ProtocolViolation, "expected a password response")
	}
	n := 0
	if len(p) >= pgwire.HeaderSize {
		if n = pgwire.Body(p); n < 0 || n > 65535 {
			return nil, false, pgerr.New(pgerr.ProtocolViolation, "invalid password packet size")
		}
		n += pgwire.HeaderSize
	}
	if n == 0 || len(p) < n {
		if len(m.buf) == 0 {
			m.buf = append(m.buf, p...)
		}
		return nil, false, nil
	}
	body, p = p[pgwire.HeaderSize:n], p[n:]
	if len(p) == 0 || len(m.buf) > 0 {
		m.buf = m.buf[len(m.buf)-len(p):]
	} else {
		m.buf = append(m.buf, p...)
	}
	return body, true, nil
}

// Answered says whether a whole message has come already, for [Machine.Message], or what is none.
func (m *Machine) Answered() bool {
	n := len(m.buf)
	return n > 0 && m.buf[0] != pgwire.Password || n >= pgwire.HeaderSize && n >= pgwire.HeaderSize+pgwire.Body(m.buf)
}

// Rest returns what came behind the last packet, and ends the machine.
func (m *Machine) Rest() []byte {
	p := m.buf
	m.buf = nil
	return p
}

// start understands a StartupMessage.
func start(packet []byte, version uint32, reply []byte) (*Start, []byte, *pgerr.Error) {
	major, minor := version>>16, version&0xffff
	if major != 3 {
		return nil, reply, pgerr.New(pgerr.UnsupportedProtocol, major, minor)
	}
	ps, err := pgwire.ReadStartup(packet)
	if err != nil {
		return nil, reply, pgerr.New(pgerr.InvalidStartup, err.Error())
	}
	s := &Start{version: version}
	for _, p := range ps {
		switch {
		case p.Name == "user":
			s.User = cut(p.Value)
		case p.Name == "database":
			s.Database = cut(p.Value)
		case strings.HasPrefix(p.Name, "_pq_."):
			s.unknown = append(s.unknown, p.Name)
		default:
			s.Parameters = append(s.Parameters, p)
			if p.Name != "replication" {
				continue
			}
			var ok bool
			if s.Replication, ok = replication(p.Value); !ok {
				return nil, reply, pgerr.New(pgerr.ReplicationValue, p.Value)
			}
		}
	}
	if !s.Replication {
		var perr *pgerr.Error
		if s.Settings, perr = set(s.Parameters); perr != nil {
			return nil, reply, perr
		}
		s.Parameters = nil
	}
	if s.User == "" {
		return nil, append(reply, s.Negotiate(pgwire.Version32)...), pgerr.New(pgerr.NoUserName)
	}
	if s.Database == "" {
		s.Database = s.User
	}
	return s, reply, nil
}

// cut cuts a name as PostgreSQL does (ProcessStartupPacket): a longer one means the role or database of its first 63 bytes, so a rule about that must
// not be missed.
func cut(name string) string { return name[:min(len(name), 63)] }

// set returns what the parameters of a packet set.
func set(ps []pgwire.Parameter) (all []settings.Pair, err *pgerr.Error) {
	for _, p := range ps {
		switch p.Name {
		case "replication":
		case "options":
			some, err := options(p.Value)
			if err != nil {
				return nil, err
			}
			all = append(all, some...)
		default:
			all = append(all, settings.Pair{Name: p.Name, Value: p.Value})
		}
	}
	return all, nil
}

// replication reads the parameter of that name as ProcessStartupPacket does: it is "database" or a boolean, which
// parse_bool takes in any case and cut short as long as it is not ambiguous.
func replication(v string) (wanted, ok bool) {
	if v == "database" {
		return true, true
	}
	switch v = strings.ToLower(v); {
	case v == "":
		return false, false
	case v == "1", v == "on", strings.HasPrefix("true", v), strings.HasPrefix("yes", v):
		return true, true
	case v == "0", v == "of", v == "off", strings.HasPrefix("false", v), strings.HasPrefix("no", v):
		return false, true
	}
	return false, false
}

// options reads the command-line switches that set parameters: -c name=value and --name=value.
func options(v string) ([]settings.Pair, *pgerr.Error) {
	var set []settings.Pair
	args := split(v)
	for i := 0; i < len(args); i++ {
		a := args[i]
		switch {
		case a == "-c" && i+1 < len(args):
			i++
			a = args[i]
		case strings.HasPrefix(a, "-c"):
			a = a[2:]
		case strings.HasPrefix(a, "--"):
			a = a[2:]
		default:
			return nil, pgerr.New(pgerr.InvalidStartup, "command-line argument "+a+" in options is not one that sets a parameter")
		}
		name, value, ok := strings.Cut(a, "=")
		if !ok || name == "" {
			return nil, pgerr.New(pgerr.InvalidStartup, "-c "+a+" in options requires a value")
		}
		set = append(set, settings.Pair{Name: strings.ReplaceAll(name, "-", "_"), Value: value})
	}
	return set, nil
}

// split cuts options at white space; a backslash takes the next character as it is.
func split(v string) (args []string) {
	var b strings.Builder
	in := false
	for i := 0; i < len(v); i++ {
		switch ch := v[i]; {
		case ch == ' ' || ch >= '\t' && ch <= '\r':
			if in {
				args, in = append(args, b.String()), false
				b.Reset()
			}
			continue
		case ch == '\\' && i+1 < len(v):
			i++
			b.WriteByte(v[i])
		default:
			b.WriteByte(ch)
		}
		in = true
	}
	if in {
		args = append(args, b.String())
	}
	return args
}
