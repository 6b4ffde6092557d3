package configfile

import (
	"maps"
	"slices"
	"strings"

	"github.com/heliosproxy/heliosproxy/controlplane/configfile/document"
	"github.com/heliosproxy/heliosproxy/controlplane/configfile/later"
)

// schema is the tables of keys, by name.
type schema struct {
	keys    map[string]key
	aliases map[string]string
	laters  map[string]string // what happens instead
	doors   map[string]later.Door
	lists   []string
	tables  map[string]bool // every table that has known keys
}

func newSchema() *schema {
	s := &schema{
		keys:    map[string]key{},
		aliases: aliases(),
		laters:  map[string]string{},
		doors:   map[string]later.Door{},
		lists:   lists(),
		tables:  map[string]bool{},
	}
	for _, k := range keys() {
		s.keys[k.name] = k
	}
	for _, l := range later.Keys() {
		for name := range strings.FieldsSeq(l.Keys) {
			s.laters[document.Join(l.Table, name)] = l.Instead
		}
	}
	for _, d := range later.Doors() {
		s.doors[d.Name] = d
	}
	for name := range s.names() {
		for i := range len(name) {
			if name[i] == '.' {
				s.tables[name[:i]] = true
			}
		}
	}
	return s
}

// names yields every known key in every spelling, wildcards without the star.
func (s *schema) names() map[string]bool {
	all := map[string]bool{}
	for name := range s.keys {
		all[name] = true
	}
	for name := range s.aliases {
		all[name] = true
	}
	for name := range s.laters {
		all[strings.TrimSuffix(name, "*")] = true
	}
	for name := range s.doors {
		all[name] = true
	}
	return all
}

// canonical returns our spelling of a key.
func (s *schema) canonical(name string) string {
	if own, ok := s.aliases[name]; ok {
		return own
	}
	return name
}

// instead says what happens instead of a key that is not in this release.
func (s *schema) instead(name string) (string, bool) {
	if clause, ok := s.laters[name]; ok {
		return clause, true
	}
	for i := len(name) - 1; i > 0 && name[i] != '.'; i-- {
		if clause, ok := s.laters[name[:i]+"*"]; ok {
			return clause, true
		}
	}
	return "", false
}

// nearest returns the known key or table that an unknown one most likely means.
func (s *schema) nearest(name string) string {
	known := s.names()
	maps.Copy(known, s.tables)
	best, least := "", 0
	for _, candidate := range slices.Sorted(maps.Keys(known)) {
		d := distance(name, candidate)
		if lastPart(name) == lastPart(candidate) {
			d = min(d, 1) // the right key in the wrong table
		}
		if best == "" || d < least || d == least && len(candidate) < len(best) {
			best, least = candidate, d
		}
	}
	return best
}

// A Form is the kind of value that a key takes.
type Form string

// The forms.
const (
	Text    Form = "a text"
	Number  Form = "a whole number"
	Boolean Form = "true or false"
	Texts   Form = "a list of texts"
	Pairs   Form = "a table of texts"
)

// Takes is what a key takes. Min and Max bound a Number.
type Takes struct {
	Form     Form
	Min, Max int64
}

// Key returns what a key takes, in its own spelling, dotted, that of a list's element as nodes.host; ok is false for one that this build does not
// know or of which it has no use.
func Key(name string) (Takes, bool) {
	for _, k := range keys() {
		if k.name == name {
			return Takes{[...]Form{Text, Number, Boolean, Texts, Pairs}[k.kind], k.min, k.max}, true
		}
	}
	return Takes{}, false
}

func lastPart(name string) string { return name[strings.LastIndexByte(name, '.')+1:] }

// distance is the number of bytes to insert, delete or replace that turn a into b (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			d := diagonal
			if a[i] != b[j] {
				d = 1 + min(diagonal, row[j], row[j+1])
			}
			diagonal, row[j+1] = row[j+1], d
		}
	}
	return row[len(b)]
}
