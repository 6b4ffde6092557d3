package exact

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgscript"
)

// The notation. A script begins with a line "--- NAME" and ends where the next begins; a line is a turn,
// "#" begins a comment. The messages of a turn stand one behind the other:
//
//	Q `sql`                    Query
//	P name `sql` [23,25]       Parse; the types may be left out; - is the name ""
//	B portal name (1,NULL) /0,1/1   Bind: values, formats of the values, formats of the result
//	DS name  DP portal  CS name  CP portal
//	E portal 2                 Execute; without a number: all rows
//	S  H  c  X                 Sync, Flush, CopyDone, Terminate
//	d `data`  f `why`          CopyData, CopyFail
//	F 1598 (1) /0/0            FunctionCall: function, values, formats of the values, format of the result
//	raw Q `body`               a message of any type with any body
//	bytes `...`                anything
//
// Texts stand in `` or as Go strings.

// ReadScripts reads scripts; an error names the line.
func ReadScripts(text string) ([]Sequence, error) {
	var all []Sequence
	for n, line := range strings.Split(text, "\n") {
		if name, ok := strings.CutPrefix(line, "--- "); ok {
			all = append(all, Sequence{Name: strings.TrimSpace(name)})
			continue
		}
		if trimmed := strings.TrimSpace(line); trimmed == "" || trimmed[0] == '#' {
			continue
		}
		if len(all) == 0 {
			return nil, fmt.Errorf("line %d stands before any script", n+1)
		}
		turn, err := readTurn(line)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n+1, err)
		}
		s := &all[len(all)-1]
		s.Turns = append(s.Turns, turn)
	}
	return all, nil
}

func readTurn(line string) (t Turn, err error) {
	p := parser{rest: line}
	for p.more() {
		m := p.message()
		if p.err != nil {
			return nil, fmt.Errorf("%w, at %q", p.err, p.rest)
		}
		t = append(t, m)
	}
	return t, nil
}

// A parser takes a line apart. After an error everything reads as empty.
type parser struct {
	rest string
	err  error
}

func (p *parser) more() bool {
	p.rest = strings.TrimLeft(p.rest, " \t")
	return p.err == nil && p.rest != "" && p.rest[0] != '#'
}

func (p *parser) fail(format string, args ...any) {
	if p.err == nil {
		p.err = fmt.Errorf(format, args...)
	}
}

// word reads up to a blank.
func (p *parser) word() string {
	if !p.more() {
		p.fail("the message is not complete")
		return ""
	}
	n := strings.IndexAny(p.rest, " \t")
	if n < 0 {
		n = len(p.rest)
	}
	w := p.rest[:n]
	p.rest = p.rest[n:]
	return w
}

// text reads a quoted text.
func (p *parser) text() string {
	if !p.more() {
		p.fail("a text is missing")
		return ""
	}
	quoted, err := strconv.QuotedPrefix(p.rest)
	if err != nil {
		p.fail("a text is missing or has no end")
		return ""
	}
	p.rest = p.rest[len(quoted):]
	s, _ := strconv.Unquote(quoted) // it was found to be one
	return s
}

// name reads a name: a word, a quoted text, or - for the empty one.
func (p *parser) name() string {
	if p.more() && strings.ContainsRune("`\"", rune(p.rest[0])) {
		return p.text()
	}
	if w := p.word(); w != "-" {
		return w
	}
	return ""
}

func (p *parser) number(w string) int {
	n, err := strconv.Atoi(w)
	if err != nil {
		p.fail("%q is no number", w)
	}
	return n
}

// list reads what stands between open and its counterpart, if the next is that.
func (p *parser) list(open, closing byte, item func()) bool {
	if !p.more() || p.rest[0] != open {
		return false
	}
	p.rest = p.rest[1:]
	for p.more() && p.rest[0] != closing {
		item()
		if p.more() && p.rest[0] == ',' {
			p.rest = p.rest[1:]
		}
	}
	if p.rest == "" {
		p.fail("a list has no end")
		return false
	}
	p.rest = p.rest[1:]
	return true
}

func (p *parser) values() (vs [][]byte) {
	p.list('(', ')', func() {
		if strings.ContainsRune("`\"", rune(p.rest[0])) {
			vs = append(vs, []byte(p.text()))
			return
		}
		n := strings.IndexAny(p.rest, ",)")
		if n < 0 {
			p.fail("a list has no end")
			return
		}
		if w := p.rest[:n]; w == "NULL" {
			vs = append(vs, nil)
		} else {
			vs = append(vs, []byte(w))
		}
		p.rest = p.rest[n:]
	})
	return vs
}

// formats reads /1,0/1.
func (p *parser) formats() (of, results []int) {
	if !p.more() || p.rest[0] != '/' {
		return nil, nil
	}
	first, second, ok := strings.Cut(p.word()[1:], "/")
	if !ok {
		p.fail("formats are two lists")
	}
	numbers := func(s string) (ns []int) {
		for _, w := range strings.FieldsFunc(s, func(r rune) bool { return r == ',' }) {
			ns = append(ns, p.number(w))
		}
		return ns
	}
	return numbers(first), numbers(second)
}

func (p *parser) message() []byte {
	switch w := p.word(); w {
	case "Q":
		return pgscript.Query(p.text())
	case "P":
		name, sql := p.name(), p.text()
		var oids []uint32
		p.list('[', ']', func() {
			n := strings.IndexAny(p.rest, ",]")
			if n < 0 {
				p.fail("a list has no end")
				return
			}
			oids = append(oids, uint32(p.number(p.rest[:n])))
			p.rest = p.rest[n:]
		})
		return pgscript.Parse(name, sql, oids...)
	case "B":
		portal, name, values := p.name(), p.name(), p.values()
		of, results := p.formats()
		return pgscript.BindFormats(portal, name, of, values, results)
	case "DS":
		return pgscript.DescribeStatement(p.name())
	case "DP":
		return pgscript.DescribePortal(p.name())
	case "CS":
		return pgscript.CloseStatement(p.name())
	case "CP":
		return pgscript.ClosePortal(p.name())
	case "E":
		portal, limit := p.name(), 0
		if p.more() && digit(p.rest[0]) {
			limit = p.number(p.word())
		}
		return pgscript.Execute(portal, limit)
	case "S":
		return pgscript.Sync()
	case "H":
		return pgscript.Flush()
	case "c":
		return pgscript.CopyDone()
	case "X":
		return pgscript.Terminate()
	case "d":
		return pgscript.CopyData(p.text())
	case "f":
		return pgscript.CopyFail(p.text())
	case "F":
		oid, values := p.number(p.word()), p.values()
		of, result := p.formats()
		return pgscript.FunctionCall(uint32(oid), of, values, append(result, 0)[0])
	case "raw":
		t := p.name()
		if len(t) != 1 {
			p.fail("%q is no type", t)
			return nil
		}
		return pgscript.Frame(t[0], []byte(p.text()))
	case "bytes":
		return []byte(p.text())
	default:
		p.fail("%q is no message", w)
		return nil
	}
}

func digit(b byte) bool { return b >= '0' && b <= '9' }

// String is the sequence in the notation.
func (s Sequence) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "--- %s\n", s.Name)
	for _, t := range s.Turns {
		b.WriteString(t.String() + "\n")
	}
	return b.String()
}

// String is the turn in the notation.
func (t Turn) String() string {
	words := make([]string, len(t))
	for i, raw := range t {
		words[i] = notation(raw)
	}
	return strings.Join(words, "  ")
}

// notation writes a message so that it reads as the same bytes again.
func notation(raw []byte) string {
	if kindOf(raw) != BadLength {
		for _, try := range []string{pretty(raw), "raw " + quote(raw[:1]) + " " + quote(raw[5:])} {
			if t, err := readTurn(try); err == nil && len(t) == 1 && bytes.Equal(t[0], raw) {
				return try
			}
		}
	}
	return "bytes " + quote(raw)
}

func pretty(raw []byte) string {
	r := reader{b: raw[5:]}
	switch k := kindOf(raw); k {
	case Query, CopyFail:
		return string(raw[0]) + " " + quote([]byte(r.cstr()))
	case CopyData:
		return "d " + quote(raw[5:])
	case Parse:
		s := "P " + bare(r.cstr()) + " " + quote([]byte(r.cstr()))
		var oids []string
		for n := r.u16(); n > 0; n-- {
			oids = append(oids, fmt.Sprint(r.u32()))
		}
		if oids != nil {
			s += " [" + strings.Join(oids, ",") + "]"
		}
		return s
	case Bind:
		s := "B " + bare(r.cstr()) + " " + bare(r.cstr())
		of := r.formats()
		return s + list(r.values()) + slashed(of, r.formats())
	case DescribeStatement, DescribePortal, CloseStatement, ClosePortal:
		return string(raw[0]) + string(r.take(1)) + " " + bare(r.cstr())
	case Execute:
		s := "E " + bare(r.cstr())
		if limit := r.u32(); limit > 0 {
			s += fmt.Sprint(" ", limit)
		}
		return s
	case FunctionCall:
		s := fmt.Sprint("F ", r.u32())
		of := r.formats()
		s += list(r.values())
		if result := r.u16(); result != 0 || of != nil {
			s += slashed(of, []int{result})
		}
		return s
	default:
		return string(raw[0])
	}
}

func list(values [][]byte) string {
	if values == nil {
		return ""
	}
	words := make([]string, len(values))
	for i, v := range values {
		switch {
		case v == nil:
			words[i] = "NULL"
		case plain(string(v)) && string(v) != "NULL":
			words[i] = string(v)
		default:
			words[i] = quote(v)
		}
	}
	return " (" + strings.Join(words, ",") + ")"
}

func slashed(of, results []int) string {
	if of == nil && results == nil {
		return ""
	}
	join := func(ns []int) string { return strings.Trim(strings.ReplaceAll(fmt.Sprint(ns), " ", ","), "[]") }
	return " /" + join(of) + "/" + join(results)
}

// plain says whether a word needs no quotes.
func plain(w string) bool {
	for i := range len(w) {
		if c := w[i] | 0x20; c < 'a' || c > 'z' {
			if !digit(w[i]) && w[i] != '_' && w[i] != '.' && w[i] != '+' {
				return false
			}
		}
	}
	return w != ""
}

func bare(name string) string {
	switch {
	case name == "":
		return "-"
	case plain(name):
		return name
	}
	return quote([]byte(name))
}

func quote(b []byte) string {
	if utf8.Valid(b) && strconv.CanBackquote(string(b)) {
		return "`" + string(b) + "`"
	}
	return strconv.Quote(string(b))
}
