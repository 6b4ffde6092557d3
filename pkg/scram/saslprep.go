package scram

import (
	"unicode/utf8"

	"github.com/xdg-go/stringprep"
)

// prepare is SASLprep (RFC 4013) as PostgreSQL does it: a password that is not UTF-8, or that SASLprep
// prohibits, is used as it is.
func prepare(password string) string {
	if isASCII(password) || !utf8.ValidString(password) {
		return password
	}
	profile := stringprep.SASLprep
	// U+200B stands in both mappings; PostgreSQL makes a space of it, the library nothing.
	profile.Mappings = []stringprep.Mapping{spaces(), stringprep.TableB1}
	out, err := profile.Prepare(password)
	if err != nil || out == "" {
		return password
	}
	return out
}

// spaces maps the non-ASCII spaces to the one of ASCII.
func spaces() stringprep.Mapping {
	m := stringprep.Mapping{}
	for _, r := range stringprep.TableC1_2 {
		for c := r[0]; c <= r[1]; c++ {
			m[c] = []rune{' '}
		}
	}
	return m
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}
