package console

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/heliosproxy/heliosproxy/pkg/pgwire"
)

// The types of columns (pg_type.oid).
const (
	textOID    = 25
	int4OID    = 23
	int8OID    = 20
	numericOID = 1700
)

type column struct {
	name string
	oid  uint32
}

// columns reads names, with :i behind those of integers, :q behind large ones, :n behind numerics. The others are texts.
func columns(names string) []column {
	var all []column
	for _, f := range strings.Fields(names) {
		name, kind, _ := strings.Cut(f, ":")
		all = append(all, column{name, map[string]uint32{"": textOID, "i": int4OID, "q": int8OID, "n": numericOID}[kind]})
	}
	return all
}

// binaryFormat is the code of the binary format; 0 is that of text.
const binaryFormat = 1

// formatOf is the format of column i where a client has asked for formats: none is text, one is that of all.
func formatOf(formats []uint16, i int) uint16 {
	switch {
	case len(formats) == 1:
		return formats[0]
	case i < len(formats):
		return formats[i]
	}
	return 0
}

func appendDescription(dst []byte, cols []column, formats []uint16) []byte {
	body := binary.BigEndian.AppendUint16(nil, uint16(len(cols)))
	for i, c := range cols {
		body = append(append(body, c.name...), 0)
		body = append(body, 0, 0, 0, 0, 0, 0) // of no table
		size := map[uint32]int16{int4OID: 4, int8OID: 8, textOID: -1, numericOID: -1}[c.oid]
		body = binary.BigEndian.AppendUint32(body, c.oid)
		body = binary.BigEndian.AppendUint16(body, uint16(size))
		body = binary.BigEndian.AppendUint32(body, 0xFFFFFFFF)
		body = binary.BigEndian.AppendUint16(body, formatOf(formats, i))
	}
	return pgwire.Append(dst, pgwire.RowDescription, body)
}

func appendRow(dst []byte, cols []column, formats []uint16, row []any) []byte {
	body := binary.BigEndian.AppendUint16(nil, uint16(len(cols)))
	for i, c := range cols {
		if row[i] == nil {
			body = binary.BigEndian.AppendUint32(body, 0xFFFFFFFF)
			continue
		}
		v := textOf(row[i])
		if formatOf(formats, i) == binaryFormat {
			v = binaryOf(c.oid, v)
		}
		body = binary.BigEndian.AppendUint32(body, uint32(len(v)))
		body = append(body, v...)
	}
	return pgwire.Append(dst, pgwire.DataRow, body)
}

func textOf(v any) string {
	if t, ok := v.(time.Time); ok {
		return stamp(t)
	}
	return fmt.Sprint(v)
}

// binaryOf is a value of a type in its binary format. Numbers are not negative and have no fraction.
func binaryOf(oid uint32, text string) string {
	if oid == textOID {
		return text
	}
	n, _ := strconv.ParseUint(text, 10, 64)
	switch oid {
	case int4OID:
		return string(binary.BigEndian.AppendUint32(nil, uint32(n)))
	case int8OID:
		return string(binary.BigEndian.AppendUint64(nil, n))
	}
	var digits []uint16 // of base 10,000, the last first (numeric_send in PostgreSQL's numeric.c)
	for ; n > 0; n /= 10_000 {
		digits = append(digits, uint16(n%10_000))
	}
	b := binary.BigEndian.AppendUint16(nil, uint16(len(digits)))
	b = binary.BigEndian.AppendUint16(b, uint16(max(len(digits)-1, 0))) // the weight of the first
	b = append(b, 0, 0, 0, 0)                                           // sign and scale
	for i := len(digits) - 1; i >= 0; i-- {
		b = binary.BigEndian.AppendUint16(b, digits[i])
	}
	return string(b)
}
