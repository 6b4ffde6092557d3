package sqltext

// tokenKind is as much of a token's kind as anybody here needs.
type tokenKind uint8

const (
	tokEnd    tokenKind = iota
	tokWord             // an identifier or keyword
	tokQuoted           // "…"
	tokString           // any literal with quotes
	tokNumber           // or a parameter
	tokSymbol           // one byte of anything else
)

// token is a span of a lexer's text.
type token struct {
	kind       tokenKind
	start, end int
}

// next returns the first token at or behind i.
func (l *lexer) next(i int) token {
	i = l.skipSpace(i)
	if i >= len(l.text) {
		return token{tokEnd, i, i}
	}
	t := token{tokSymbol, i, i + 1}
	switch c := l.text[i]; {
	case c == '\'':
		t.kind, t.end = tokString, l.skipString(i, l.ordinary())
	case c == '"':
		t.kind, t.end = tokQuoted, l.skipQuoted(i)
	case c == '$':
		t.end, t.kind = l.skipDollar(i)
	case is(c, isDigit):
		t.kind, t.end = tokNumber, l.skipWord(i, false)
		if l.isJunk(t.start, t.end) {
			l.found |= FlagUnfollowable
			t.end = l.skipWord(i, true)
		}
	case is(c, isLetter):
		t.kind, t.end = l.prefixed(i)
	}
	return t
}

// prefixed skips an identifier, or the literal whose prefix looks like one.
func (l *lexer) prefixed(i int) (tokenKind, int) {
	rest := l.text[i:]
	switch toLower(rest[0]) {
	case 'e':
		if len(rest) > 1 && rest[1] == '\'' {
			return tokString, l.skipString(i+1, escaped)
		}
	case 'b', 'x':
		if len(rest) > 1 && rest[1] == '\'' {
			return tokString, l.skipString(i+1, bits)
		}
	case 'n':
		if len(rest) > 1 && rest[1] == '\'' {
			return tokString, l.skipString(i+1, l.ordinary())
		}
	case 'u':
		if len(rest) > 2 && rest[1] == '&' && rest[2] == '\'' {
			return tokString, l.skipUnicode(i + 2)
		}
		if len(rest) > 2 && rest[1] == '&' && rest[2] == '"' {
			return tokQuoted, l.skipQuoted(i + 2)
		}
	}
	return tokWord, l.skipWord(i, true)
}

// skipUnicode skips the literal of U&'…', i at its quote. PostgreSQL refuses it without standard_conforming_strings.
func (l *lexer) skipUnicode(i int) int {
	if !l.std {
		l.found |= FlagUnfollowable
	}
	return l.skipString(i, unicode)
}

// isJunk reports whether the word from start to end is a number whose end depends on the version of PostgreSQL, letters
// hanging on to it, where that end matters, as a dollar or a quote follows.
func (l *lexer) isJunk(start, end int) bool {
	if start == end || !is(l.text[start], isDigit) || end >= len(l.text) || l.text[end] != '$' && l.text[end] != '\'' {
		return false
	}
	for _, c := range l.text[start:end] {
		if !is(c, isDigit) {
			return true
		}
	}
	return false
}

// isWord reports whether t is the word lower, in any case and not quoted.
func (l *lexer) isWord(t token, lower string) bool {
	return t.kind == tokWord && equalFold(l.text[t.start:t.end], lower)
}

// isSymbol reports whether t is the byte c.
func (l *lexer) isSymbol(t token, c byte) bool { return t.kind == tokSymbol && l.text[t.start] == c }
