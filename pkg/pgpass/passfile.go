package pgpass

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// maxPassfile is the largest password file in bytes that is read.
const maxPassfile = 1 << 20

// A Passfile is libpq's password file. The zero Passfile is an empty one. Any goroutine may use it.
type Passfile struct{ lines []string }

// String hides the passwords from logs.
func (p Passfile) String() string { return fmt.Sprintf("password file of %d lines", len(p.lines)) }

// GoString hides them from %#v.
func (p Passfile) GoString() string { return p.String() }

// ReadPassfile reads a password file. As libpq, it takes no file that is no plain file or that group or others may read,
// write or execute; libpq passes over such a file with a warning, here it is an error. A file that is not there gives
// [os.ErrNotExist], which libpq does not mind.
func ReadPassfile(path string) (Passfile, []Problem, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return Passfile{}, nil, fmt.Errorf("password file: %w", err)
	case !info.Mode().IsRegular():
		return Passfile{}, nil, fmt.Errorf("password file %q is not a plain file", path)
	case info.Mode().Perm()&0o077 != 0:
		return Passfile{}, nil, fmt.Errorf("password file %q has group or world access; permissions should be u=rw (0600) or less", path)
	case info.Size() > maxPassfile:
		return Passfile{}, nil, fmt.Errorf("password file %q has %d bytes, more than %d", path, info.Size(), maxPassfile)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return Passfile{}, nil, fmt.Errorf("password file: %w", err)
	}
	p, problems := ParsePassfile(path, text)
	return p, problems, nil
}

// ParsePassfile reads lines host:port:database:user:password; lines that begin with # are comments. A backslash makes
// the character behind it, a colon or a backslash, part of its field. text is not kept, file is its name for problems. The
// Passfile answers as libpq would, whatever the problems: they are what libpq says nothing of.
func ParsePassfile(file string, text []byte) (Passfile, []Problem) {
	var p Passfile
	r := report{file: file}
	n := 0
	for line := range strings.Lines(string(text)) {
		n++
		if line[0] == '#' {
			continue
		}
		line = strings.TrimRight(line, "\r\n")
		if line == "" {
			continue
		}
		if strings.IndexByte(line, 0) >= 0 {
			r.add(n, "the line holds a zero byte and is left out")
			continue
		}
		switch fields := countFields(line); {
		case fields < 5:
			r.add(n, "%d fields, want host:port:database:user:password", fields)
		case fields > 5:
			r.add(n, "%d fields, more than host:port:database:user:password: a colon in a field is written \\:", fields)
		}
		p.lines = append(p.lines, line)
	}
	return p, r.problems
}

func countFields(line string) int {
	fields := 1
	for i := 0; i < len(line); i++ {
		switch line[i] {
		case '\\':
			i++
		case ':':
			fields++
		}
	}
	return fields
}

// Lookup returns the password of the first line that fits; ok says whether there is one. host is a name, an address or the
// directory of a unix socket; libpq's default directories, and no host, are also called localhost. Port 0 is 5432. For
// connections of physical replication the database is "replication".
func (p Passfile) Lookup(host string, port int, database, user string) (password string, ok bool) {
	if database == "" || user == "" {
		return "", false // as libpq
	}
	alias := host
	switch host {
	case "", "/tmp", "/var/run/postgresql", "/run/postgresql": // as it is compiled: by PostgreSQL, Debian and Red Hat, others
		alias = "localhost"
	}
	if port == 0 {
		port = 5432
	}
	for _, line := range p.lines {
		rest, ok := match(line, alias)
		if !ok && host != "" {
			rest, ok = match(line, host)
		}
		for _, value := range []string{strconv.Itoa(port), database, user} {
			if ok {
				rest, ok = match(rest, value)
			}
		}
		if ok {
			return unescape(rest), true
		}
	}
	return "", false
}

// match says whether the first field of line is value, or *, and returns what stands behind its colon. As in libpq's
// pwdfMatchesString a colon that is not escaped is one of the value if the value has it there: ::1 needs no backslashes.
func match(line, value string) (rest string, ok bool) {
	if rest, ok := strings.CutPrefix(line, "*:"); ok {
		return rest, true
	}
	for {
		escaped := strings.HasPrefix(line, `\`)
		if escaped {
			line = line[1:]
		}
		switch {
		case line == "":
			return "", false
		case value == "":
			return line[1:], line[0] == ':' && !escaped
		case line[0] != value[0]:
			return "", false
		}
		line, value = line[1:], value[1:]
	}
}

// unescape returns the password at the front of a line's last field; a colon ends it, a backslash at the very end is one.
func unescape(field string) string {
	var b strings.Builder
	for i := 0; i < len(field) && field[i] != ':'; i++ {
		if field[i] == '\\' && i+1 < len(field) {
			i++
		}
		b.WriteByte(field[i])
	}
	return b.String()
}
