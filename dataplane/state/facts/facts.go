// Package facts is what is known of SQL texts: what they are, what the grammar says of them, what they can reach. It is learnt once for all texts of a shape, which differ in their literals alone, and never at each execution.
package facts

import (
	"unsafe"

	"github.com/heliosproxy/heliosproxy/dataplane/state/catalog"
	"github.com/heliosproxy/heliosproxy/pkg/sqlparse"
	"github.com/heliosproxy/heliosproxy/pkg/sqltext"
)

// Text is what is known of one text: Summary is [sqltext.Classify] of it, but for words in comments, which are not counted,
// and for [sqltext.FlagTimeWords], which is set where a literal is a moment and nowhere else.
type Text struct {
	sqltext.Summary
	*Shape
}

// Shape is what is known of all texts of a shape. It belongs to the loop of its cache.
type Shape struct {
	// SQL is what the grammar says, but for moments, which are literals. It is nil where the grammar does not know the text,
	// and as long as a goroutine reads it; then it appears between two turns of the loop.
	SQL *sqlparse.Facts

	key     string
	summary sqltext.Summary // of the key
	bytes   int
	read    reading
	used    bool // since the hand came by

	judge catalog.Judge // who was asked last
	epoch uint64
	reach catalog.Reach
}

// reading is how far the grammar has come with a shape.
type reading uint8

const (
	unread reading = iota // all goroutines were busy
	reads                 // a goroutine does
	done
)

// Facts is SQL.
func (s *Shape) Facts() *sqlparse.Facts { return s.SQL }

// Changes says whether the texts may change the catalogue. Of a query that the grammar does not know it is said that it does not, as
// that is mostly an error of syntax.
func (s *Shape) Changes() bool {
	if s.SQL != nil {
		return s.SQL.Does&sqlparse.Changes != 0
	}
	switch s.summary.First {
	case sqltext.VerbSelect, sqltext.VerbInsert, sqltext.VerbUpdate, sqltext.VerbDelete:
		return s.summary.Statements > 1
	}
	return true
}

// Reach is what texts of the shape can reach, by the catalogue j, and of which of its epochs the answer is.
func (s *Shape) Reach(j catalog.Judge) (catalog.Reach, uint64) {
	if s.judge != j || s.epoch != j.Epoch() {
		s.judge = j
		s.reach, s.epoch = j.Judge(s.SQL)
	}
	return s.reach, s.epoch
}

// Written says whether texts of the shape, nil for one that is not known, may reach functions that somebody has written, by the catalogue
// j, nil where there is none.
func (s *Shape) Written(j catalog.Judge) bool {
	if s == nil || j == nil {
		return true
	}
	reach, _ := s.Reach(j)
	return reach&catalog.Suspect != 0
}

// learnt takes what the grammar says.
func (s *Shape) learnt(f *sqlparse.Facts) {
	s.SQL, s.read, s.judge = f, done, nil
	s.bytes = int(unsafe.Sizeof(*s)) + len(s.key) + perEntry
	if f != nil {
		s.bytes += sizeOf(f)
	}
}

// perEntry is what the map and the ring hold for a shape beside it, in bytes.
const perEntry = 64

// sizeOf is what facts cost, in bytes.
func sizeOf(f *sqlparse.Facts) int {
	n := int(unsafe.Sizeof(*f))
	for _, r := range f.Relations {
		n += int(unsafe.Sizeof(r)) + len(r.Schema) + len(r.Name.Name)
	}
	for _, names := range [...][]sqlparse.Name{f.Functions, f.Operators, f.Types} {
		for _, name := range names {
			n += int(unsafe.Sizeof(name)) + len(name.Schema) + len(name.Name)
		}
	}
	for _, a := range f.Attributes {
		n += int(unsafe.Sizeof(a)) + len(a)
	}
	return n
}
