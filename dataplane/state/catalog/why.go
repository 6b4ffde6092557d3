package catalog

import (
	"fmt"
	"strings"

	"github.com/heliosproxy/heliosproxy/pkg/sqlparse"
)

// maxSteps is how many steps of a path are told.
const maxSteps = 6

// path says in words by what a node came to be suspect.
func (c *compiler) path(n int32) string {
	g := c.graph
	var steps []string
	for e := g.via[n]; e != nil && len(steps) < maxSteps; e = g.via[n] {
		if e.row != nil {
			steps = append(steps, c.step(e.row))
		}
		n = e.to
	}
	if k := g.keys[n]; k.kind == 'f' || k.kind == 'o' {
		name := c.names[k.oid]
		if name == "" {
			name = fmt.Sprintf("the unknown function %d", k.oid)
		}
		steps = append(steps, name)
	}
	return strings.Join(steps, ", then ")
}

// step is a row in words.
func (c *compiler) step(r *Row) string {
	switch r.What {
	case RelationRow:
		if r.X == "f" {
			return "the foreign table " + r.N
		}
		return r.N
	case InheritsRow:
		return "a table below it"
	case ReferencesRow:
		return "a foreign key"
	}
	if r.N == "" {
		return string(r.What)
	}
	return string(r.What) + " " + r.N
}

// why says what makes a text suspect.
func (f *Facts) why(text *sqlparse.Facts) (words string) {
	f.reach(text, func(reach Reach, kind string, name sqlparse.Name) {
		if words != "" || reach&Suspect == 0 {
			return
		}
		full := name.Name
		if name.Schema != "" {
			full = name.Schema + "." + name.Name
		}
		switch kind {
		case "everything":
			words = "every statement may reach code that is not known: " + f.because
		case "upkeep":
			words = "the upkeep of some table reaches code that is not known"
		case "function", "operator":
			words = fmt.Sprintf("%s %s may leave something, or is not known to leave nothing", kind, full)
		case "relation":
			words = fmt.Sprintf("relation %s reaches code that is not known", full)
			if why := f.reasons[name]; why != "" {
				words += ": " + why
			}
		default:
			words = kind
			if full != "" {
				words += " " + full
			}
		}
	})
	return words
}
