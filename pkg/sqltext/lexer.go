package sqltext

import "bytes"

// lexer holds what the rules of scan.l need. Its skip methods take the offset where a form begins and return the offset
// behind it, which is the end of the text if the form does not end.
type lexer struct {
	text  []byte
	std   bool  // standard_conforming_strings
	found Flags // what [Classify] tells but for the statements' leading words
}

// literal is how the inside of a string literal is read.
type literal uint8

const (
	plain   literal = iota // '…' and N'…'
	escaped                // E'…', and '…' without standard_conforming_strings
	bits                   // B'…' and X'…', in which two quotes are an end and a new beginning
	unicode                // U&'…', in which a backslash escapes no quote
)

func (l *lexer) unfollowable() int {
	l.found |= FlagUnfollowable
	return len(l.text)
}

// ordinary is how a literal without a prefix is read.
func (l *lexer) ordinary() literal {
	if l.std {
		return plain
	}
	return escaped
}

// skipString skips a literal, i at its opening quote, with what continues it on further lines.
func (l *lexer) skipString(i int, lit literal) int {
	for i++; ; i++ { // behind an opening or doubled quote
		if lit == escaped {
			i = l.findQuoteEscaped(i)
		} else if n := bytes.IndexByte(l.text[i:], '\''); n >= 0 {
			i += n
		} else {
			i = len(l.text)
		}
		if i >= len(l.text) {
			return l.unfollowable()
		}
		if i++; i < len(l.text) && l.text[i] == '\'' && lit != bits {
			continue
		}
		next := l.continuation(i)
		if next < 0 {
			return i
		}
		l.found |= FlagTimeWords // one may be broken into two lines
		i = next
	}
}

// findQuoteEscaped returns the offset of the next quote that no backslash stands before.
func (l *lexer) findQuoteEscaped(i int) int {
	for i < len(l.text) && l.text[i] != '\'' {
		if l.text[i] == '\\' {
			l.found |= FlagTimeWords // E'\x6eow'
			i++
		}
		i++
	}
	return i
}

// continuation returns the offset of the quote that goes on with the literal that has just ended, or -1: between the two
// are white space with a newline, and comments that end with their line.
func (l *lexer) continuation(i int) int {
	newline := false
	for i < len(l.text) {
		switch c := l.text[i]; {
		case c == '\n' || c == '\r':
			newline = true
			i++
		case is(c, isSpace):
			i++
		case l.isLineComment(i):
			i = l.skipLine(i)
		case c == '\'' && newline:
			return i
		default:
			return -1
		}
	}
	return -1
}

// skipQuoted skips a quoted identifier, i at its opening quote.
func (l *lexer) skipQuoted(i int) int {
	for i++; ; i++ {
		n := bytes.IndexByte(l.text[i:], '"')
		if n < 0 {
			return l.unfollowable()
		}
		if i += n + 1; i >= len(l.text) || l.text[i] != '"' {
			return i
		}
	}
}

// skipDollar skips what begins with the dollar at i, where a token begins: a parameter, a dollar-quoted string, or only
// the byte itself.
func (l *lexer) skipDollar(i int) (end int, kind tokenKind) {
	tag := i + 1
	if tag < len(l.text) && is(l.text[tag], isDigit) {
		for tag < len(l.text) && is(l.text[tag], isDigit) {
			tag++
		}
		return tag, tokNumber
	}
	for tag < len(l.text) && is(l.text[tag], isWord) {
		tag++
	}
	if tag >= len(l.text) || l.text[tag] != '$' {
		return i + 1, tokSymbol
	}
	delimiter := l.text[i : tag+1]
	n := bytes.Index(l.text[tag+1:], delimiter)
	if n < 0 {
		return l.unfollowable(), tokString
	}
	return tag + 1 + n + len(delimiter), tokString
}

func (l *lexer) isLineComment(i int) bool {
	return l.text[i] == '-' && i+1 < len(l.text) && l.text[i+1] == '-'
}

func (l *lexer) isBlockComment(i int) bool {
	return l.text[i] == '/' && i+1 < len(l.text) && l.text[i+1] == '*'
}

// skipLine skips to the end of a line.
func (l *lexer) skipLine(i int) int {
	for i < len(l.text) && l.text[i] != '\n' && l.text[i] != '\r' {
		i++
	}
	return i
}

// skipBlock skips a comment in which others may be nested.
func (l *lexer) skipBlock(i int) int {
	depth := 0
	for i+1 < len(l.text) {
		switch {
		case l.text[i] == '*' && l.text[i+1] == '/':
			i += 2
			if depth--; depth == 0 {
				return i
			}
		case l.isBlockComment(i):
			i += 2
			depth++
		default:
			i++
		}
	}
	return l.unfollowable()
}

// skipSpace skips white space and comments.
func (l *lexer) skipSpace(i int) int {
	for i < len(l.text) {
		switch {
		case is(l.text[i], isSpace):
			i++
		case l.isLineComment(i):
			i = l.skipLine(i)
		case l.isBlockComment(i):
			i = l.skipBlock(i)
		default:
			return i
		}
	}
	return i
}

// skipWord skips an identifier, or digits with whatever hangs on to them, but for dollars in the latter.
func (l *lexer) skipWord(i int, dollars bool) int {
	for i < len(l.text) && (is(l.text[i], isWord) || dollars && l.text[i] == '$') {
		i++
	}
	return i
}
