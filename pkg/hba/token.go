package hba

import (
	"iter"
	"strings"
)

// A token is one word of a file, without its quotes.
type token struct {
	text   string
	quoted bool // a quote stood before its first character
}

// nextToken takes the next word of a line: up to an unquoted blank, comma or comment. A quote may begin and end anywhere in it, and two in
// a quote are one. One that is not ended goes on to the end of the line. comma says that a comma ends the word, which rest still has.
func nextToken(s string) (t token, rest string, comma, ok bool) {
	i := 0
	for i < len(s) && (isBlank(s[i]) || s[i] == ',') {
		i++
	}
	var text []byte
	inQuote, wasQuote, sawQuote := false, false, false
scan:
	for ; i < len(s) && (inQuote || !isBlank(s[i])); i++ {
		c := s[i]
		switch {
		case c == '#' && !inQuote:
			i = len(s)
			break scan
		case c == ',' && !inQuote:
			comma = true
			break scan
		case c != '"':
			text = append(text, c)
			wasQuote = false
			continue
		}
		if wasQuote {
			text = append(text, c)
		}
		wasQuote = inQuote && !wasQuote
		inQuote, sawQuote = !inQuote, true
		t.quoted = t.quoted || len(text) == 0
	}
	t.text = string(text)
	return t, s[i:], comma, sawQuote || len(text) > 0
}

func isBlank(c byte) bool { return c == ' ' || c == '\t' || c == '\r' }

// logicalLines yields the lines of a text, without the characters that end them, each with the number that it begins at. A backslash at the
// end of a line takes the next line to it, whatever it stands in.
func logicalLines(text string) iter.Seq2[int, string] {
	return func(yield func(int, string) bool) {
		number := 1
		for text != "" {
			first := number
			var buf []byte
			for joined := 0; text != ""; joined = len(buf) {
				var part string
				part, text, _ = strings.Cut(text, "\n")
				number++
				buf = append(buf, part...)
				for len(buf) > 0 && buf[len(buf)-1] == '\r' {
					buf = buf[:len(buf)-1]
				}
				if len(buf) <= joined || buf[len(buf)-1] != '\\' {
					break // a backslash of the line before is not one of this line
				}
				buf = buf[:len(buf)-1]
			}
			if !yield(first, string(buf)) {
				return
			}
		}
	}
}
