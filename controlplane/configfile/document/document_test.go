package document

import (
	"fmt"
	"strings"
	"testing"

	"github.com/heliosproxy/heliosproxy/controlplane/configfile/environ"
)

// many is a text of n databases, and one key behind them.
func many(n int) []byte {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "[[databases]]\nname = \"db%d\"\npool = { mode = \"session\" }\n\n", i)
	}
	b.WriteString("[x]\ny.z = 1\n")
	return []byte(b.String())
}

func filled(data []byte) *environ.Text {
	return environ.Fill(data, func(string) (string, bool) { return "", false }, func(bool, int, string, string) {})
}

// TestLines: every key has its line, and to find them the text is walked through about once.
func TestLines(t *testing.T) {
	const n = 1000
	text := filled(many(n))
	root, err := Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	for i, d := range root.Table["databases"].List {
		if d.Line != 4*i+1 || d.Find("name").Line != 4*i+2 || d.Find("pool.mode").Line != 4*i+3 {
			t.Fatalf("database %d: lines %d, %d, %d", i, d.Line, d.Find("name").Line, d.Find("pool.mode").Line)
		}
	}
	if z := root.Find("x.y.z"); z.Line != 4*n+2 {
		t.Errorf("the last key: line %d", z.Line)
	}
	l := newLocator(text)
	if err := l.locate(); err != nil {
		t.Fatal(err)
	}
	if most := 3 * len(text.Data); l.at.walked < len(text.Data)/2 || l.at.walked > most {
		t.Errorf("walked over %d bytes of %d", l.at.walked, len(text.Data))
	}
}

// BenchmarkParse reads 2,000 databases.
func BenchmarkParse(b *testing.B) {
	text := filled(many(2000))
	for b.Loop() {
		if _, err := Parse(text); err != nil {
			b.Fatal(err)
		}
	}
}
