package sqltext

// Shape appends the text without its literals to dst. Each string is ” there and each number 1, white space and comments
// between tokens are a space: it is SQL again, which does the same to other values, however strings are read. Two texts of
// one shape differ in literals, white space and comments alone.
//
// found has the flags of [Classify] that the literals give; all others are those of the shape. [FlagTimeWords] is exact here: a
// literal has a word that is a moment, see [HasMoment].
//
// ok is false for a text that is not followable, and for one whose shape does not fit into the capacity of dst; it is read
// only until that shows.
func Shape(dst, text []byte, stdStrings bool) (shape []byte, found Flags, ok bool) {
	s := shaper{lexer: lexer{text: text, std: stdStrings}, dst: dst, base: len(dst)}
	ok = s.run() && s.found&FlagUnfollowable == 0
	return s.dst, s.literals, ok
}

// shaper copies what stands between literals in spans as long as they are. Its methods take the offset where a form begins
// and return the one behind it, or stopped.
type shaper struct {
	lexer
	dst      []byte
	base     int   // where the shape begins in dst
	from     int   // what stands between here and the cursor is not copied yet
	literals Flags // found in literals
}

// stopped says that there is no shape.
const stopped = -1

// run goes through the text. It is false where there is no shape.
func (s *shaper) run() bool {
	text := s.text
	i := 0
	for i < len(text) && i != stopped {
		c := text[i]
		switch k := class[c]; {
		case k&isLetter != 0:
			start := i
			for i++; i < len(text) && is(text[i], isWord|isDollar); {
				i++
			}
			if i == start+1 && i < len(text) && (text[i] == '\'' || text[i] == '&') {
				i = s.prefix(start)
			}
		case k&(isSpace|isDigit|isStop) == 0:
			i++
		case c == ' ' && i > 0 && i+1 < len(text) && !is(text[i+1], isSpace) && text[i+1] != '-' && text[i+1] != '/':
			i++
		case k&isDigit != 0:
			i = s.number(i)
		case k&isSpace != 0:
			i = s.space(i)
		case c == '\'':
			i = s.literal(i, i, s.ordinary())
		case c == '"':
			i = s.skipQuoted(i)
		case c == '$':
			i = s.dollar(i)
		case s.isLineComment(i), s.isBlockComment(i):
			i = s.space(i)
		default:
			i++
		}
	}
	if i == stopped || !s.flush(len(text)) {
		return false
	}
	if n := len(s.dst); n > s.base && s.dst[n-1] == ' ' {
		s.dst = s.dst[:n-1]
	}
	return true
}

// flush copies what stands before i.
func (s *shaper) flush(i int) bool {
	n := len(s.dst)
	if i-s.from > cap(s.dst)-n {
		return false
	}
	s.dst = s.dst[:n+i-s.from]
	copy(s.dst[n:], s.text[s.from:i])
	s.from = i
	return true
}

// put appends text, and goes on behind end.
func (s *shaper) put(text string, end int) int {
	if len(text) > cap(s.dst)-len(s.dst) {
		return stopped
	}
	s.dst = append(s.dst, text...)
	s.from = end
	return end
}

// space takes white space and comments.
func (s *shaper) space(i int) int {
	end := s.skipSpace(i)
	if !s.flush(i) {
		return stopped
	}
	if len(s.dst) == s.base {
		return s.put("", end)
	}
	return s.put(" ", end)
}

// number takes a number. One that has letters stays as it is: where it ends depends on the version of PostgreSQL.
func (s *shaper) number(i int) int {
	end := i
	for end < len(s.text) && is(s.text[end], isDigit) {
		end++
	}
	if end < len(s.text) && is(s.text[end], isLetter) {
		if end = s.skipWord(end, false); s.isJunk(i, end) {
			return s.stop()
		}
		return end
	}
	if !s.flush(i) {
		return stopped
	}
	return s.put("1", end)
}

// prefix takes the letter at i, behind which stands a quote or an ampersand, and the literal whose prefix it is.
func (s *shaper) prefix(i int) int {
	c := toLower(s.text[i])
	switch {
	case s.text[i+1] == '\'':
		switch c {
		case 'e':
			return s.literal(i, i+1, escaped)
		case 'b', 'x':
			return s.literal(i+1, i+1, bits)
		}
	case c != 'u' || i+2 >= len(s.text):
	case s.text[i+2] == '"', s.text[i+2] == '\'' && !s.std:
		return s.stop() // the name is not known without its escapes; and see skipUnicode
	case s.text[i+2] == '\'':
		return s.literal(i+2, i+2, unicode)
	}
	return i + 1
}

// literal takes a literal that begins at start and has its quote at quote.
func (s *shaper) literal(start, quote int, lit literal) int {
	s.found = 0
	return s.mark(start, quote, s.skipString(quote, lit), lit)
}

// dollar takes a literal in dollar quotes, a parameter, or only the dollar.
func (s *shaper) dollar(i int) int {
	s.found = 0
	end, kind := s.skipDollar(i)
	if kind != tokString {
		return end
	}
	return s.mark(i, i, end, plain)
}

// mark puts a mark in the place of a literal.
func (s *shaper) mark(start, quote, end int, lit literal) int {
	if s.found&FlagUnfollowable != 0 {
		return stopped
	}
	if !s.search(quote, end, lit) || !s.flush(start) {
		return stopped
	}
	switch n := len(s.dst); {
	case n > s.base && s.dst[n-1] == '\'': // two literals are not one with a quote in it
		return s.put(" ''", end)
	case s.std && s.behindUescape(): // it says how the literal before it is written
		return end
	}
	return s.put("''", end)
}

// behindUescape reports whether the shape so far ends with that word.
func (s *shaper) behindUescape() bool {
	i := len(s.dst) - len("uescape")
	if i > 0 && s.dst[len(s.dst)-1] == ' ' {
		i--
	}
	return i > 0 && at(s.dst, i, "uescape") && !is(s.dst[i-1], isWord|isDollar)
}

// search finds the flags that a literal gives. It is false for one whose words cannot be read.
func (s *shaper) search(quote, end int, lit literal) bool {
	s.findWords(quote, end)
	if s.found == 0 && lit != unicode && !hides(s.text[quote:end]) {
		return true
	}
	found := s.found &^ (FlagTimeWords | private)
	if s.isMoment(quote, end, lit) {
		found |= FlagTimeWords
	}
	if s.found&flagSettings != 0 { // whatever is done with it
		found |= FlagSetConfig
	}
	s.literals |= found
	return s.found&flagHidden == 0
}

func (s *shaper) stop() int {
	s.unfollowable()
	return stopped
}
