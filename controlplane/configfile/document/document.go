// Package document reads TOML into a tree whose every value knows its line. It never knows what a key means.
package document

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/heliosproxy/heliosproxy/controlplane/configfile/environ"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"
)

// Node is one value of a document. It is a table, a list of tables, or neither.
type Node struct {
	Line  int
	Value any // as go-toml gives it; nil for tables and lists of tables
	Table map[string]*Node
	List  []*Node
}

// Find returns the node at a dotted key of tables, or nil.
func (n *Node) Find(name string) *Node {
	for part := range strings.SplitSeq(name, ".") {
		if n = n.Table[part]; n == nil {
			return nil
		}
	}
	return n
}

// IsEmpty says whether a node is a list with nothing in it.
func (n *Node) IsEmpty() bool {
	list, ok := n.Value.([]any)
	return ok && len(list) == 0
}

// SyntaxError is a place that is not TOML.
type SyntaxError struct {
	Line    int
	Message string
}

func (e *SyntaxError) Error() string { return fmt.Sprintf("line %d: %s", e.Line, e.Message) }

// Parse reads the TOML of text. Lines are those of the file. Its error is a [*SyntaxError].
func Parse(text *environ.Text) (*Node, error) {
	var values map[string]any
	if err := toml.Unmarshal(text.Data, &values); err != nil {
		var at *toml.DecodeError
		if !errors.As(err, &at) {
			return nil, &SyntaxError{1, err.Error()}
		}
		line, _ := at.Position()
		return nil, &SyntaxError{text.Line(line), strings.TrimPrefix(at.Error(), "toml: ")}
	}
	l := newLocator(text)
	if err := l.locate(); err != nil {
		return nil, &SyntaxError{1, err.Error()}
	}
	return l.tree("", values), nil
}

// locator finds the line of every key. A path is dotted, with the index of an element: nodes[1].role.
type locator struct {
	text   *environ.Text
	parser unstable.Parser
	lines  map[string]int
	lists  map[string]int // length so far of each list of tables
	at     cursor
}

func newLocator(text *environ.Text) *locator {
	return &locator{text: text, lines: map[string]int{}, lists: map[string]int{}, at: cursor{data: text.Data, line: 1}}
}

// cursor counts lines from where it was asked for one last: keys come almost in order, and a text may have many thousands.
type cursor struct {
	data   []byte
	offset int
	line   int // of offset, from 1
	walked int // bytes, in all
}

// to is the line of an offset.
func (c *cursor) to(offset int) int {
	if offset < c.offset {
		c.line -= bytes.Count(c.data[offset:c.offset], []byte("\n"))
	} else {
		c.line += bytes.Count(c.data[c.offset:offset], []byte("\n"))
	}
	c.walked += max(offset-c.offset, c.offset-offset)
	c.offset = offset
	return c.line
}

// locate walks the text, which is known to be valid.
func (l *locator) locate() error {
	l.parser.Reset(l.text.Data)
	var at string // the table whose keys come
	for l.parser.NextExpression() {
		switch e := l.parser.Expression(); e.Kind {
		case unstable.Table:
			at = l.enter("", e.Key())
		case unstable.ArrayTable:
			at = l.enter("", e.Key())
			// Entering gave the list, or its last element if it has some.
			if n := l.lists[l.unindexed(at)]; n > 0 {
				at = l.unindexed(at)
			}
			l.lists[at]++
			element := fmt.Sprintf("%s[%d]", at, l.lists[at]-1)
			it := e.Key()
			it.Next()
			l.lines[element] = l.line(it.Node())
			at = element
		case unstable.KeyValue:
			l.value(l.enter(at, e.Key()), e.Value())
		}
	}
	return l.parser.Error()
}

// unindexed returns the list of which path is the last element, or path.
func (l *locator) unindexed(path string) string {
	for i := len(path) - 1; i > 0 && path[len(path)-1] == ']'; i-- {
		if path[i] == '[' {
			return path[:i]
		}
	}
	return path
}

// line is the line of the file in which a key stands.
func (l *locator) line(key *unstable.Node) int {
	return l.text.Line(l.at.to(int(key.Raw.Offset)))
}

// enter follows a dotted key from a path, through the last element of lists, and notes lines on the way.
func (l *locator) enter(at string, key unstable.Iterator) string {
	for key.Next() {
		at = Below(at, string(key.Node().Data))
		if n := l.lists[at]; n > 0 {
			at = fmt.Sprintf("%s[%d]", at, n-1)
		}
		if _, seen := l.lines[at]; !seen {
			l.lines[at] = l.line(key.Node())
		}
	}
	return at
}

// value notes the lines within a value.
func (l *locator) value(at string, v *unstable.Node) {
	children := v.Children()
	switch v.Kind {
	case unstable.InlineTable:
		for children.Next() {
			kv := children.Node()
			l.value(l.enter(at, kv.Key()), kv.Value())
		}
	case unstable.Array:
		for i := 0; children.Next(); i++ {
			element := fmt.Sprintf("%s[%d]", at, i)
			l.lines[element] = l.lines[at]
			l.value(element, children.Node())
		}
	}
}

// tree joins values and lines.
func (l *locator) tree(at string, value any) *Node {
	n := &Node{Line: max(l.lines[at], 1)}
	switch v := value.(type) {
	case map[string]any:
		n.Table = make(map[string]*Node, len(v))
		for name, child := range v {
			n.Table[name] = l.tree(Below(at, name), child)
		}
	case []any:
		for i, child := range v {
			element := l.tree(fmt.Sprintf("%s[%d]", at, i), child)
			if element.Table == nil {
				return &Node{Line: n.Line, Value: value}
			}
			n.List = append(n.List, element)
		}
		if len(v) == 0 {
			n.Value = value
		}
	default:
		n.Value = value
	}
	return n
}

// Below is the dotted key of a name in a table. A name that TOML wants in quotes has them, so that even an empty one can be told.
func Below(at, name string) string {
	bare := func(c rune) bool {
		return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_' || c == '-'
	}
	if name == "" || strings.ContainsFunc(name, func(c rune) bool { return !bare(c) }) {
		name = strconv.Quote(name)
	}
	return Join(at, name)
}

// Join is a dotted key of two.
func Join(at, key string) string {
	if at == "" {
		return key
	}
	return at + "." + key
}
