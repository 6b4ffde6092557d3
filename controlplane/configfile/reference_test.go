package configfile

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/heliosproxy/heliosproxy/controlplane/configfile/document"
	"github.com/heliosproxy/heliosproxy/controlplane/configfile/later"
)

const (
	docPath  = "../../docs/configuration.md"
	docBegin = "<!-- generated from controlplane/configfile: go test ./controlplane/configfile -update -->\n"
	docEnd   = "<!-- end -->\n"
)

// TestReference wants docs/configuration.md to describe the table of keys exactly.
func TestReference(t *testing.T) {
	data, err := os.ReadFile(docPath)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok1 := strings.Cut(string(data), docBegin)
	got, after, ok2 := strings.Cut(rest, docEnd)
	if !ok1 || !ok2 {
		t.Fatalf("%s lost the marks around its generated part", docPath)
	}
	want := reference()
	if flag.Lookup("update").Value.String() == "true" {
		if err := os.WriteFile(docPath, []byte(before+docBegin+want+docEnd+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if got != want {
		t.Errorf("%s is not what the table of keys says; run this test with -update", docPath)
	}
}

// reference is a section a key, and a table of those that come later.
func reference() string {
	var b strings.Builder
	spellings := map[string]string{}
	for alias, own := range aliases() {
		spellings[own] = alias
	}
	table := ""
	for _, k := range keys() {
		if t := tableOf(k.name); t != table {
			table = t
			fmt.Fprintf(&b, "\n## %s\n", heading(t))
		}
		fmt.Fprintf(&b, "\n### `%s`\n\n%s\n\n%s\n", k.name, k.doc, facts(k))
		if alias := spellings[k.name]; alias != "" {
			fmt.Fprintf(&b, "\nAlso spelt `%s`.\n", alias)
		}
	}
	b.WriteString("\n## Not in this release\n\nEach of these keys gives one warning.\n\n| key | what happens instead |\n|---|---|\n")
	for _, l := range later.Keys() {
		var names []string
		for name := range strings.FieldsSeq(l.Keys) {
			names = append(names, "`"+document.Join(l.Table, name)+"`")
		}
		fmt.Fprintf(&b, "| %s | %s |\n", strings.Join(names, ", "), l.Instead)
	}
	b.WriteString("\nThese would keep somebody out or hide something. They are errors unless they are switched off.\n\n| key | without it | switched off by |\n|---|---|---|\n")
	b.WriteString("| `auth.mode = \"passthrough\"` | nobody would be asked for a password | another mode |\n")
	for _, d := range later.Doors() {
		off := "removing it"
		if d.Off != "" {
			off = "`" + d.Off + " = false`"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", d.Name, d.Instead, off)
	}
	return b.String()
}

func tableOf(name string) string { return name[:strings.LastIndexByte(name, '.')] }

func heading(table string) string {
	list, rest, nested := strings.Cut(table, ".")
	switch {
	case !slices.Contains(lists(), list):
		return "`[" + table + "]`"
	case nested:
		return "`" + rest + "` of `[[" + list + "]]`"
	}
	return "`[[" + list + "]]`"
}

// facts is the type, the range and the default of a key.
func facts(k key) string {
	var f []string
	switch k.kind {
	case integer:
		f = append(f, fmt.Sprintf("A whole number, %d to %d.", k.min, k.max))
	case boolean:
		f = append(f, "`true` or `false`.")
	case texts:
		f = append(f, "A list of texts.")
	case pairs:
		f = append(f, "A table of texts.")
	default:
		if k.words == nil {
			f = append(f, "A text.")
			break
		}
		quoted := make([]string, len(k.words))
		for i, w := range k.words {
			quoted[i] = fmt.Sprintf("`%q`", w)
		}
		f = append(f, strings.ToUpper(orList(quoted)[:1])+orList(quoted)[1:]+".")
	}
	switch v := k.def.(type) {
	case nil:
		f = append(f, "No default.")
	case string:
		f = append(f, fmt.Sprintf("Default `%q`.", v))
	default:
		f = append(f, fmt.Sprintf("Default `%v`.", v))
	}
	return strings.Join(f, " ")
}

// TestTables wants no key in two tables, and every alias and switch to be a key.
func TestTables(t *testing.T) {
	s := newSchema()
	for name := range s.keys {
		if _, ok := s.laters[name]; ok {
			t.Errorf("%s has an effect and comes later", name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(s.aliases)) {
		_, isKey := s.keys[s.aliases[name]]
		_, isLater := s.laters[s.aliases[name]]
		if !isKey && !isLater {
			t.Errorf("%s is another spelling of %s, which is no key", name, s.aliases[name])
		}
	}
	for _, d := range s.doors {
		if _, ok := s.laters[d.Off]; d.Off != "" && !ok {
			t.Errorf("%s is switched off by %s, which is no key", d.Name, d.Off)
		}
	}
	count := 0
	for _, l := range later.Keys() {
		count += len(strings.Fields(l.Keys))
	}
	if count != len(s.laters) {
		t.Errorf("%d keys that come later, %d of them different", count, len(s.laters))
	}
}

func TestDistance(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"a", "", 1}, {"", "ab", 2}, {"kitten", "sitting", 3}, {"listen_adress", "listen_address", 1}} {
		if got := distance(tt.a, tt.b); got != tt.want {
			t.Errorf("distance(%q, %q) = %d, want %d", tt.a, tt.b, got, tt.want)
		}
	}
}
