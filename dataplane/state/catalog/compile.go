package catalog

import (
	"slices"
	"strconv"
	"strings"
	"unsafe"

	"github.com/heliosproxy/heliosproxy/pkg/planted"
	"github.com/heliosproxy/heliosproxy/pkg/sqlparse"
)

// Facts are what a catalogue says, by name. They are immutable.
type Facts struct {
	parameters []string // custom ones that code sets
	functions  table[Reach]
	attributes table[Reach] // functions that x.NAME may call
	operators  table[Reach]
	types      table[struct{}]
	relations  table[accesses]
	reasons    map[sqlparse.Name]string // of relations that are suspect

	always  Reach // what every statement reaches
	because string
	upkeep  Reach // what VACUUM and ANALYZE reach that name no relation
}

// accesses has, for each bit of a Reach, by which accesses to a relation that is reached.
type accesses [3]sqlparse.Access

// any is every access but the definition, which is [sqlparse.Changes].
const anyAccess = sqlparse.Reads | sqlparse.Inserts | sqlparse.Updates | sqlparse.Deletes | sqlparse.Truncates

const writes = sqlparse.Inserts | sqlparse.Updates | sqlparse.Deletes

// maxParameters is how many parameters that code sets are kept.
const maxParameters = 256

// maxReasons is of how many relations the reason is kept.
const maxReasons = 1000

// Compile makes facts of a reading. safe are functions that are declared safe, NAME or SCHEMA.NAME.
func Compile(rows []Row, safe []string) *Facts {
	c := compiler{
		graph: newGraph(), safe: map[string]bool{}, aggregates: map[uint32]bool{}, kinds: map[uint32]string{}, names: map[uint32]string{},
		ties: map[uint32][]*Row{}, known: strings.Fields(known),
	}
	for _, s := range safe {
		c.safe[s] = true
	}
	for _, r := range rows {
		switch r.What {
		case AggregateRow:
			c.aggregates[r.A] = true
		case RelationRow:
			c.kinds[r.A] = r.X
		case FunctionRow, OperatorRow:
			c.names[r.A] = r.S + "." + r.N
		}
	}
	for i := range rows {
		c.add(&rows[i])
	}
	c.graph.close(c.above)
	return c.facts(rows)
}

// compiler makes facts.
type compiler struct {
	parameters []string
	graph      *graph
	safe       map[string]bool
	aggregates map[uint32]bool
	kinds      map[uint32]string // of relations
	names      map[uint32]string // of functions and operators
	ties       map[uint32][]*Row // of relations with others, from either side
	known      []string
}

// add notes what a row says. To the left of an arrow is who reaches what is to the right of it.
func (c *compiler) add(r *Row) {
	g := c.graph
	if planted.Is(planted.Fault(r.What)) {
		return
	}
	switch r.What {
	case FunctionRow:
		g.seed(g.function(r.A), c.function(r))
	case AggregateRow:
		if !c.isSafe(c.names[r.A]) {
			g.edge(g.function(r.A), c.needed(r, r.X), r)
		}
	case OperatesRow:
		g.edge(g.operator(r.A), g.function(r.B), r)
	case TwinRow:
		g.edge(g.operator(r.A), g.operator(r.B), r)
	case RelationRow:
		c.relation(r)
	case InheritsRow, ReferencesRow:
		c.ties[r.A] = append(c.ties[r.A], r)
		c.ties[r.B] = append(c.ties[r.B], r)
	case TriggerRow:
		g.edges(r.A, events(r.X), g.function(r.B), r)
	case ConditionRow:
		g.edges(r.A, events(r.X), c.needed(r, r.S), r)
	case DefaultRow:
		by := sqlparse.Inserts | sqlparse.Updates // SET x = DEFAULT
		if r.X == "v" {
			by = anyAccess
		}
		g.edges(r.A, by, c.needed(r, r.S), r)
	case IdentityRow:
		g.edges(r.A, sqlparse.Inserts|sqlparse.Updates, g.constant(Sequences), r)
	case RuleRow:
		c.rule(r)
	case CheckRow, PolicyRow, IndexRow, StatisticsRow:
		// Also who only reads: the planner evaluates what is immutable and has constant arguments.
		g.edges(r.A, anyAccess, c.needed(r, r.S), r)
	case PartitionRow:
		g.edge(g.key(r.A), c.needed(r, r.S), r)
	case ParameterRow:
		if len(c.parameters) < maxParameters {
			c.parameters = append(c.parameters, r.N)
		}
	case DomainRow, TypeNeedsRow, CastRow, ClassRow, NeedsRow:
		// No text says when these are called: a parameter may be of the type, any comparison may be the class's.
		g.edge(g.always, c.needed(r, r.S), r)
	}
}

// needed is what a row needs, ref being what B is.
func (c *compiler) needed(r *Row, ref string) int32 {
	switch ref {
	case "operator":
		return c.graph.operator(r.B)
	case "relation", "relid":
		return c.graph.relation(r.B, sqlparse.Reads)
	}
	return c.graph.function(r.B)
}

func (c *compiler) isSafe(qualified string) bool {
	_, name, _ := strings.Cut(qualified, ".")
	return c.safe[qualified] || c.safe[name]
}

// function is what a function reaches by itself.
func (c *compiler) function(r *Row) Reach {
	if planted.Is(planted.Written) && r.X == "" {
		return 0
	}
	if c.safe[r.N] || c.safe[r.S+"."+r.N] {
		return 0
	}
	switch r.X {
	case "builtin":
		return builtin(r.N, c.known)
	case "constructor":
		return 0
	}
	if extension, ok := strings.CutPrefix(r.X, "extension "); ok {
		if but, ok := harmlessExtensions[extension]; ok && !slices.Contains(but, r.N) {
			return 0
		}
	}
	if c.aggregates[r.A] {
		return 0 // what its functions do
	}
	return Suspect
}

// relation notes what a relation does by its kind or name.
func (c *compiler) relation(r *Row) {
	g := c.graph
	if r.X == "f" { // a foreign data wrapper keeps what it likes
		g.edges(r.A, anyAccess, g.constant(Suspect), r)
	}
	if r.S == "pg_catalog" {
		switch r.N {
		case "pg_settings":
			g.edges(r.A, writes, g.constant(Suspect), r) // its rule calls set_config
		case "pg_prepared_statements":
			g.edges(r.A, sqlparse.Reads, g.constant(Sessions), r)
		}
	}
}

// rule notes what a rewrite rule needs. What a rule does to a relation besides selecting from it is not told: anything.
func (c *compiler) rule(r *Row) {
	g := c.graph
	needed := c.needed(r, r.S)
	isRelation := r.S == "relation" || r.S == "relid"
	switch r.X {
	case "1": // of a view
		if c.kinds[r.A] != "v" { // a materialized view is read without it
			return
		}
		g.edges(r.A, sqlparse.Reads, needed, r)
		if isRelation {
			for by := range each(writes) { // it may be updatable
				g.edge(g.relation(r.A, by), g.relation(r.B, by), r)
			}
		}
		return
	case "2", "3", "4":
	default:
		return
	}
	by := map[string]sqlparse.Access{"2": sqlparse.Updates, "3": sqlparse.Inserts, "4": sqlparse.Deletes}[r.X]
	g.edges(r.A, by, needed, r)
	if isRelation {
		for does := range each(writes) {
			g.edges(r.A, by, g.relation(r.B, does), r)
		}
	}
}

// events are the accesses that a trigger is called at, from pg_trigger.tgtype.
func events(tgtype string) (a sqlparse.Access) {
	bits, _ := strconv.Atoi(tgtype)
	for bit, by := range map[int]sqlparse.Access{
		4: sqlparse.Inserts, 8: sqlparse.Deletes, 16: sqlparse.Updates, 32: sqlparse.Truncates,
	} {
		if bits&bit != 0 {
			a |= by
		}
	}
	return a
}

// facts puts the names to what was found.
func (c *compiler) facts(rows []Row) *Facts {
	g := c.graph
	f := &Facts{always: g.reach[g.always], because: c.path(g.always), reasons: map[sqlparse.Name]string{}}
	var functions, attributes, operators []entry[Reach]
	var types []entry[struct{}]
	var relations []entry[accesses]
	builtin := map[string]bool{}
	for i := range rows {
		r := &rows[i]
		name := sqlparse.Name{Schema: r.S, Name: r.N}
		switch r.What {
		case FunctionRow:
			reach := g.reach[g.function(r.A)]
			functions = append(functions, entry[Reach]{name, reach})
			if r.B != 0 && reach != 0 {
				attributes = append(attributes, entry[Reach]{sqlparse.Name{Name: r.N}, reach})
			}
			if r.S == "pg_catalog" {
				builtin[r.N] = true
			}
		case OperatorRow:
			operators = append(operators, entry[Reach]{name, g.reach[g.operator(r.A)]})
		case TypeRow:
			types = append(types, entry[struct{}]{name, struct{}{}})
		case RelationRow:
			by, first := g.accesses(r.A)
			relations = append(relations, entry[accesses]{name, by})
			if first >= 0 && len(f.reasons) < maxReasons {
				f.reasons[name] = c.path(first)
			}
			if r.X != "v" && by[0]&sqlparse.Reads != 0 {
				f.upkeep |= Suspect
			}
		}
	}
	for alias, name := range aliases {
		if builtin[name] && !builtin[alias] {
			functions = append(functions, entry[Reach]{sqlparse.Name{Schema: "pg_catalog", Name: alias}, 0})
		}
	}
	f.parameters = c.parameters
	f.functions, f.attributes, f.operators = newTable(functions), newTable(attributes), newTable(operators)
	f.types, f.relations = newTable(types), newTable(relations)
	return f
}

// Bytes is what the facts take in memory.
func (f *Facts) Bytes() int {
	n := int(unsafe.Sizeof(*f)) + f.functions.bytes(1) + f.attributes.bytes(1) + f.operators.bytes(1) + f.types.bytes(0) +
		f.relations.bytes(int(unsafe.Sizeof(accesses{})))
	for _, p := range f.parameters {
		n += int(unsafe.Sizeof(p)) + len(p)
	}
	for name, why := range f.reasons {
		n += len(name.Schema) + len(name.Name) + len(why) + 64
	}
	return n
}
