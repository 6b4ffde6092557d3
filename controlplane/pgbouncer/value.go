package pgbouncer

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// form is what a key of PgBouncer takes.
type form int

const (
	text form = iota
	number
	onOff   // a number, of which 0 is off
	seconds // with a fraction
	word    // one of some, in any case
)

// parseNumber reads a whole number as C's strtol does: hexadecimal behind 0x, octal behind 0.
func parseNumber(s string) (int64, error) {
	digits, base := strings.TrimLeft(s, "+-"), 10
	switch {
	case len(s)-len(digits) > 1:
		return 0, errors.New("is not a whole number")
	case strings.HasPrefix(strings.ToLower(digits), "0x"):
		digits, base = digits[2:], 16
	case len(digits) > 1 && digits[0] == '0':
		base = 8
	}
	n, err := strconv.ParseInt(digits, base, 32)
	if errors.Is(err, strconv.ErrRange) {
		return 0, errors.New("is too large a number")
	}
	if err != nil || strings.ContainsAny(digits, "+-_") {
		return 0, errors.New("is not a whole number")
	}
	if s[0] == '-' {
		n = -n
	}
	return n, nil
}

// parseSeconds reads a time in seconds. A fraction is rounded up: 0 often means never.
func parseSeconds(s string) (n int64, exact bool, err error) {
	v, err := strconv.ParseFloat(s, 64)
	if err != nil || math.IsNaN(v) || math.IsInf(v, 0) || strings.ContainsAny(s, "_xX") {
		return 0, false, errors.New("is not a number of seconds")
	}
	if v < 0 {
		return 0, false, errors.New("is negative")
	}
	if v > math.MaxInt32 {
		return 0, false, errors.New("is too long a time")
	}
	return int64(math.Ceil(v)), math.Ceil(v) == v, nil
}

// lenient reads a number as C's atoi does, which takes what it can: PgBouncer does so in connection strings. clean is false if it left
// something.
func lenient(s string) (n int64, clean bool) {
	sign, digits := "", s
	if digits != "" && (digits[0] == '-' || digits[0] == '+') {
		sign, digits = digits[:1], digits[1:]
	}
	end := strings.IndexFunc(digits, func(c rune) bool { return c < '0' || c > '9' })
	if end < 0 {
		end = len(digits)
	}
	n, err := strconv.ParseInt(strings.TrimPrefix(sign, "+")+digits[:end], 10, 32)
	return n, err == nil && end == len(digits)
}

// choose finds a word among others, in any case.
func choose(s string, words []string) (string, error) {
	i := slices.IndexFunc(words, func(w string) bool { return strings.EqualFold(w, s) })
	if i < 0 {
		return "", fmt.Errorf("is not one of %s", strings.Join(words, ", "))
	}
	return words[i], nil
}

// listOf are the parts of a list with commas between.
func listOf(s string) (all []string) {
	for part := range strings.SplitSeq(s, ",") {
		if part = strings.Trim(part, space); part != "" {
			all = append(all, part)
		}
	}
	return all
}
