// Package pgwire frames PostgreSQL protocol messages: message types, builders that append to a buffer, and readers over bytes that are already there. It never does I/O and never keeps the bytes that it is given.
//
// The source of every rule here is chapter "Frontend/Backend Protocol" of PostgreSQL's manual.
package pgwire

import (
	"bytes"
	"encoding/binary"
	"slices"

	"github.com/jackc/pgproto3/v2"

	"github.com/heliosproxy/heliosproxy/pkg/pgerr"
)

// Types of frontend messages.
const (
	Bind        = 'B'
	Close       = 'C'
	CopyData    = 'd'
	CopyDone    = 'c'
	CopyFail    = 'f'
	Describe    = 'D'
	Execute     = 'E'
	Flush       = 'H'
	FunctionRun = 'F'
	Parse       = 'P'
	Password    = 'p'
	Query       = 'Q'
	Sync        = 'S'
	Terminate   = 'X'
)

// Types of backend messages.
const (
	Authentication       = 'R'
	BackendKeyData       = 'K'
	BindComplete         = '2'
	CloseComplete        = '3'
	CommandComplete      = 'C'
	CopyBothResponse     = 'W'
	CopyInResponse       = 'G'
	CopyOutResponse      = 'H'
	DataRow              = 'D'
	EmptyQueryResponse   = 'I'
	ErrorResponse        = 'E'
	FunctionCallResponse = 'V'
	NegotiateVersion     = 'v'
	NoData               = 'n'
	NoticeResponse       = 'N'
	NotificationResponse = 'A'
	ParameterDescription = 't'
	ParameterStatus      = 'S'
	ParseComplete        = '1'
	PortalSuspended      = 's'
	ReadyForQuery        = 'Z'
	RowDescription       = 'T'
)

// Transaction status in ReadyForQuery.
const (
	Idle          = 'I'
	InTransaction = 'T'
	InFailed      = 'E'
)

// HeaderSize is the length of a message's type byte and length word.
const HeaderSize = 5

// Body returns the length of the body that the header at the beginning of p announces: the length
// word counts itself but not the type byte. It is negative where the word is less than 4.
func Body(p []byte) int { return int(int32(binary.BigEndian.Uint32(p[1:5]))) - 4 }

// Append appends a message of type t with body.
func Append(dst []byte, t byte, body []byte) []byte {
	dst = append(dst, t)
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(body)+4))
	return append(dst, body...)
}

// AppendHeader appends the header of a message whose body has n bytes.
func AppendHeader(dst []byte, t byte, n int) []byte {
	return binary.BigEndian.AppendUint32(append(dst, t), uint32(n+4))
}

// AppendBindHead appends the beginning of a Bind message: header, portal and statement. So many bytes follow, which the caller appends.
func AppendBindHead(dst, portal []byte, statement string, follow int) []byte {
	dst = AppendHeader(dst, Bind, len(portal)+len(statement)+2+follow)
	dst = append(append(dst, portal...), 0)
	return append(append(dst, statement...), 0)
}

// AppendQuery appends a Query message.
func AppendQuery(dst []byte, sql string) []byte {
	dst = AppendHeader(dst, Query, len(sql)+1)
	dst = append(dst, sql...)
	return append(dst, 0)
}

// AppendSync appends a Sync message.
func AppendSync(dst []byte) []byte { return append(dst, Sync, 0, 0, 0, 4) }

// AppendReady appends ReadyForQuery with the transaction status.
func AppendReady(dst []byte, status byte) []byte {
	return append(dst, ReadyForQuery, 0, 0, 0, 5, status)
}

// AppendNamed appends a Close or Describe message (t) for a statement ('S') or portal ('P') name.
func AppendNamed(dst []byte, t, what byte, name string) []byte {
	dst = AppendHeader(dst, t, len(name)+2)
	dst = append(dst, what)
	dst = append(dst, name...)
	return append(dst, 0)
}

// AppendParse appends a Parse message; rest is the part of the body behind the name: text, NUL, parameter types.
func AppendParse(dst []byte, name string, rest []byte) []byte {
	dst = AppendHeader(dst, Parse, len(name)+1+len(rest))
	dst = append(dst, name...)
	dst = append(dst, 0)
	return append(dst, rest...)
}

// AppendBind appends a Bind message without values: text formats, no parameters.
func AppendBind(dst []byte, portal, statement string) []byte {
	dst = AppendHeader(dst, Bind, len(portal)+len(statement)+2+6)
	dst = append(append(dst, portal...), 0)
	dst = append(append(dst, statement...), 0)
	return append(dst, 0, 0, 0, 0, 0, 0)
}

// AppendBindText appends a Bind with one value in text format, which is copied.
func AppendBindText(dst []byte, portal, statement string, value []byte) []byte {
	dst = AppendHeader(dst, Bind, len(portal)+len(statement)+2+2+2+4+len(value)+2)
	dst = append(append(dst, portal...), 0)
	dst = append(append(dst, statement...), 0)
	dst = append(dst, 0, 0, 0, 1)
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(value)))
	return append(append(dst, value...), 0, 0)
}

// AppendExecute appends an Execute message for all rows of a portal.
func AppendExecute(dst []byte, portal string) []byte {
	dst = AppendHeader(dst, Execute, len(portal)+1+4)
	dst = append(append(dst, portal...), 0)
	return append(dst, 0, 0, 0, 0)
}

// AppendParameterStatus appends a ParameterStatus message.
func AppendParameterStatus(dst []byte, name, value string) []byte {
	dst = AppendHeader(dst, ParameterStatus, len(name)+len(value)+2)
	dst = append(dst, name...)
	dst = append(dst, 0)
	dst = append(dst, value...)
	return append(dst, 0)
}

// AppendTag appends a CommandComplete message with tag.
func AppendTag(dst []byte, tag string) []byte {
	dst = AppendHeader(dst, CommandComplete, len(tag)+1)
	dst = append(dst, tag...)
	return append(dst, 0)
}

// AppendAuthentication appends an authentication request: its code and data.
func AppendAuthentication(dst []byte, code uint32, data []byte) []byte {
	dst = AppendHeader(slices.Grow(dst, HeaderSize+4+len(data)), Authentication, 4+len(data))
	dst = binary.BigEndian.AppendUint32(dst, code)
	return append(dst, data...)
}

// Codes of authentication requests.
const (
	AuthOK           = 0
	AuthCleartext    = 3
	AuthMD5          = 5
	AuthSASL         = 10
	AuthSASLContinue = 11
	AuthSASLFinal    = 12
)

// AppendError appends an ErrorResponse for e.
func AppendError(dst []byte, e *pgerr.Error) []byte {
	m := pgproto3.ErrorResponse{
		Severity:            string(e.Severity),
		SeverityUnlocalized: string(e.Severity),
		Code:                e.SQLState,
		Message:             e.Message,
		Detail:              e.Detail,
		Hint:                e.Hint,
		Routine:             e.Routine,
	}
	return encode(dst, &m)
}

// AppendNotice appends a NoticeResponse.
func AppendNotice(dst []byte, e *pgerr.Error) []byte {
	at := len(dst)
	dst = AppendError(dst, e) // the same fields
	dst[at] = NoticeResponse
	return dst
}

// encode appends m. Encoding fails only for messages over 1 GB, which these are not.
func encode(dst []byte, m *pgproto3.ErrorResponse) []byte {
	out, err := m.Encode(dst)
	if err != nil {
		return dst
	}
	return out
}

// ServerError is an ErrorResponse of a server, decoded.
type ServerError struct {
	Severity string
	SQLState string
	Message  string
	Body     []byte // a copy of the message's body, to be told on as it is
}

// Error returns the server's sentence with its SQLSTATE.
func (e *ServerError) Error() string {
	return e.Severity + ": " + e.Message + " (SQLSTATE " + e.SQLState + ")"
}

// ReadError decodes the body of an ErrorResponse.
func ReadError(body []byte) (*ServerError, error) {
	var m pgproto3.ErrorResponse
	if err := m.Decode(body); err != nil {
		return nil, err
	}
	sev := m.SeverityUnlocalized
	if sev == "" {
		sev = m.Severity
	}
	return &ServerError{Severity: sev, SQLState: m.Code, Message: m.Message, Body: bytes.Clone(body)}, nil
}

// WithHint returns e with another hint for the client.
func (e *ServerError) WithHint(hint string) *ServerError {
	var m pgproto3.ErrorResponse
	if err := m.Decode(e.Body); err != nil {
		m = pgproto3.ErrorResponse{Severity: e.Severity, SeverityUnlocalized: e.Severity, Code: e.SQLState, Message: e.Message}
	}
	m.Hint = hint
	hinted := *e
	hinted.Body = encode(nil, &m)[HeaderSize:]
	return &hinted
}

// AppendServerError appends e as an ErrorResponse with another severity: what a server said while it
// was asked on a session's behalf, told to that session's client.
func AppendServerError(dst []byte, e *ServerError, severity pgerr.Severity) []byte {
	var m pgproto3.ErrorResponse
	if err := m.Decode(e.Body); err != nil {
		m = pgproto3.ErrorResponse{Code: e.SQLState, Message: e.Message}
	}
	m.Severity, m.SeverityUnlocalized = string(severity), string(severity)
	return encode(dst, &m)
}

// CString returns the bytes of p up to its first NUL and what follows it; ok is false without one.
func CString(p []byte) (s, rest []byte, ok bool) {
	if len(p) > 0 && p[0] == 0 { // mostly
		return p[:0], p[1:], true
	}
	return cString(p)
}

func cString(p []byte) (s, rest []byte, ok bool) {
	i := bytes.IndexByte(p, 0)
	if i < 0 {
		return nil, nil, false
	}
	return p[:i], p[i+1:], true
}

// Row calls yield for each column of the body of a DataRow; a nil value is NULL. Values alias body.
// It returns false where the body is malformed.
func Row(body []byte, yield func(i int, v []byte)) bool {
	if len(body) < 2 {
		return false
	}
	n := int(binary.BigEndian.Uint16(body))
	p := body[2:]
	for i := range n {
		if len(p) < 4 {
			return false
		}
		k := int(int32(binary.BigEndian.Uint32(p)))
		p = p[4:]
		switch {
		case k < 0:
			yield(i, nil)
		case k > len(p):
			return false
		default:
			yield(i, p[:k:k])
			p = p[k:]
		}
	}
	return len(p) == 0
}

// AppendOwn appends what runs a query within an extended unit and leaves nothing of it: Parse, Bind, Execute and two Closes of one
// name. body is that of the Parse behind the name.
func AppendOwn(dst []byte, name string, body []byte) []byte {
	dst = AppendParse(dst, name, body)
	dst = AppendBind(dst, name, name)
	dst = AppendExecute(dst, name)
	dst = AppendNamed(dst, Close, 'P', name)
	return AppendNamed(dst, Close, 'S', name)
}

// ResultFormats returns for how many columns a Bind gives formats, of whose body p is what follows the two names.
func ResultFormats(p []byte) (n int, ok bool) {
	if len(p) < 2 {
		return 0, false
	}
	k := 2 + 2*int(binary.BigEndian.Uint16(p))
	if len(p) < k+2 {
		return 0, false
	}
	values := int(binary.BigEndian.Uint16(p[k:]))
	for p = p[k+2:]; values > 0; values-- {
		if len(p) < 4 {
			return 0, false
		}
		size := max(int(int32(binary.BigEndian.Uint32(p))), 0)
		if len(p)-4 < size {
			return 0, false
		}
		p = p[4+size:]
	}
	if len(p) < 2 {
		return 0, false
	}
	return int(binary.BigEndian.Uint16(p)), true
}

// BindValues yields the values of a Bind, of whose body p is what follows the two names. It ends where p does.
func BindValues(p []byte, yield func(v []byte)) {
	if len(p) < 2 {
		return
	}
	p = p[2+min(len(p)-2, 2*int(binary.BigEndian.Uint16(p))):] // behind the formats
	if len(p) < 2 {
		return
	}
	n := int(binary.BigEndian.Uint16(p))
	for p = p[2:]; n > 0 && len(p) >= 4; n-- {
		k := int(int32(binary.BigEndian.Uint32(p)))
		if p = p[4:]; k > len(p) {
			return
		}
		if k >= 0 {
			yield(p[:k:k])
			p = p[k:]
		}
	}
}

// Text returns the SQL of the body of a Query or Parse message. It aliases the body.
func Text(t byte, body []byte) ([]byte, bool) {
	if t == Parse {
		_, rest, ok := CString(body)
		if !ok {
			return nil, false
		}
		body = rest
	}
	text, _, ok := CString(body)
	return text, ok
}
