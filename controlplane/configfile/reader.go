package configfile

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/heliosproxy/heliosproxy/controlplane/configfile/document"
	"github.com/heliosproxy/heliosproxy/controlplane/configfile/later"
	"github.com/heliosproxy/heliosproxy/pkg/resource"
)

// reader turns a document into a [File] and its findings.
type reader struct {
	report
	schema    *schema
	root      *document.Node
	settings  *section
	lists     map[string][]*section
	set       *resource.Set
	bootstrap Bootstrap
	origins   map[origin]place
}

// section is the keys that have an effect of one element of a list, or of everything else.
type section struct {
	schema *schema
	line   int
	values map[string]setting // by our spelling
}

// setting is one key of a file. Its value is nil if it is not what the key takes, which was reported.
type setting struct {
	place
	value any // string, int64 or bool
}

// place is where something stands in the file.
type place struct {
	line int
	key  string // as the file spells it
}

// read does everything from the document on.
func (r *reader) read(root *document.Node) {
	r.root = root
	r.settings = r.section(1)
	r.lists = map[string][]*section{}
	r.checkAliases()
	r.table(root, "", r.settings)
	r.build()
	r.validate()
}

func (r *reader) section(line int) *section {
	return &section{schema: r.schema, line: line, values: map[string]setting{}}
}

// checkAliases refuses two spellings that say two things.
func (r *reader) checkAliases() {
	for _, alias := range slices.Sorted(maps.Keys(r.schema.aliases)) {
		own := r.schema.aliases[alias]
		a, b := r.root.Find(alias), r.root.Find(own)
		if a == nil || b == nil || reflect.DeepEqual(a.Value, b.Value) {
			continue
		}
		if a.Line < b.Line {
			a, b, alias, own = b, a, own, alias
		}
		r.fail(a.Line, alias, "differs from %s in line %d, which is the same setting", own, b.Line)
	}
}

// table reads the keys of one table into a section.
func (r *reader) table(t *document.Node, at string, into *section) {
	for _, part := range slices.Sorted(maps.Keys(t.Table)) {
		r.key(t.Table[part], document.Below(at, part), into)
	}
}

// key reads one key: a later.Door, a table, a list of tables, a later feature's, ours, or unknown.
func (r *reader) key(n *document.Node, name string, into *section) {
	if d, ok := r.schema.doors[name]; ok && !r.switchedOff(d, n) {
		advice := "remove it"
		if d.Off != "" {
			advice += " or set " + d.Off + " = false"
		}
		r.fail(n.Line, name, "not in this release, %s; %s", d.Instead, advice)
		return
	}
	own := r.schema.canonical(name)
	if instead, ok := r.schema.instead(own); ok {
		r.warn(n.Line, name, "not in this release, %s", instead)
		return
	}
	isList := slices.Contains(r.schema.lists, name)
	k, isKey := r.schema.keys[own]
	switch {
	case isList && n.List != nil:
		for _, element := range n.List {
			s := r.section(element.Line)
			r.table(element, name, s)
			r.lists[name] = append(r.lists[name], s)
		}
	case isList && n.IsEmpty():
	case isList:
		r.fail(n.Line, name, "is a list of tables: write [[%s]]", name)
	case r.schema.tables[name] && n.Table != nil:
		r.table(n, name, into)
	case isKey:
		into.values[own] = setting{place{n.Line, name}, r.value(k, n, name)}
	case r.schema.tables[name]:
		r.fail(n.Line, name, "is a table: write [%s]", name)
	default:
		r.fail(n.Line, name, "unknown key; the nearest known one is %s", r.schema.nearest(name))
	}
}

// switchedOff says whether a later.Door asks for nothing.
func (r *reader) switchedOff(d later.Door, n *document.Node) bool {
	off := r.root.Find(d.Off)
	return off != nil && off.Value == false
}

// value checks one value against its key and returns it, or nil after a report.
func (r *reader) value(k key, n *document.Node, name string) any {
	switch v := n.Value.(type) {
	case string:
		if k.kind != text {
			break
		}
		if k.words != nil && !slices.Contains(k.words, v) {
			r.fail(n.Line, name, "%s", r.wrongWord(k, v))
			return nil
		}
		return v
	case int64:
		if k.kind != integer {
			break
		}
		if v < k.min || v > k.max {
			r.fail(n.Line, name, "%d is not between %d and %d", v, k.min, k.max)
			return nil
		}
		return v
	case bool:
		if k.kind == boolean {
			return v
		}
	case []any:
		if all, ok := textsOf(v); ok && k.kind == texts {
			return all
		}
	case nil:
		if k.kind == pairs && n.Table != nil {
			all := map[string]string{}
			r.pairs(n, name, "", all)
			return all
		}
	}
	r.fail(n.Line, name, "want %s", [...]string{"a text in quotes", "a whole number", "true or false", "a list of texts in quotes", "a table of texts in quotes"}[k.kind])
	return nil
}

// pairs reads a table of texts; one within it has names with a dot.
func (r *reader) pairs(n *document.Node, at, prefix string, into map[string]string) {
	for _, part := range slices.Sorted(maps.Keys(n.Table)) {
		v, at := n.Table[part], document.Below(at, part)
		switch text, ok := v.Value.(string); {
		case ok:
			into[prefix+part] = text
		case v.Table != nil:
			r.pairs(v, at, prefix+part+".", into)
		default:
			r.fail(v.Line, at, "want a text in quotes")
		}
	}
}

// textsOf returns a list as texts; ok is false where one is none.
func textsOf(list []any) (all []string, ok bool) {
	for _, v := range list {
		s, ok := v.(string)
		if !ok {
			return nil, false
		}
		all = append(all, s)
	}
	return all, true
}

// wrongWord says why a text is none of a key's words.
func (r *reader) wrongWord(k key, v string) string {
	if k.name == "auth.mode" && v == "passthrough" {
		return "passthrough is not in this release, nobody would be asked for a password; set " + orList(k.words)
	}
	return fmt.Sprintf("%q is not %s", v, orList(k.words))
}

func orList(words []string) string {
	last := len(words) - 1
	if last == 0 {
		return words[0]
	}
	return strings.Join(words[:last], ", ") + " or " + words[last]
}

// has says whether the file sets a key rightly.
func (s *section) has(name string) bool { return s.values[name].value != nil }

// at is where a key stands, or where it would stand.
func (s *section) at(name string) place {
	if v, ok := s.values[name]; ok {
		return v.place
	}
	return place{s.line, name}
}

func (s *section) text(name string) string {
	v, _ := s.get(name).(string)
	return v
}

func (s *section) int(name string) int64 {
	v, _ := s.get(name).(int64)
	return v
}

func (s *section) bool(name string) bool {
	v, _ := s.get(name).(bool)
	return v
}

func (s *section) texts(name string) []string {
	v, _ := s.get(name).([]string)
	return v
}

// get is the value that the file or else the table of keys gives.
func (s *section) get(name string) any {
	if v := s.values[name]; v.value != nil {
		return v.value
	}
	return s.schema.keys[name].def
}
