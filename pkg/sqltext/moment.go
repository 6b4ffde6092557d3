package sqltext

import "bytes"

// HasMoment reports whether the value of a literal has a word that PostgreSQL reads as a moment when it parses a date or a time:
// now, today, tomorrow, yesterday. It is a word where no letter stands before or behind it, in a literal as long as one likes,
// for an array or a row may hold dates. The quotes and backslashes of those may stand within the word.
func HasMoment(value string) bool {
	var f momentFinder
	for i := range len(value) {
		f.feed(value[i])
	}
	return f.end()
}

// momentFinder finds moments in bytes that it is fed one by one.
type momentFinder struct {
	whole, spliced wordFinder // where quotes and backslashes end words, and where they do not
}

func (f *momentFinder) feed(c byte) {
	f.whole.feed(c)
	if c != '\\' && c != '"' {
		f.spliced.feed(c)
	}
}

func (f *momentFinder) end() bool {
	f.feed(0)
	return f.whole.found || f.spliced.found
}

// wordFinder finds moments where all but letters ends words.
type wordFinder struct {
	word  [len("yesterday")]byte
	n     int // letters of the word so far
	found bool
}

func (f *wordFinder) feed(c byte) {
	if lower := c | 0x20; lower-'a' < 26 {
		if f.n < len(f.word) {
			f.word[f.n] = lower
		}
		f.n++
		return
	}
	if f.n >= len("now") && f.n <= len(f.word) {
		switch string(f.word[:f.n]) {
		case "now", "today", "tomorrow", "yesterday":
			f.found = true
		}
	}
	f.n = 0
}

// hides reports whether a literal may have a moment that is not written as such a word: with an escape, or in pieces.
func hides(literal []byte) bool {
	return bytes.IndexByte(literal, '\\') >= 0 || bytes.IndexByte(literal, '"') >= 0
}

// isMoment is HasMoment of the literal from quote to end.
func (l *lexer) isMoment(quote, end int, lit literal) bool {
	var f momentFinder
	if l.text[quote] == '$' {
		tag := bytes.IndexByte(l.text[quote+1:end], '$') + 2
		for _, c := range l.text[quote+tag : end-tag] {
			f.feed(c)
		}
		return f.end()
	}
	if lit == unicode && end > quote+2 && l.isWord(l.next(end), "uescape") {
		return true // whatever escapes then
	}
	for i := quote + 1; i < end; {
		switch c := l.text[i]; {
		case c == '\'':
			if i++; i < end && l.text[i] == '\'' {
				f.feed(c)
			} else if i < end { // the literal goes on behind white space
				i = l.continuation(i)
			}
			i++
		case c == '\\' && lit != plain && lit != bits && i+1 < end:
			c, i = l.unescape(i+1, lit)
			f.feed(c)
		default:
			f.feed(c)
			i++
		}
	}
	return f.end()
}

// unescape reads an escape, i behind its backslash. What it stands for is 0 unless it is ASCII.
func (l *lexer) unescape(i int, lit literal) (c byte, end int) {
	c = l.text[i]
	if lit == unicode {
		switch {
		case c == '+':
			return l.digits(i+1, 6, 16)
		case is(c, isDigit|isLetter):
			return l.digits(i, 4, 16)
		}
		return c, i + 1
	}
	switch c {
	case 'b', 'f', 'n', 'r', 't':
		return 0, i + 1
	case 'x':
		return l.digits(i+1, 2, 16)
	case 'u':
		return l.digits(i+1, 4, 16)
	case 'U':
		return l.digits(i+1, 8, 16)
	case '0', '1', '2', '3', '4', '5', '6', '7':
		return l.digits(i, 3, 8)
	}
	return c, i + 1
}

// digits reads at most n digits of a base.
func (l *lexer) digits(i, n, base int) (c byte, end int) {
	value := 0
	for end = i; end < i+n && end < len(l.text); end++ {
		d := digit(l.text[end])
		if d >= base {
			break
		}
		value = value*base + d
	}
	if value >= 0x80 {
		value = 0
	}
	return byte(value), end
}

// digit returns what a hexadecimal digit is worth, 16 if it is none.
func digit(c byte) int {
	switch {
	case is(c, isDigit):
		return int(c - '0')
	case toLower(c)-'a' < 6:
		return int(toLower(c)-'a') + 10
	}
	return 16
}
