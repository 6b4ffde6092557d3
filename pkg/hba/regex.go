package hba

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// compile compiles an expression that PostgreSQL would take for an advanced regular expression (ARE, see "Regular Expression Details" in its
// documentation). Go's differ a little. What Go's cannot do, or would read in another way, is an error; what is left means the same, but for
// a \s, which takes no vertical tab, and for which text a group of pg_ident.conf has where several would do.
//
// PostgreSQL matches bytes here, not characters: when it reads these files it has no database yet whose encoding it would know. It does so by
// the collation C, so a class holds ASCII alone.
func compile(expression string) (*regexp.Regexp, error) {
	if err := portable(expression); err != nil {
		return nil, fmt.Errorf("invalid regular expression %q: %w", expression, err)
	}
	re, err := regexp.Compile("(?s)" + byRune(expression)) // a dot takes a newline, too
	if err != nil {
		return nil, fmt.Errorf("invalid regular expression %q: %w", expression, err)
	}
	re.Longest()
	return re, nil
}

// portable refuses what Go's expressions read in another way than PostgreSQL's.
func portable(expression string) error {
	class, first := false, 0 // in brackets; where a ] is a character of them
	for i := 0; i < len(expression); i++ {
		rest := expression[i:]
		switch {
		case rest[0] == '\\':
			if len(rest) == 1 {
				return errors.New("it ends with a backslash")
			}
			// \b is a backspace to PostgreSQL and the edge of a word to Go, \x takes two digits here and more there, …
			if c := rest[1]; isAlphanumeric(c) && !strings.ContainsRune("AdDsSwWnrtfva", rune(c)) {
				return fmt.Errorf(`\%c is not supported: write what it stands for`, c)
			}
			i++
		case class && (strings.HasPrefix(rest, "[.") || strings.HasPrefix(rest, "[=")):
			return fmt.Errorf("%s in brackets is not supported: write the characters", rest[:2])
		case class && strings.HasPrefix(rest, "[:"):
			end := strings.Index(rest, ":]")
			if end < 0 {
				return errors.New("[: without :]")
			}
			i += end + 1
		case class && rest[0] == ']' && i != first:
			class = false
		case class:
		case rest[0] == '[':
			class, first = true, i+1
			if strings.HasPrefix(rest, "[^") {
				first, i = i+2, i+1
			}
		case strings.HasPrefix(rest, "(?") && !strings.HasPrefix(rest, "(?:"):
			return errors.New("after (? only : is supported: write the case of letters as [Aa]")
		case len(rest) > 1 && strings.IndexByte("*+?}", rest[0]) >= 0 && rest[1] == '?':
			return fmt.Errorf("%s is not supported: a group has as much as it can", rest[:2])
		}
	}
	return nil
}

func isAlphanumeric(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

// byRune makes each byte of s a character, so that Go's expressions, which go by characters, go by bytes. ASCII is returned as it is.
func byRune(s string) string {
	for i := range len(s) {
		if s[i] >= 0x80 {
			runes := make([]rune, len(s))
			for j := range len(s) {
				runes[j] = rune(s[j])
			}
			return string(runes)
		}
	}
	return s
}

// byByte undoes byRune.
func byByte(s string) string {
	b := make([]byte, 0, len(s))
	for _, r := range s {
		b = append(b, byte(r))
	}
	return string(b)
}
