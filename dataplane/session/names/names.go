// Package names is what a session calls its prepared statements, and of which it was told what they return. It does not know what the server has.
package names

import (
	"hash/crc32"

	"github.com/heliosproxy/heliosproxy/dataplane/state/statement"
)

// Names are the prepared statements of a session, by its names. It belongs to the loop of the session.
type Names struct {
	// All are the statements, for others to read.
	All map[string]*statement.Statement
	// Bytes is how long their texts are together.
	Bytes int

	told       map[string]struct{}
	borrowed   map[string]struct{}
	gone       map[string]*statement.Statement // see Clear
	recent     *statement.Statement            // what was found last, nil once anything has changed
	recentName []byte
	recentMark uint32
	recentTold bool
}

// Add gives a statement a name that is free.
func (n *Names) Add(name string, st *statement.Statement) {
	if n.All == nil {
		n.All = map[string]*statement.Statement{}
	}
	n.All[name], n.recent = st, nil
	n.Bytes += len(st.Body)
}

// Borrow notes that a server had parsed the statement of that name for somebody else, before.
func (n *Names) Borrow(name string) {
	if n.borrowed == nil {
		n.borrowed = map[string]struct{}{}
	}
	n.borrowed[name] = struct{}{}
}

// Borrowed says, once, whether the statement of that name was parsed for somebody else.
func (n *Names) Borrowed(name []byte) bool {
	_, is := n.borrowed[string(name)]
	if is {
		delete(n.borrowed, string(name))
	}
	return is
}

// Replace gives a name to another statement of the same text.
func (n *Names) Replace(name string, st *statement.Statement) { n.All[name], n.recent = st, nil }

// Find returns the statement of a name, nil where there is none. Mostly it is the one that was looked for last.
func (n *Names) Find(name []byte) *statement.Statement {
	if n.recent == nil || string(name) != string(n.recentName) {
		n.look(name)
	}
	return n.recent
}

func (n *Names) look(name []byte) {
	n.recent, n.recentName = n.All[string(name)], append(n.recentName[:0], name...)
	_, n.recentTold = n.told[string(name)]
	n.recentMark = crc32.ChecksumIEEE(name)
}

// Found returns the statement that Find has returned last; nil where anything has changed since.
func (n *Names) Found() *statement.Statement { return n.recent }

// Mark stands for the name that was looked for last, among those of one statement: see RenameMarked.
func (n *Names) Mark() uint32 { return n.recentMark }

// FoundTold says whether the client was told what the statement returns that Find has returned last; not after Untell.
func (n *Names) FoundTold() bool { return n.recentTold }

// Told says whether the client was told what the statement of that name returns.
func (n *Names) Told(name string) bool {
	_, told := n.told[name]
	return told
}

// Tell notes that the client is told what the statement of that name returns.
func (n *Names) Tell(name string) {
	if n.told == nil {
		n.told = map[string]struct{}{}
	}
	n.told[name], n.recent = struct{}{}, nil
}

// Untell notes that what the client was told is of no account any more.
func (n *Names) Untell(name string) {
	delete(n.told, name)
	n.recent, n.recentTold = nil, false
}

// UntellAll does so for all names.
func (n *Names) UntellAll() {
	clear(n.told)
	n.recent, n.recentTold = nil, false
}

// Remove takes a name away, and returns its statement; nil where there was none.
func (n *Names) Remove(name string) *statement.Statement {
	st := n.All[name]
	if st != nil {
		delete(n.All, name)
		delete(n.borrowed, name)
		n.Untell(name)
		n.Bytes -= len(st.Body)
	}
	return st
}

// Clear takes all names away. If messages are under way, the server may still say of one that its statement is not there:
// then Rename knows the names until they are cleared again.
func (n *Names) Clear(underWay bool) {
	n.gone = nil
	if underWay {
		n.gone, n.All = n.All, nil
	}
	clear(n.All)
	clear(n.borrowed)
	n.UntellAll()
	n.Bytes = 0
}

// Rename puts the client's name of a statement in place of the server's, in the body of an error.
func (n *Names) Rename(body []byte) []byte {
	if st := n.All[string(n.recentName)]; st != nil {
		body = st.Rename(body, string(n.recentName)) // two names may mean the same
	}
	for _, names := range [...]map[string]*statement.Statement{n.All, n.gone} {
		for name, st := range names {
			body = st.Rename(body, name)
		}
	}
	return body
}

// RenameMarked is Rename where the error is about the statement st under the name with that mark.
func (n *Names) RenameMarked(body []byte, st *statement.Statement, mark uint32) []byte {
	for _, names := range [...]map[string]*statement.Statement{n.All, n.gone} {
		for name, have := range names {
			if have == st && crc32.ChecksumIEEE([]byte(name)) == mark {
				return st.Rename(body, name)
			}
		}
	}
	return body
}

// Of returns a name of the statement, "" where it has none.
func (n *Names) Of(st *statement.Statement) string {
	for name, have := range n.All {
		if have == st {
			return name
		}
	}
	return ""
}
