package pgbouncer

import (
	"errors"
	"fmt"
	"strings"
)

// place is where something stands: a file as it was named, and a line from 1.
type place struct {
	file string
	line int
}

// entry is a key of a section, or the beginning of a section, whose key is empty.
type entry struct {
	place
	section, key, value string
}

// fault is why a file is not read further.
type fault struct {
	place
	key, reason string
}

// maxIncludes is how deep files may include one another.
const maxIncludes = 10

// ini reads a file and those that it includes.
type ini struct {
	read    func(name string) ([]byte, error) // a relative name is one in the working directory
	section string
	entries []entry
}

// space is what C's isspace calls white space.
const space = " \t\n\v\f\r"

// file reads a file line by line; from and key are where it is named.
func (r *ini) file(name string, from place, key string, depth int) *fault {
	data, err := r.read(name)
	if err != nil {
		return &fault{from, key, fmt.Sprintf("could not load file %q: %s", name, reason(err))}
	}
	text, zero := string(data), strings.IndexByte(string(data), 0)
	if zero >= 0 {
		return &fault{place{name, 1 + strings.Count(text[:zero], "\n")}, "ini", "syntax error: a zero byte"}
	}
	n := 0
	for line := range strings.SplitSeq(text, "\n") {
		n++
		if f := r.line(place{name, n}, strings.Trim(line, space), depth); f != nil {
			return f
		}
	}
	return nil
}

// reason is an error about a file without the file's name, which its reader says.
func reason(err error) string {
	for inner := errors.Unwrap(err); inner != nil; inner = errors.Unwrap(err) {
		err = inner
	}
	return err.Error()
}

// line reads one line without the white space around it. Behind a [section] there may be a key.
func (r *ini) line(at place, line string, depth int) *fault {
	include, directive := strings.CutPrefix(line, "%include")
	switch {
	case line == "" || line[0] == '#' || line[0] == ';':
		return nil
	case directive && include != "" && strings.Contains(" \t", include[:1]):
		if depth >= maxIncludes {
			return &fault{at, "%include", "include nesting level too deep"}
		}
		return r.file(strings.Trim(include, space), at, "%include", depth+1)
	case line[0] == '[':
		name, rest, ok := strings.Cut(line[1:], "]")
		if !ok {
			return &fault{at, "ini", "syntax error: the section's name has no ]"}
		}
		r.section = name
		r.entries = append(r.entries, entry{place: at, section: name})
		return r.line(at, strings.Trim(rest, space), depth)
	}
	key, rest, ok := name(line)
	rest = strings.TrimLeft(rest, " \t")
	if !ok || !strings.HasPrefix(rest, "=") {
		return &fault{at, "ini", "syntax error: neither KEY = VALUE, nor [section], %include FILE, or a comment"}
	}
	if r.section == "" {
		return &fault{at, key, "value without section"}
	}
	r.entries = append(r.entries, entry{at, r.section, key, strings.TrimLeft(rest[1:], " \t")})
	return nil
}

// name reads the name at the front of a line. One with other characters than letters, digits and _.-* is quoted, " within it doubled.
func name(line string) (name, rest string, ok bool) {
	if quote := line[0]; quote == '"' || quote == '\'' {
		for i := 1; i < len(line); i++ {
			switch {
			case line[i] != quote:
			case i+1 < len(line) && line[i+1] == quote:
				i++
			default:
				q := line[:1]
				return strings.ReplaceAll(line[1:i], q+q, q), line[i+1:], i > 1
			}
		}
		return "", "", false
	}
	end := strings.IndexFunc(line, func(c rune) bool {
		return (c|0x20 < 'a' || c|0x20 > 'z') && (c < '0' || c > '9') && !strings.ContainsRune("_.-*", c)
	})
	if end < 0 {
		end = len(line)
	}
	return line[:end], line[end:], end > 0
}

// pair is a parameter of a connection string.
type pair struct{ key, value string }

// connString reads what stands behind a name in [databases], [users] and [peers]: KEY=VALUE, with spaces between, a value in ' if it has
// spaces, ' within that doubled. As in PgBouncer no value is empty, a backslash is nothing special, and only spaces end a value.
func connString(s string) (pairs []pair, ok bool) {
	for {
		if s = strings.TrimLeft(s, " \t"); s == "" {
			return pairs, true
		}
		end := strings.IndexAny(s, "= ")
		if end <= 0 {
			return pairs, false
		}
		key, rest := s[:end], strings.TrimLeft(s[end:], " \t")
		if !strings.HasPrefix(rest, "=") {
			return pairs, false
		}
		var value string
		if value, s, ok = connValue(strings.TrimLeft(rest[1:], " \t")); !ok || value == "" {
			return pairs, false
		}
		pairs = append(pairs, pair{key, value})
	}
}

// connValue reads the value at the front of s.
func connValue(s string) (value, rest string, ok bool) {
	if !strings.HasPrefix(s, "'") {
		value, rest, _ = strings.Cut(s, " ")
		return value, rest, true
	}
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] != '\'':
		case strings.HasPrefix(s[i+1:], "'"):
			i++
		case s[i+1:] != "" && s[i+1] != ' ' && s[i+1] != '\t':
			return "", "", false // PgBouncer drops the character
		default:
			return strings.ReplaceAll(s[1:i], "''", "'"), s[i+1:], true
		}
	}
	return "", "", false
}
