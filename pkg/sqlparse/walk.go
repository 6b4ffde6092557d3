package sqlparse

import (
	"slices"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// walker collects facts from a tree. It visits every message of the tree: what it does not know it walks through, so that
// nothing is missed for being in a place that nobody thought of.
type walker struct {
	facts     *Facts
	ctes      []string // names of WITH that are in scope
	temporary bool     // the schema pg_temp is named
}

// walk visits m and what is in it. access is what is done to relations that are named directly below.
func (w *walker) walk(m protoreflect.Message, access Access) {
	scope := len(w.ctes)
	with := m.Descriptor().Fields().ByName("with_clause")
	if with != nil && m.Has(with) {
		w.with(m.Get(with).Message())
	}
	access = w.visit(m, access)
	m.Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case fd == with || fd.Name() == "locked_rels": // the latter are aliases
		case fd.Kind() == protoreflect.StringKind && !fd.IsList():
			w.temporary = w.temporary || strings.HasPrefix(v.String(), "pg_temp")
		case fd.Kind() != protoreflect.MessageKind:
		case fd.IsList():
			under := below(fd, access)
			for i := range v.List().Len() {
				w.walk(v.List().Get(i).Message(), under)
			}
		default:
			w.walk(v.Message(), below(fd, access))
		}
		return true
	})
	w.ctes = w.ctes[:scope]
}

// with walks through the queries of a WITH clause and leaves its names in scope. In a query of the clause those before it are, with
// RECURSIVE all.
func (w *walker) with(clause protoreflect.Message) {
	fields := clause.Descriptor().Fields()
	list := clause.Get(fields.ByName("ctes")).List()
	recursive := clause.Get(fields.ByName("recursive")).Bool()
	name := func(i int) string {
		cte := inner(list.Get(i).Message())
		return cte.Get(cte.Descriptor().Fields().ByName("ctename")).String()
	}
	if recursive {
		for i := range list.Len() {
			w.ctes = append(w.ctes, name(i))
		}
	}
	for i := range list.Len() {
		w.walk(list.Get(i).Message(), Reads)
		if !recursive {
			w.ctes = append(w.ctes, name(i))
		}
	}
}

// below is what is done to relations in a field of a message that does access to what it is about: what it takes rows from it reads.
func below(fd protoreflect.FieldDescriptor, access Access) Access {
	switch fd.FullName() {
	case "pg_query.UpdateStmt.from_clause", "pg_query.DeleteStmt.using_clause", "pg_query.MergeStmt.source_relation",
		"pg_query.TableLikeClause.relation":
		return Reads
	}
	return access
}

// inner is the message that a Node holds.
func inner(m protoreflect.Message) protoreflect.Message {
	if node := m.Descriptor().Oneofs().ByName("node"); node != nil {
		if fd := m.WhichOneof(node); fd != nil {
			return m.Get(fd).Message()
		}
	}
	return m
}

// relation notes a relation, unless it is the name of a query of WITH.
func (w *walker) relation(name Name, access Access) {
	if name.Schema == "" && access == Reads && slices.Contains(w.ctes, name.Name) {
		return
	}
	list := w.facts.Relations
	i := slices.IndexFunc(list, func(r Relation) bool { return r.Name == name })
	if i < 0 {
		w.facts.Relations = append(list, Relation{name, access})
		return
	}
	list[i].Access |= access
}

// note adds what is not there to a list.
func note[T comparable](list *[]T, what T) {
	if !slices.Contains(*list, what) {
		*list = append(*list, what)
	}
}
