package pgbouncer

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// document is a proxy.toml while it is written. Each line knows what it comes from.
type document struct {
	tables map[string]*element
	lists  map[string][]*element
}

// element is a table, or one of a list of tables.
type element struct{ lines []line }

type line struct {
	text string
	from origin
}

// origin is what a line of the document comes from.
type origin struct {
	place
	key string // of the ini, as findings have it
}

func newDocument() *document {
	return &document{tables: map[string]*element{}, lists: map[string][]*element{}}
}

// table returns the table of a name.
func (d *document) table(name string) *element {
	if d.tables[name] == nil {
		d.tables[name] = &element{}
	}
	return d.tables[name]
}

// element begins another element of a list.
func (d *document) element(list string) *element {
	e := &element{}
	d.lists[list] = append(d.lists[list], e)
	return e
}

func (e *element) set(from origin, key string, value any) {
	e.lines = append(e.lines, line{key + " = " + literal(value), from})
}

// comment is a line of its own: a value on a commented line would have its variables filled in.
func (e *element) comment(from origin, format string, args ...any) {
	e.lines = append(e.lines, line{"# " + fmt.Sprintf(format, args...), from})
}

// says is whether there is more than comments: this release may not know the table.
func (e *element) says() bool {
	return slices.ContainsFunc(e.lines, func(l line) bool { return !strings.HasPrefix(l.text, "#") })
}

// lines are all of the document, in the order of docs/configuration.md.
func (d *document) lines() []line {
	var all []line
	for _, name := range []string{"proxy", "pool", "limits", "auth", "tls", "server_tls", "console"} {
		if e := d.tables[name]; e != nil && e.says() {
			all = append(all, line{}, line{text: "[" + name + "]"})
			all = append(all, e.lines...)
		}
	}
	for _, name := range []string{"peers", "nodes", "databases", "users", "hba"} {
		for _, e := range d.lists[name] {
			all = append(all, line{}, line{"[[" + name + "]]", e.lines[0].from})
			all = append(all, e.lines...)
		}
	}
	return all
}

// literal is a value as TOML has it.
func literal(value any) string {
	switch v := value.(type) {
	case string:
		return quote(v)
	case []string:
		quoted := make([]string, len(v))
		for i, s := range v {
			quoted[i] = quote(s)
		}
		return "[" + strings.Join(quoted, ", ") + "]"
	}
	return fmt.Sprint(value)
}

// quote is a text in quotes. What would be a variable of the file is written so that it is none.
func quote(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for i, c := range s {
		switch {
		case c == '"' || c == '\\':
			b.WriteByte('\\')
			b.WriteRune(c)
		case c < ' ' || c == 0x7f || c == '$' && strings.HasPrefix(s[i:], "${"):
			fmt.Fprintf(&b, `\u%04X`, c)
		case c == utf8.RuneError && !strings.HasPrefix(s[i:], string(utf8.RuneError)):
			b.WriteString(`\uFFFD`) // what is not UTF-8 is refused before
		default:
			b.WriteRune(c)
		}
	}
	b.WriteByte('"')
	return b.String()
}
