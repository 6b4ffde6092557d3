// Package sqlparse tells, by PostgreSQL's own grammar, what a text of SQL names and does. It never looks at a catalogue: a name is what was written.
package sqlparse

// Facts are what a text names and does, all its statements together. They are immutable, and alias nothing.
//
// A name is listed once, in any order. What cannot be told apart by the grammar is listed under all that it might be: a
// call f(x) may also be a cast, a relation the name of a view.
type Facts struct {
	Relations []Relation // tables, views, sequences; names of WITH are left out where they mean that
	Functions []Name     // called, as functions, aggregates or procedures
	Operators []Name     // with the symbol as Name
	Types     []Name     // cast to, or of a column that is made; those that the grammar spells itself have the schema pg_catalog
	// Attributes are names of columns behind a dot. PostgreSQL takes t.f for a call f(t) where t has no column f.
	Attributes []string
	Does       Does
	// Analyzed says that PostgreSQL resolves names or literals when it parses the text, and not only when it carries it out:
	// what it is depends on what is set then. Most utility statements are not analyzed (transformStmt in analyze.c).
	Analyzed bool
}

// IsAnalyzed says whether a text is analyzed, as far as is known: f is nil where the grammar does not know it.
func (f *Facts) IsAnalyzed() bool { return f == nil || f.Analyzed }

// HasShape says whether PostgreSQL settles what the text returns when it parses it, as far as is known. FETCH and other utility
// statements that are not analyzed have the result that there is when they are carried out. EXECUTE has the shape of what it executes.
func (f *Facts) HasShape() bool { return f == nil || f.Analyzed || f.Does&Executes != 0 }

// Name is a name as PostgreSQL compares it: folded unless it was quoted. Schema is empty where none was written; of three
// parts the database is left out.
type Name struct{ Schema, Name string }

// Relation is a relation and what is done to it.
type Relation struct {
	Name
	Access Access
}

// Access is a set of what is done to a relation.
type Access uint8

// What is done to relations.
const (
	Reads Access = 1 << iota
	Inserts
	Updates
	Deletes
	Truncates
	Defines // DDL
)

// Does is a set of what statements do that no name tells.
type Does uint32

// What statements do.
const (
	Writes      Does = 1 << iota // INSERT, UPDATE, DELETE, MERGE, COPY FROM, TRUNCATE, or in WITH
	Changes                      // the catalogue: CREATE, ALTER, DROP, COMMENT, GRANT, and CREATE TABLE AS
	RunsCode                     // DO: code that the grammar does not read
	Calls                        // CALL
	Executes                     // EXECUTE of a prepared statement, also in EXPLAIN and CREATE TABLE AS
	Prepares                     // PREPARE
	Listens                      // LISTEN
	MakesTemp                    // a temporary relation, by TEMP or by the schema pg_temp
	HoldsCursor                  // DECLARE … WITH HOLD
	Sets                         // SET, RESET, also of the transaction
	Loads                        // LOAD
	Copies                       // COPY
	Controls                     // BEGIN, COMMIT, ROLLBACK, SAVEPOINT and their like
	Moment                       // a literal that PostgreSQL reads as a moment when it parses: 'now', 'today', … in any quoting
	Other                        // a statement that is none of these and no query
)
