package pgscript

import "encoding/binary"

// Codes that stand where a start-up message has its protocol version.
const (
	Version30 uint32 = 3 << 16
	Version32 uint32 = 3<<16 | 2

	cancelCode uint32 = 1234<<16 | 5678
	sslCode    uint32 = 1234<<16 | 5679
	gssCode    uint32 = 1234<<16 | 5680
)

// Frame returns a message of any type with any body.
func Frame(typ byte, body ...[]byte) []byte {
	return append([]byte{typ}, untyped(body...)...)
}

// untyped returns a message as those that open a connection are: a length and a body.
func untyped(body ...[]byte) []byte {
	msg := make([]byte, 4)
	for _, b := range body {
		msg = append(msg, b...)
	}
	binary.BigEndian.PutUint32(msg, uint32(len(msg)))
	return msg
}

// Startup returns a StartupMessage; params are names and values in turn, as "user", "alice", "database", "shop".
func Startup(version uint32, params ...string) []byte {
	body := [][]byte{u32(version)}
	for _, p := range params {
		body = append(body, cstr(p))
	}
	return untyped(append(body, []byte{0})...)
}

// SSLRequest asks for TLS.
func SSLRequest() []byte { return untyped(u32(sslCode)) }

// GSSENCRequest asks for GSSAPI encryption.
func GSSENCRequest() []byte { return untyped(u32(gssCode)) }

// CancelRequest asks, on a connection of its own, to cancel what the session with that key does.
func CancelRequest(pid uint32, secret []byte) []byte {
	return untyped(u32(cancelCode), u32(pid), secret)
}

// Query is a simple query.
func Query(sql string) []byte { return Frame('Q', cstr(sql)) }

// Parse prepares a statement.
func Parse(name, sql string, oids ...uint32) []byte {
	body := [][]byte{cstr(name), cstr(sql), u16(len(oids))}
	for _, oid := range oids {
		body = append(body, u32(oid))
	}
	return Frame('P', body...)
}

// Bind makes a portal; parameters and results are in text format.
func Bind(portal, statement string, params ...string) []byte {
	values := make([][]byte, len(params))
	for i, p := range params {
		values[i] = []byte(p)
	}
	return BindFormats(portal, statement, nil, values, nil)
}

// BindFormats makes a portal; formats and results are format codes, nil values are NULL.
func BindFormats(portal, statement string, formats []int, values [][]byte, results []int) []byte {
	body := append([][]byte{cstr(portal), cstr(statement)}, arguments(formats, values)...)
	return Frame('B', append(body, codes(results))...)
}

// FunctionCall calls a function by its OID; formats and result are format codes, nil values are NULL.
func FunctionCall(oid uint32, formats []int, values [][]byte, result int) []byte {
	body := append([][]byte{u32(oid)}, arguments(formats, values)...)
	return Frame('F', append(body, u16(result))...)
}

func arguments(formats []int, values [][]byte) [][]byte {
	parts := [][]byte{codes(formats), u16(len(values))}
	for _, v := range values {
		if v == nil {
			parts = append(parts, u32(^uint32(0)))
			continue
		}
		parts = append(parts, u32(uint32(len(v))), v)
	}
	return parts
}

func codes(formats []int) []byte {
	b := u16(len(formats))
	for _, f := range formats {
		b = append(b, u16(f)...)
	}
	return b
}

// DescribeStatement asks what a statement takes and returns.
func DescribeStatement(name string) []byte { return Frame('D', []byte{'S'}, cstr(name)) }

// DescribePortal asks what a portal returns.
func DescribePortal(name string) []byte { return Frame('D', []byte{'P'}, cstr(name)) }

// Execute runs a portal for at most limit rows; 0 means all.
func Execute(portal string, limit int) []byte { return Frame('E', cstr(portal), u32(uint32(limit))) }

// CloseStatement forgets a statement.
func CloseStatement(name string) []byte { return Frame('C', []byte{'S'}, cstr(name)) }

// ClosePortal forgets a portal.
func ClosePortal(name string) []byte { return Frame('C', []byte{'P'}, cstr(name)) }

// Sync ends a unit of the extended protocol.
func Sync() []byte { return Frame('S') }

// Flush asks for the answers so far.
func Flush() []byte { return Frame('H') }

// CopyData carries a piece of a COPY, in both directions.
func CopyData(data string) []byte { return Frame('d', []byte(data)) }

// CopyDone ends a COPY, in both directions.
func CopyDone() []byte { return Frame('c') }

// CopyFail ends a COPY FROM STDIN in failure.
func CopyFail(reason string) []byte { return Frame('f', cstr(reason)) }

// Password answers a request for a password, clear or hashed.
func Password(text string) []byte { return Frame('p', cstr(text)) }

// SASLInitial opens a SASL exchange.
func SASLInitial(mechanism, data string) []byte {
	return Frame('p', cstr(mechanism), u32(uint32(len(data))), []byte(data))
}

// SASLResponse goes on with a SASL exchange.
func SASLResponse(data string) []byte { return Frame('p', []byte(data)) }

// Terminate ends a session.
func Terminate() []byte { return Frame('X') }

// Split cuts a stream of messages into packets of n bytes.
func Split(n int, msgs ...[]byte) [][]byte {
	var all []byte
	for _, m := range msgs {
		all = append(all, m...)
	}
	var packets [][]byte
	for len(all) > n {
		packets = append(packets, all[:n])
		all = all[n:]
	}
	return append(packets, all)
}

func cstr(s string) []byte { return append([]byte(s), 0) }

func u32(n uint32) []byte { return binary.BigEndian.AppendUint32(nil, n) }

func u16(n int) []byte { return binary.BigEndian.AppendUint16(nil, uint16(n)) }
