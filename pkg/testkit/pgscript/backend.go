package pgscript

// Column is a column of a RowDescription.
type Column struct {
	Name string
	OID  uint32
}

// Auth returns an Authentication message of any kind: 0 is Ok, 3 a clear password, 5 MD5 with its salt, 10 to 12 SASL.
func Auth(kind uint32, data ...[]byte) []byte {
	return Frame('R', append([][]byte{u32(kind)}, data...)...)
}

// AuthSASL offers mechanisms.
func AuthSASL(mechanisms ...string) []byte {
	var list []byte
	for _, m := range mechanisms {
		list = append(list, cstr(m)...)
	}
	return Auth(10, append(list, 0))
}

// ParameterStatus reports a setting.
func ParameterStatus(name, value string) []byte { return Frame('S', cstr(name), cstr(value)) }

// BackendKeyData tells what a CancelRequest must name; the secret has 4 bytes in protocol 3.0.
func BackendKeyData(pid uint32, secret []byte) []byte { return Frame('K', u32(pid), secret) }

// NegotiateProtocolVersion tells the newest minor version and which options the server does not know.
func NegotiateProtocolVersion(minor uint32, unknown ...string) []byte {
	body := [][]byte{u32(minor), u32(uint32(len(unknown)))}
	for _, u := range unknown {
		body = append(body, cstr(u))
	}
	return Frame('v', body...)
}

// ReadyForQuery ends a unit; status is 'I', 'T' or 'E'.
func ReadyForQuery(status byte) []byte { return Frame('Z', []byte{status}) }

// RowDescription describes rows in text format.
func RowDescription(columns ...Column) []byte {
	body := [][]byte{u16(len(columns))}
	for _, c := range columns {
		body = append(body, cstr(c.Name), u32(0), u16(0), u32(c.OID), u16(-1), u32(^uint32(0)), u16(0))
	}
	return Frame('T', body...)
}

// ParameterDescription gives the types that a statement takes.
func ParameterDescription(oids ...uint32) []byte {
	body := [][]byte{u16(len(oids))}
	for _, oid := range oids {
		body = append(body, u32(oid))
	}
	return Frame('t', body...)
}

// DataRow is a row.
func DataRow(values ...string) []byte {
	body := [][]byte{u16(len(values))}
	for _, v := range values {
		body = append(body, u32(uint32(len(v))), []byte(v))
	}
	return Frame('D', body...)
}

// CommandComplete ends a statement.
func CommandComplete(tag string) []byte { return Frame('C', cstr(tag)) }

// ErrorResponse is an error with the fields that a client reads.
func ErrorResponse(severity, sqlstate, text string) []byte {
	return Frame('E', fields(severity, sqlstate, text))
}

// NoticeResponse is a notice.
func NoticeResponse(severity, sqlstate, text string) []byte {
	return Frame('N', fields(severity, sqlstate, text))
}

func fields(severity, sqlstate, text string) []byte {
	return append(append(append(append(cstr("S"+severity), cstr("V"+severity)...), cstr("C"+sqlstate)...), cstr("M"+text)...), 0)
}

// NotificationResponse is what LISTEN listens for.
func NotificationResponse(pid uint32, channel, payload string) []byte {
	return Frame('A', u32(pid), cstr(channel), cstr(payload))
}

// CopyInResponse asks for COPY data of n text columns.
func CopyInResponse(n int) []byte { return copyResponse('G', n) }

// CopyOutResponse announces COPY data of n text columns.
func CopyOutResponse(n int) []byte { return copyResponse('H', n) }

func copyResponse(typ byte, n int) []byte {
	return Frame(typ, []byte{0}, u16(n), make([]byte, 2*n))
}

// ParseComplete answers Parse.
func ParseComplete() []byte { return Frame('1') }

// BindComplete answers Bind.
func BindComplete() []byte { return Frame('2') }

// CloseComplete answers Close.
func CloseComplete() []byte { return Frame('3') }

// NoData answers a Describe of what returns no rows.
func NoData() []byte { return Frame('n') }

// EmptyQueryResponse answers an empty text.
func EmptyQueryResponse() []byte { return Frame('I') }

// PortalSuspended answers an Execute that stopped at its limit.
func PortalSuspended() []byte { return Frame('s') }

// Greeting is what a server says from AuthenticationOk to the first ReadyForQuery.
func Greeting(pid uint32, secret []byte) []byte {
	var out []byte
	for _, m := range [][]byte{
		Auth(0),
		ParameterStatus("server_version", "15.0"),
		ParameterStatus("client_encoding", "UTF8"),
		ParameterStatus("standard_conforming_strings", "on"),
		BackendKeyData(pid, secret),
		ReadyForQuery('I'),
	} {
		out = append(out, m...)
	}
	return out
}
