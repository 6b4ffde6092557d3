package pgwire_test

import (
	"bytes"
	"testing"

	"github.com/heliosproxy/heliosproxy/pkg/pgwire"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgscript"
)

func TestDescribesPortal(t *testing.T) {
	bind := pgscript.Bind("", "s", "value")
	formats := func(n byte) []byte {
		return append([]byte{'B', 0, 0, 0, 4 + 1 + 2 + 2 + 2 + 2 + 2*n, 0, 's', 0, 0, 0, 0, 0, 0, n}, make([]byte, 2*n)...)
	}
	for _, c := range []struct {
		name      string
		p         [][]byte
		described bool
	}{
		{"bind, describe, execute", [][]byte{bind, pgscript.DescribePortal(""), pgscript.Execute("", 0), pgscript.Sync()}, true},
		{"bind, execute", [][]byte{bind, pgscript.Execute("", 0), pgscript.Sync()}, false},
		{"another portal", [][]byte{bind, pgscript.DescribePortal("p"), pgscript.Sync()}, false},
		{"a statement", [][]byte{bind, pgscript.DescribeStatement("")}, false},
		{"no Sync", [][]byte{bind, pgscript.DescribePortal(""), pgscript.Execute("", 0)}, true},
		{"another Bind", [][]byte{bind, bind, pgscript.Sync()}, false},
		{"one format", [][]byte{formats(1), pgscript.DescribePortal(""), pgscript.Sync()}, true},
		{"a format a column", [][]byte{formats(2), pgscript.DescribePortal(""), pgscript.Sync()}, false},
		{"nothing", nil, false},
	} {
		p := bytes.Join(c.p, nil)
		if got := pgwire.DescribesPortal(p); got != c.described {
			t.Errorf("%s: describes its portal: %v", c.name, got)
		}
		for n := range p { // cut off anywhere it is not there, and nothing is read behind its end
			pgwire.DescribesPortal(p[:n:n])
		}
	}
}
