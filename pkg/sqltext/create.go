package sqltext

// findCreateEnd is findEnd for CREATE, whose statement may hold others: the actions of a rule in parentheses, and the
// body of a function or procedure between BEGIN ATOMIC and END.
func (l *lexer) findCreateEnd(start int) (semicolon, end int) {
	object := l.createObject(l.next(start))
	switch {
	case l.isWord(object, "rule"):
	case l.isRoutine(object):
	default:
		return l.findEnd(start)
	}
	semicolon, end = l.findNestedEnd(object)
	l.findWords(start, semicolon)
	return semicolon, end
}

// createObject returns the token that says what a CREATE makes.
func (l *lexer) createObject(create token) token {
	t := l.next(create.end)
	if !l.isWord(t, "or") {
		return t
	}
	return l.next(l.next(t.end).end) // behind OR REPLACE
}

func (l *lexer) isRoutine(t token) bool { return l.isWord(t, "function") || l.isWord(t, "procedure") }

// findNestedEnd returns the semicolon outside of all parentheses and bodies. A body ends with an END where a statement
// might begin: as PostgreSQL's grammar has it, the last statement of a body has a semicolon too, and none begins with END.
func (l *lexer) findNestedEnd(object token) (semicolon, end int) {
	parens, bodies := 0, 0
	header := l.isRoutine(object) // of a routine, where BEGIN ATOMIC begins its body
	first := false                // t is where a statement of a body begins
	last := object
	for t := l.next(object.end); t.kind != tokEnd; t = l.next(t.end) {
		begins := first
		first = false
		switch {
		case l.isSymbol(t, '('):
			parens++
		case l.isSymbol(t, ')'):
			parens = max(0, parens-1)
		case parens > 0:
		case l.isSymbol(t, ';'):
			if bodies == 0 {
				return t.start, last.end
			}
			first, header = true, false
		case begins && l.isWord(t, "end"):
			bodies--
		case begins && l.isWord(t, "create"):
			header = l.isRoutine(l.createObject(t))
		case header && l.isWord(last, "begin") && l.isWord(t, "atomic"):
			bodies++
			first, header = true, false
		}
		last = t
	}
	if bodies > 0 {
		l.found |= FlagUnfollowable
	}
	return len(l.text), last.end
}
