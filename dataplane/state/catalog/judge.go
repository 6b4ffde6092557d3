package catalog

import (
	"github.com/heliosproxy/heliosproxy/pkg/planted"
	"github.com/heliosproxy/heliosproxy/pkg/sqlparse"
)

// code is what runs code that no name tells. What changes the catalogue calls event triggers, and what it makes may be
// called in the same text.
const code = sqlparse.RunsCode | sqlparse.Calls | sqlparse.Executes | sqlparse.Loads | sqlparse.Changes

// finding hears of what makes a statement reach something; kind and name are what does.
type finding func(reach Reach, kind string, name sqlparse.Name)

// reach is what a text with these facts can reach. hear may be nil.
func (f *Facts) reach(text *sqlparse.Facts, hear finding) (r Reach) {
	note := func(reach Reach, kind string, name sqlparse.Name) {
		r |= reach
		if hear != nil && reach != 0 {
			hear(reach, kind, name)
		}
	}
	note(f.always, "everything", sqlparse.Name{})
	if text == nil {
		note(Suspect, "the text is not understood", sqlparse.Name{})
		return r
	}
	if runs(text)&code != 0 {
		note(Suspect, "the statement runs code that its text does not show", sqlparse.Name{})
	}
	if text.Does&sqlparse.Other != 0 {
		note(f.upkeep, "upkeep", sqlparse.Name{})
	}
	for _, n := range text.Functions {
		known := f.functions.find(n, func(has sqlparse.Name, reach Reach) { note(reach, "function", has) })
		if !known && !f.isType(n) { // f(x) may be a cast
			note(Suspect, "unknown function", n)
		}
	}
	for _, n := range text.Operators {
		if !f.operators.find(n, func(has sqlparse.Name, reach Reach) { note(reach, "operator", has) }) {
			note(Suspect, "unknown operator", n)
		}
	}
	for _, n := range text.Types {
		if !f.isType(n) {
			note(Suspect, "unknown type", n)
		}
	}
	for _, a := range text.Attributes {
		f.attributes.find(sqlparse.Name{Name: a}, func(has sqlparse.Name, reach Reach) { note(reach, "function", has) })
	}
	for _, rel := range text.Relations {
		known := f.relations.find(rel.Name, func(has sqlparse.Name, by accesses) {
			note(by.reach(rel.Access), "relation", has)
		})
		if !known {
			note(Suspect, "unknown relation", rel.Name)
		}
	}
	return r
}

// runs is what a text does, but in builds that are to miss some of it.
func runs(text *sqlparse.Facts) sqlparse.Does {
	if planted.Is(planted.Do) {
		return text.Does &^ sqlparse.RunsCode
	}
	return text.Does
}

// isType says whether there is such a type. A relation's rows are of one.
func (f *Facts) isType(n sqlparse.Name) bool {
	return f.types.find(n, func(sqlparse.Name, struct{}) {}) || f.relations.find(n, func(sqlparse.Name, accesses) {})
}

// reach is what an access reaches.
func (a *accesses) reach(by sqlparse.Access) (r Reach) {
	if by&sqlparse.Defines != 0 {
		by |= anyAccess
	}
	for bit := range a {
		if a[bit]&by != 0 {
			r |= 1 << bit
		}
	}
	return r
}

// byName is what a text reaches by the names of functions alone, where nothing else is known.
func byName(text *sqlparse.Facts) (r Reach) {
	if text == nil {
		return 0
	}
	for _, n := range text.Functions {
		r |= listed[n.Name]
	}
	return r
}
