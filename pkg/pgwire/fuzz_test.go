package pgwire

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"testing"
)

// rowReader, startupReader and errorReader are readers that the faults below stand in for.
type (
	rowReader     func(body []byte, yield func(i int, v []byte)) bool
	startupReader func(packet []byte) ([]Parameter, error)
	errorReader   func(body []byte) (*ServerError, error)
)

// rowFault states what must hold of any body of a DataRow: columns come in their order, and where all of it
// is right they make the body again.
func rowFault(body []byte, read rowReader) string {
	var again []byte
	n, fault := 0, ""
	ok := read(body, func(i int, v []byte) {
		switch {
		case i != n:
			fault = fmt.Sprintf("column %d comes as number %d", i, n)
		case v == nil:
			again = append(again, 0xff, 0xff, 0xff, 0xff)
		default:
			again = append(binary.BigEndian.AppendUint32(again, uint32(len(v))), v...)
		}
		n++
	})
	if fault != "" || !ok {
		return fault
	}
	again = append(binary.BigEndian.AppendUint16(nil, uint16(n)), again...)
	if !bytes.Equal(again, oneNull(body)) {
		return fmt.Sprintf("%q reads as %q", body, again)
	}
	return ""
}

// oneNull writes every NULL of a body that is right as PostgreSQL does, with length -1: any negative one is read as that.
func oneNull(body []byte) []byte {
	out := append([]byte(nil), body[:2]...)
	for p := body[2:]; len(p) > 0; {
		k := int(int32(binary.BigEndian.Uint32(p)))
		if k < 0 {
			out, p = append(out, 0xff, 0xff, 0xff, 0xff), p[4:]
			continue
		}
		out, p = append(out, p[:4+k]...), p[4+k:]
	}
	return out
}

// startupFault states what must hold of any whole start-up packet: what is read makes the packet again.
func startupFault(packet []byte, read startupReader) string {
	ps, err := read(packet)
	if err != nil {
		return ""
	}
	again := AppendStartup(nil, ps...)
	if !bytes.Equal(again[8:], packet[8:]) {
		return fmt.Sprintf("%q reads as %q", packet[8:], again[8:])
	}
	return ""
}

// errorFault states what must hold of any body of an ErrorResponse: it is told on with another severity and
// the same SQLSTATE and sentence, whatever else is in it.
func errorFault(body []byte, read errorReader) string {
	e, err := read(body)
	if err != nil {
		return ""
	}
	if !bytes.Equal(e.Body, body) {
		return "the body is not kept as it is"
	}
	msg := AppendServerError(nil, e, "FATAL")
	if len(msg) < HeaderSize || msg[0] != ErrorResponse || Body(msg) != len(msg)-HeaderSize {
		return fmt.Sprintf("told on as %q", msg)
	}
	again, err := ReadError(msg[HeaderSize:])
	switch {
	case err != nil:
		return fmt.Sprintf("told on it cannot be read: %v", err)
	case again.Severity != "FATAL" || again.SQLState != e.SQLState || again.Message != e.Message:
		return fmt.Sprintf("%+v is told on as %+v", e, again)
	}
	return ""
}

func rows() [][]byte {
	return [][]byte{
		{0, 0},
		{0, 1, 0xff, 0xff, 0xff, 0xff},
		{0, 2, 0, 0, 0, 1, 'x', 0, 0, 0, 0},
		{},
		{0},
		{0, 1},
		{0, 1, 0, 0, 0, 9, 'x'},
		{0, 1, 0, 0, 0, 1, 'x', 'y'},
		{0, 1, 0x80, 0, 0, 0},
		{0xff, 0xff},
	}
}

func errorBodies() [][]byte {
	return [][]byte{
		[]byte("SFATAL\x00VFATAL\x00C57P01\x00Mbye\x00\x00"), []byte("SERREUR\x00C42601\x00Mnon\x00P7\x00Hhint\x00\x00"),
		{0},
		{},
		[]byte("S"), []byte("SERROR"), []byte("M\x00\x00"), []byte("zzz\x00\x00"),
	}
}

func FuzzRow(f *testing.F) {
	for _, b := range rows() {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		if fault := rowFault(body, Row); fault != "" {
			t.Error(fault)
		}
	})
}

func FuzzReadStartup(f *testing.F) {
	f.Add(AppendStartup(nil, Parameter{"user", "ann"}, Parameter{"database", ""}))
	f.Add(AppendStartup(nil))
	f.Add([]byte("\x00\x00\x00\x0b\x00\x03\x00\x00a\x00\x00"))
	f.Fuzz(func(t *testing.T, packet []byte) {
		n, err := StartupSize(packet)
		if err != nil || n == 0 || n > len(packet) {
			return // as its caller does
		}
		packet = packet[:n]
		if fault := startupFault(packet, ReadStartup); fault != "" {
			t.Error(fault)
		}
		pid, secret, err := ReadCancel(packet)
		if err == nil && !bytes.Equal(AppendCancel(nil, pid, secret)[8:], packet[8:]) {
			t.Errorf("cancel %q reads as %d, %q", packet, pid, secret)
		}
	})
}

func FuzzReadError(f *testing.F) {
	for _, b := range errorBodies() {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		if fault := errorFault(body, ReadError); fault != "" {
			t.Error(fault)
		}
	})
}

// TestFuzzersSee plants readers that are wrong: what the fuzzers state finds each with their own seeds.
func TestFuzzersSee(t *testing.T) {
	lenient := func(body []byte, yield func(int, []byte)) bool { // takes what is left over
		return Row(body, yield) || len(body) > 2 && Row(body[:len(body)-1], yield)
	}
	nullIsEmpty := func(body []byte, yield func(int, []byte)) bool {
		return Row(body, func(i int, v []byte) { yield(i, append([]byte{}, v...)) })
	}
	for name, read := range map[string]rowReader{"takes bytes behind the row": lenient, "reads NULL as empty": nullIsEmpty} {
		found := false
		for _, b := range rows() {
			found = found || rowFault(b, read) != ""
		}
		if !found {
			t.Errorf("a reader that %s is not found", name)
		}
	}
	drops := func(packet []byte) ([]Parameter, error) {
		ps, err := ReadStartup(packet)
		return ps[:max(0, len(ps)-1)], err
	}
	if startupFault(AppendStartup(nil, Parameter{"user", "ann"}), drops) == "" {
		t.Error("a reader that drops the last parameter is not found")
	}
	aliases := func(body []byte) (*ServerError, error) {
		e, err := ReadError(body)
		if err == nil {
			e.Body = body[:len(body)-1]
		}
		return e, err
	}
	if errorFault(errorBodies()[0], aliases) == "" {
		t.Error("a reader that cuts the body is not found")
	}
}
