// Package settings is what a session has set: values of run-time parameters that differ from the server's defaults, as one comparable value. It never talks to a server; it says in SQL how to get from one set to another.
package settings

import (
	"iter"
	"sort"
	"strconv"
	"strings"
	"unique"
)

// Set is an immutable set of parameter values. Two sets with the same content are equal by ==. The
// zero Set is empty: every parameter has the server's default.
//
// Names are lower case, as PostgreSQL compares them without regard to case; values are spelled as
// current_setting gives them, or as a client wrote them at start-up.
type Set struct {
	h unique.Handle[string] // name NUL value NUL …, by name
}

// Pair is a parameter and its value.
type Pair struct{ Name, Value string }

// Of returns the set of the given pairs. Of two with one name the later counts.
func Of(pairs ...Pair) Set {
	if len(pairs) == 0 {
		return Set{}
	}
	ps := make([]Pair, 0, len(pairs))
	for _, p := range pairs {
		p.Name = strings.ToLower(p.Name)
		ps = append(ps, p)
	}
	sort.SliceStable(ps, func(i, j int) bool { return ps[i].Name < ps[j].Name })
	var b strings.Builder
	for i, p := range ps {
		if i+1 < len(ps) && ps[i+1].Name == p.Name {
			continue
		}
		b.WriteString(p.Name)
		b.WriteByte(0)
		b.WriteString(p.Value)
		b.WriteByte(0)
	}
	return Set{unique.Make(b.String())}
}

// text returns the encoded set.
func (s Set) text() string {
	if s == (Set{}) {
		return ""
	}
	return s.h.Value()
}

// next cuts the first pair off an encoded set.
func next(t string) (name, value, rest string) {
	i := strings.IndexByte(t, 0)
	name, t = t[:i], t[i+1:]
	i = strings.IndexByte(t, 0)
	return name, t[:i], t[i+1:]
}

// All yields the pairs by name.
func (s Set) All() iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		for t := s.text(); t != ""; {
			var n, v string
			n, v, t = next(t)
			if !yield(n, v) {
				return
			}
		}
	}
}

// Get returns the value of name, which is lower case.
func (s Set) Get(name string) (string, bool) {
	for t := s.text(); t != ""; {
		var n, v string
		if n, v, t = next(t); n == name {
			return v, true
		}
	}
	return "", false
}

// Len is how long names and values are together, in bytes, and some more.
func (s Set) Len() int { return len(s.text()) }

// Has says whether s has a value of name, which is lower case.
func (s Set) Has(name string) bool {
	_, in := s.Get(name)
	return in
}

// Who says whether s says who one is.
func (s Set) Who() bool { return s.Has(role) || s.Has(sessionAuthorization) }

// Hurries says whether a statement is cut off after less than a second, as far as the set says. Values are as PostgreSQL reads them:
// milliseconds, where no unit is given.
func (s Set) Hurries() bool {
	for _, name := range [...]string{"statement_timeout", "transaction_timeout"} {
		v, _ := s.Get(name)
		n, err := strconv.Atoi(strings.TrimSuffix(v, "ms"))
		if err == nil && n > 0 && n < 1000 || err != nil && (strings.Contains(v, ".") || strings.HasSuffix(v, "us")) {
			return true
		}
	}
	return false
}

// StdStrings is standard_conforming_strings.
func (s Set) StdStrings() bool {
	v, ok := s.Get("standard_conforming_strings")
	return !ok || v != "off"
}

// Change returns s with the given pairs set and the given names at their defaults.
func (s Set) Change(set []Pair, reset []string) Set {
	var ps []Pair
	for n, v := range s.All() {
		if !contains(reset, n) {
			ps = append(ps, Pair{n, v})
		}
	}
	return Of(append(ps, set...)...)
}

// Over returns s laid over base: the pairs of both, those of s where both have one.
func (s Set) Over(base Set) Set {
	if base == (Set{}) {
		return s
	}
	var ps []Pair
	for n, v := range base.All() {
		ps = append(ps, Pair{n, v})
	}
	for n, v := range s.All() {
		ps = append(ps, Pair{n, v})
	}
	return Of(ps...)
}

// Only returns the pairs of s whose name keep accepts.
func (s Set) Only(keep func(name string) bool) Set {
	var ps []Pair
	for n, v := range s.All() {
		if keep(n) {
			ps = append(ps, Pair{n, v})
		}
	}
	return Of(ps...)
}

// Planner returns the part of s that parse analysis and planning read. A prepared statement means the
// same under two sets whose Planner is equal: PostgreSQL makes constants of literals at Parse.
func (s Set) Planner() Set {
	if s == (Set{}) {
		return s
	}
	return s.Only(readByPlanner)
}

// Custom returns the part of s that is custom parameters.
func (s Set) Custom() Set {
	if s == (Set{}) || !strings.Contains(s.text(), ".") {
		return Set{}
	}
	return s.Only(func(name string) bool { return strings.IndexByte(name, '.') > 0 })
}

// Differences yields each name whose value is not the same in from and to; in says whether to has one.
func Differences(from, to Set, yield func(name, value string, in bool)) {
	if from == to {
		return
	}
	a, b := from.text(), to.text()
	for a != "" || b != "" {
		var an, av, bn, bv string
		ar, br := a, b
		if a != "" {
			an, av, ar = next(a)
		}
		if b != "" {
			bn, bv, br = next(b)
		}
		switch {
		case b == "" || a != "" && an < bn:
			yield(an, "", false)
			a = ar
		case a == "" || bn < an:
			yield(bn, bv, true)
			b = br
		default:
			if av != bv {
				yield(bn, bv, true)
			}
			a, b = ar, br
		}
	}
}

func contains(names []string, n string) bool {
	for _, x := range names {
		if x == n {
			return true
		}
	}
	return false
}
