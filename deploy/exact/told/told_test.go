package told

import (
	"testing"

	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgscript"
)

// rows is a RowDescription of one column of each type, and row a DataRow.
func rows(oids ...uint32) pgscript.Message {
	b := []byte{0, byte(len(oids))}
	for _, oid := range oids {
		b = append(b, 'c', 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, byte(oid), 0, 4, 0, 0, 0, 0, 0, 0)
	}
	return pgscript.Message{Type: 'T', Body: b}
}

func row(values ...string) pgscript.Message {
	b := []byte{0, byte(len(values))}
	for _, v := range values {
		b = append(append(b, 0, 0, 0, byte(len(v))), v...)
	}
	return pgscript.Message{Type: 'D', Body: b}
}

func of(t byte) pgscript.Message { return pgscript.Message{Type: t} }

// TestTurn tells rows of the shape that was told from others.
func TestTurn(t *testing.T) {
	const num, text = 23, 25
	types, done, failed := of('t'), of('C'), of('E')
	again := [][]byte{pgscript.Bind("", "s"), pgscript.Execute("", 0), pgscript.Sync()}
	described := [][]byte{pgscript.Bind("", "s"), pgscript.DescribePortal(""), pgscript.Execute("", 0), pgscript.Sync()}
	type answers []pgscript.Message
	for name, c := range map[string]struct {
		second [][]byte
		back   answers
		wrong  string
	}{
		"the same":                   {again, answers{of('2'), row("1"), of('N'), row("-2"), done, of('Z')}, ""},
		"a column more":              {again, answers{of('2'), row("1", "2"), done, of('Z')}, "a row of 2 values where 1 were told"},
		"another type":               {again, answers{of('2'), row("1"), row("x"), done, of('Z')}, `the value "x" where the type with OID 23 was told`},
		"told in the unit":           {described, answers{of('2'), rows(num, text), row("1", "x"), done, of('Z')}, ""},
		"refused":                    {again, answers{failed, of('Z')}, ""},
		"refused, and asked again":   {append(again[:len(again):len(again)], again...), answers{failed, of('Z'), of('2'), row("1", "2"), done, of('Z')}, "a row of 2 values where 1 were told"},
		"behind a Query":             {append([][]byte{pgscript.Query("SELECT")}, again...), answers{rows(text), row("x"), failed, of('Z'), of('2'), row("x"), done, of('Z')}, `the value "x" where the type with OID 23 was told`},
		"prepared anew":              {append([][]byte{pgscript.CloseStatement("s"), pgscript.Parse("s", "TABLE u")}, again...), answers{of('3'), of('1'), of('2'), row("1", "2"), done, of('Z')}, ""},
		"other parameters":           {[][]byte{pgscript.DescribeStatement("s"), pgscript.Sync()}, answers{{Type: 't', Body: []byte{0, 0}}, rows(num), of('Z')}, "parameters of the types 0000 where  were told"},
		"behind COPY nobody follows": {append([][]byte{pgscript.Query("COPY")}, again...), answers{of('G'), row("1", "2")}, ""},
	} {
		var cl Client
		first := [][]byte{pgscript.Parse("s", "TABLE t"), pgscript.DescribeStatement("s"), pgscript.Sync()}
		if wrong := cl.Turn(first, answers{of('1'), types, rows(num), of('Z')}); wrong != "" {
			t.Fatal(wrong)
		}
		if wrong := cl.Turn(c.second, c.back); wrong != c.wrong {
			t.Errorf("%s: %q, want %q", name, wrong, c.wrong)
		}
	}
}
