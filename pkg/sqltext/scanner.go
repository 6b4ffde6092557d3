package sqltext

// Statement is a statement of a text: its span without the semicolon and without white space and comments around it.
type Statement struct {
	Start, End int // in bytes
	Verb       Verb
}

// Scanner splits a text into statements, as PostgreSQL does before it runs the first. The zero value is an empty text.
type Scanner struct {
	lex lexer
	pos int
}

// Reset begins a text. The Scanner reads it until the last call of Next; stdStrings is the session's
// standard_conforming_strings.
func (s *Scanner) Reset(text []byte, stdStrings bool) {
	*s = Scanner{lex: lexer{text: text, std: stdStrings}}
}

// Followable reports whether all that was read so far ended and had one meaning. What follows in the text is not known
// otherwise.
func (s *Scanner) Followable() bool { return s.lex.found&FlagUnfollowable == 0 }

// Next returns the next statement; empty ones are skipped. It is false at the end of the text.
func (s *Scanner) Next() (Statement, bool) {
	text := s.lex.text
	for {
		from := s.pos
		s.pos = s.lex.skipSpace(from)
		s.lex.findWords(from, s.pos)
		if s.pos >= len(text) {
			return Statement{}, false
		}
		if text[s.pos] != ';' {
			break
		}
		s.pos++
	}
	st := Statement{Start: s.pos, Verb: s.lex.verb(s.pos)}
	var semicolon int
	if from := st.Start; st.Verb == VerbCreate {
		semicolon, st.End = s.lex.findCreateEnd(from)
	} else {
		semicolon, st.End = s.lex.findEnd(from)
	}
	s.pos = min(semicolon+1, len(text))
	return st, true
}

// verb returns the verb of the statement at i; (SELECT …) is a SELECT.
func (l *lexer) verb(i int) Verb {
	for i < len(l.text) && l.text[i] == '(' {
		i = l.skipSpace(i + 1)
	}
	end := l.skipWord(i, true)
	if end == i {
		return VerbOther
	}
	return verbOf(l.text[i:end])
}

// findEnd returns the semicolon that ends the statement at start, or the end of the text, and the end of its last token.
//
// It does not make tokens: it runs to the next byte that may begin something that hides a semicolon, and there looks
// back as far as it must. No two tokens touch but with such a byte between them, except numbers and what follows.
func (l *lexer) findEnd(start int) (semicolon, end int) {
	text := l.text
	bound := start // the last such form ended here: nothing before it belongs to the token under the cursor
	trim := trimmer{text, start, start}
	for i := find(text, start, isStop|isHint); i < len(text); i = find(text, i, isStop|isHint) {
		from := i
		switch text[i] {
		case ';':
			return i, trim.end(i)
		case '\'':
			i = l.skipPrefixed(bound, i)
		case '"':
			i = l.skipQuoted(i)
		case '$':
			i = l.skipDollarOrWord(bound, i)
		case '-', '/':
			switch {
			case l.isLineComment(i):
				i = trim.comment(i, l.skipLine(i))
			case l.isBlockComment(i):
				i = trim.comment(i, l.skipBlock(i))
			default:
				i++
			}
		default:
			l.found |= wordAt(text, i)
			i++
			continue
		}
		bound = i
		l.findWords(from+1, i)
	}
	return len(text), trim.end(len(text))
}

// wordBefore returns where the identifier or number that ends at i begins, not before bound; i if none does.
func (l *lexer) wordBefore(bound, i int) int {
	for i > bound && is(l.text[i-1], isWord) {
		i--
	}
	return i
}

// skipPrefixed skips the literal whose quote is at i and whose prefix, if any, is behind bound.
func (l *lexer) skipPrefixed(bound, i int) int {
	lit := l.ordinary()
	switch start := l.wordBefore(bound, i); {
	case start == i:
		if i-2 >= bound && l.text[i-1] == '&' && toLower(l.text[i-2]) == 'u' && l.wordBefore(bound, i-1) == i-2 {
			return l.skipUnicode(i)
		}
	case l.isJunk(start, i):
		l.found |= FlagUnfollowable
	case i-start == 1:
		switch toLower(l.text[start]) {
		case 'e':
			lit = escaped
		case 'b', 'x':
			lit = bits
		}
	}
	return l.skipString(i, lit)
}

// skipDollarOrWord skips what begins with the dollar at i, or the rest of the identifier that it is part of.
func (l *lexer) skipDollarOrWord(bound, i int) int {
	start := l.wordBefore(bound, i)
	if l.isJunk(start, i) {
		l.found |= FlagUnfollowable
		return l.skipWord(i, true)
	}
	if start < i && is(l.text[start], isLetter) {
		return l.skipWord(i, true)
	}
	end, _ := l.skipDollar(i)
	return end
}

// trimmer finds where the last token of a statement ends without having seen tokens.
type trimmer struct {
	text []byte
	last int // end of the last token before the last comment
	from int // end of that comment
}

// comment notes a comment from i to end and returns end.
func (t *trimmer) comment(i, end int) int {
	t.last, t.from = t.end(i), end
	return end
}

// end returns the end of the last token before i.
func (t *trimmer) end(i int) int {
	for i > t.from && is(t.text[i-1], isSpace) {
		i--
	}
	if i == t.from {
		return t.last
	}
	return i
}
