package catalog

import (
	"slices"
	"strings"
	"testing"

	"github.com/heliosproxy/heliosproxy/pkg/sqlparse"
)

// small is a catalogue made by hand.
var small = []Row{
	{What: FunctionRow, A: 10, S: "pg_catalog", N: "upper", X: "builtin"},
	{What: FunctionRow, A: 11, S: "pg_catalog", N: "set_config", X: "builtin"},
	{What: FunctionRow, A: 12, S: "pg_catalog", N: "nextval", X: "builtin"},
	{What: FunctionRow, A: 13, S: "pg_catalog", N: "of_postgresql_19", X: "builtin"},
	{What: FunctionRow, A: 14, S: "pg_catalog", N: "date_part", X: "builtin"},
	{What: FunctionRow, A: 15, S: "pg_catalog", N: "binary_upgrade_set_next_pg_type_oid", X: "builtin"},
	{What: FunctionRow, A: 20, S: "public", N: "written"},
	{What: FunctionRow, A: 21, S: "public", N: "of_row", B: 1},
	{What: FunctionRow, A: 22, S: "public", N: "trusted"},
	{What: FunctionRow, A: 23, S: "app", N: "trusted_there"},
	{What: FunctionRow, A: 24, S: "public", N: "trusted_there"},
	{What: FunctionRow, A: 25, S: "public", N: "hstore_to_json", X: "extension hstore"},
	{What: FunctionRow, A: 26, S: "public", N: "isn_weak", X: "extension isn"},
	{What: FunctionRow, A: 27, S: "public", N: "st_area", X: "extension postgis"},
	{What: FunctionRow, A: 28, S: "app", N: "upper"},
	{What: FunctionRow, A: 30, S: "public", N: "sum_of", X: ""},
	{What: AggregateRow, A: 30, B: 10},
	{What: FunctionRow, A: 31, S: "public", N: "sum_by"},
	{What: AggregateRow, A: 31, B: 20},
	{What: FunctionRow, A: 32, S: "public", N: "trusted_sum"},
	{What: AggregateRow, A: 32, B: 20},
	{What: FunctionRow, A: 33, S: "public", N: "max_by"},
	{What: AggregateRow, A: 33, B: 41, X: "operator"},
	{What: OperatorRow, A: 40, S: "pg_catalog", N: "+"},
	{What: OperatorRow, A: 41, S: "public", N: "<~>"},
	{What: OperatesRow, A: 41, B: 20},
	{What: TypeRow, S: "pg_catalog", N: "int4"},
	{What: RelationRow, A: 50, S: "public", N: "t", X: "r"},
	{What: RelationRow, A: 51, S: "public", N: "triggered", X: "r"},
	{What: TriggerRow, A: 51, B: 20, N: "z", X: "5"}, // after insert, each row
	{What: RelationRow, A: 52, S: "app", N: "triggered", X: "r"},
	{What: RelationRow, A: 53, S: "public", N: "lost", X: "r"},
	{What: CheckRow, A: 53, B: 99, S: "function"}, // nobody says what 99 is
	{What: RelationRow, A: 54, S: "public", N: "v", X: "v"},
	{What: RuleRow, A: 54, B: 51, S: "relation", X: "1"},
	{What: RelationRow, A: 55, S: "public", N: "loop", X: "v"}, // no database has that
	{What: RuleRow, A: 55, B: 55, S: "relation", X: "1"},
	{What: RelationRow, A: 56, S: "public", N: "serial", X: "r"},
	{What: DefaultRow, A: 56, B: 12, S: "funcid"},
	{What: RelationRow, A: 57, S: "public", N: "virtual", X: "r"},
	{What: DefaultRow, A: 57, B: 20, S: "function", X: "v"},
	{What: RelationRow, A: 58, S: "public", N: "foreign", X: "f"},
}

var smallSafe = []string{"trusted", "app.trusted_there", "trusted_sum"}

func names(list ...string) []sqlparse.Name {
	var ns []sqlparse.Name
	for _, s := range list {
		schema, name, ok := strings.Cut(s, ".")
		if !ok {
			schema, name = "", s
		}
		ns = append(ns, sqlparse.Name{Schema: schema, Name: name})
	}
	return ns
}

func relation(name string, by sqlparse.Access) *sqlparse.Facts {
	return &sqlparse.Facts{Relations: []sqlparse.Relation{{Name: names(name)[0], Access: by}}}
}

func TestJudge(t *testing.T) {
	functions := func(list ...string) *sqlparse.Facts { return &sqlparse.Facts{Functions: names(list...)} }
	h := NewHandle(nil)
	h.Publish(Compile(small, smallSafe), h.Mark())
	for _, c := range []struct {
		what string
		text *sqlparse.Facts
		want Reach
	}{
		{"nothing", &sqlparse.Facts{}, 0},
		{"not understood", nil, Suspect},
		{"DO", &sqlparse.Facts{Does: sqlparse.RunsCode}, Suspect},
		{"CALL", &sqlparse.Facts{Does: sqlparse.Calls}, Suspect},
		{"EXECUTE", &sqlparse.Facts{Does: sqlparse.Executes}, Suspect},
		{"LOAD", &sqlparse.Facts{Does: sqlparse.Loads}, Suspect},
		{"DDL", &sqlparse.Facts{Does: sqlparse.Changes}, Suspect},
		{"what the text itself tells", &sqlparse.Facts{Does: sqlparse.Sets | sqlparse.Listens | sqlparse.Prepares | sqlparse.HoldsCursor | sqlparse.MakesTemp | sqlparse.Controls | sqlparse.Copies | sqlparse.Writes | sqlparse.Moment}, 0},
		{"upkeep", &sqlparse.Facts{Does: sqlparse.Other}, Suspect}, // of the tables that reading is suspect of

		{"built in", functions("pg_catalog.upper"), 0},
		{"of any schema", functions("upper"), Suspect},
		{"not harmless", functions("set_config"), Suspect},
		{"a sequence", functions("nextval"), Sequences},
		{"of a PostgreSQL that nobody has read", functions("of_postgresql_19"), Suspect},
		{"for upgrades", functions("binary_upgrade_set_next_pg_type_oid"), Suspect},
		{"as the grammar calls it", functions("pg_catalog.extract"), 0},
		{"unknown", functions("nobodys"), Suspect},
		{"unknown in that schema", functions("app.written"), Suspect},
		{"several", functions("pg_catalog.upper", "nextval", "written"), Suspect | Sequences},
		{"declared", functions("trusted", "public.trusted", "trusted_sum"), 0},
		{"declared in that schema", functions("app.trusted_there"), 0},
		{"declared in one of two schemas", functions("trusted_there"), Suspect},
		{"of a harmless extension", functions("hstore_to_json"), 0},
		{"the exception of a harmless extension", functions("isn_weak"), Suspect},
		{"of another extension", functions("st_area"), Suspect},
		{"an aggregate of what is built in", functions("sum_of"), 0},
		{"an aggregate of what is written", functions("sum_by"), Suspect},
		{"an aggregate with an operator", functions("max_by"), Suspect},
		{"a cast that looks like a call", functions("int4"), 0},

		{"a column", &sqlparse.Facts{Attributes: []string{"written", "id"}}, 0},
		{"a function that looks like a column", &sqlparse.Facts{Attributes: []string{"of_row"}}, Suspect},
		{"an operator", &sqlparse.Facts{Operators: names("+", "pg_catalog.+")}, 0},
		{"an operator that is written", &sqlparse.Facts{Operators: names("<~>")}, Suspect},
		{"an unknown operator", &sqlparse.Facts{Operators: names("=")}, Suspect},
		{"types", &sqlparse.Facts{Types: names("pg_catalog.int4", "t")}, 0},
		{"an unknown type", &sqlparse.Facts{Types: names("money")}, Suspect},

		{"a table", relation("t", anyAccess), 0},
		{"an unknown table", relation("u", sqlparse.Reads), Suspect},
		{"a temporary table", relation("pg_temp.t", sqlparse.Reads), Suspect},
		{"insert", relation("triggered", sqlparse.Inserts), Suspect},
		{"insert and read", relation("triggered", sqlparse.Inserts|sqlparse.Reads), Suspect},
		{"update", relation("triggered", sqlparse.Updates), 0},
		{"the other schema's", relation("app.triggered", sqlparse.Inserts), 0},
		{"define", relation("triggered", sqlparse.Defines), Suspect},
		{"what nobody has told of", relation("lost", sqlparse.Reads), Suspect},
		{"read a view", relation("v", sqlparse.Reads), 0},
		{"write through a view", relation("v", sqlparse.Inserts), Suspect},
		{"a loop", relation("loop", anyAccess), 0},
		{"a default", relation("serial", sqlparse.Inserts), Sequences},
		{"a default that is not used", relation("serial", sqlparse.Reads|sqlparse.Deletes), 0},
		{"a virtual column", relation("virtual", sqlparse.Reads), Suspect},
		{"a foreign table", relation("foreign", sqlparse.Reads), Suspect},
	} {
		got, _ := h.Judge(c.text)
		if got != c.want {
			t.Errorf("%s: %03b, want %03b (%s)", c.what, got, c.want, h.Why(c.text))
		}
		if (h.Why(c.text) != "") != (got&Suspect != 0) {
			t.Errorf("%s: %03b because %q", c.what, got, h.Why(c.text))
		}
	}
}

// TestWhy is what users read.
func TestWhy(t *testing.T) {
	h := NewHandle(nil)
	h.Publish(Compile(small, nil), h.Mark())
	for want, text := range map[string]*sqlparse.Facts{
		"function public.written may leave something, or is not known to leave nothing": {Functions: names("pg_catalog.upper", "written")},
		"unknown function app.nobodys": {Functions: names("app.nobodys")},
		"relation public.triggered reaches code that is not known: trigger z, then public.written":    relation("triggered", sqlparse.Inserts),
		"relation public.v reaches code that is not known: rule, then trigger z, then public.written": relation("v", sqlparse.Inserts),
		"relation public.lost reaches code that is not known: check, then the unknown function 99":    relation("lost", sqlparse.Reads),
	} {
		if got := h.Why(text); got != want {
			t.Errorf("says %q, want %q", got, want)
		}
	}
	h.Publish(Compile(append([]Row{{What: CastRow, B: 20, S: "function", N: "a to b"}}, small...), nil), h.Mark())
	if got, want := h.Why(&sqlparse.Facts{}), "every statement may reach code that is not known: cast a to b, then public.written"; got != want {
		t.Errorf("says %q, want %q", got, want)
	}
}

// TestBuiltin holds the two lists of functions against each other.
func TestBuiltin(t *testing.T) {
	names := strings.Fields(known)
	if !slices.IsSorted(names) || len(names) < 2800 {
		t.Errorf("%d names are known, sorted %v", len(names), slices.IsSorted(names))
	}
	for n := range listed {
		if _, ok := slices.BinarySearch(names, n); !ok {
			t.Errorf("%s is listed, but comes with no PostgreSQL", n)
		}
	}
	for alias, n := range aliases {
		if _, ok := slices.BinarySearch(names, n); !ok {
			t.Errorf("%s stands for %s, which comes with no PostgreSQL", alias, n)
		}
	}
}

// TestNames finds names that begin alike, and all that a name may mean.
func TestNames(t *testing.T) {
	table := newTable([]entry[int]{
		{sqlparse.Name{Schema: "b", Name: "x"}, 1},
		{sqlparse.Name{Schema: "a", Name: "x"}, 2},
		{sqlparse.Name{Schema: "a", Name: "x"}, 3},
		{sqlparse.Name{Schema: "a", Name: "xy"}, 4},
		{sqlparse.Name{Name: "ax"}, 5},
		{sqlparse.Name{Schema: "b", Name: "x"}, 1},
		{sqlparse.Name{Schema: "a", Name: ""}, 6},
	})
	for name, want := range map[sqlparse.Name][]int{
		{Name: "x"}: {1, 2, 3}, {Schema: "a", Name: "x"}: {2, 3}, {Schema: "b", Name: "x"}: {1}, {Schema: "c", Name: "x"}: nil,
		{Name: "xy"}: {4}, {Name: "ax"}: {5}, {Schema: "a", Name: ""}: {6}, {Name: "a"}: nil, {Name: "z"}: nil, {}: {6},
	} {
		var got []int
		known := table.find(name, func(_ sqlparse.Name, v int) { got = append(got, v) })
		slices.Sort(got)
		if !slices.Equal(got, want) || known != (want != nil) {
			t.Errorf("%q: %v, want %v", name, got, want)
		}
	}
	empty := newTable[int](nil)
	if empty.find(sqlparse.Name{Name: "x"}, func(sqlparse.Name, int) {}) {
		t.Error("an empty table has a name")
	}
}
