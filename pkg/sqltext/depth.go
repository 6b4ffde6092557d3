package sqltext

// Depth returns a bound of how deep the tree of a text is, statements, queries and expressions together. It counts what may put
// one node above another: all tokens but literals, names' dots, commas and what ends a group; of groups, and of parts between
// commas and semicolons, the deepest. Whatever begins a query or joins two is counted beyond a comma, too. Strings are read with
// standard_conforming_strings on.
func Depth(text []byte) int {
	l := lexer{text: text, std: true}
	open := make([]level, 1, 32) // the groups that the cursor is in, the innermost last
	for t := l.next(0); t.kind != tokEnd; t = l.next(t.end) {
		in := &open[len(open)-1]
		switch t.kind {
		case tokString, tokNumber:
			continue
		case tokWord:
			if l.joins(t) {
				in.kept++
				continue
			}
		case tokSymbol:
			switch text[t.start] {
			case '.':
				continue
			case ',', ';':
				in.end()
				continue
			case '(', '[':
				in.part++
				open = append(open, level{})
				continue
			case ')', ']':
				open = shut(open)
				continue
			}
		}
		in.part++
	}
	for len(open) > 1 {
		open = shut(open)
	}
	return open[0].total()
}

// shut ends the innermost group, if there is one.
func shut(open []level) []level {
	n := len(open) - 1
	if n == 0 {
		return open
	}
	open[n-1].group = max(open[n-1].group, open[n].total())
	return open[:n]
}

// level is the depth of a group, but for those that it is in.
type level struct {
	part  int // of what stands behind the last comma
	group int // of the deepest group in that
	parts int // of the deepest of those before
	kept  int // what is counted beyond commas
}

// end ends a part.
func (l *level) end() {
	l.parts = max(l.parts, l.part+l.group)
	l.part, l.group = 0, 0
}

func (l *level) total() int { return max(l.parts, l.part+l.group) + l.kept }

// joins reports whether a word begins a query or joins two.
func (l *lexer) joins(t token) bool {
	for _, word := range [...]string{"select", "with", "union", "intersect", "except", "values", "table"} {
		if l.isWord(t, word) {
			return true
		}
	}
	return false
}
