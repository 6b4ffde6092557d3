package pgpass

import (
	"errors"
	"fmt"
	"strings"

	"github.com/heliosproxy/heliosproxy/pkg/scram"
)

// The longest name and secret in bytes, as they stand between the quotes, that PgBouncer reads (MAX_USERNAME, MAX_PASSWORD).
const (
	maxName   = 127
	maxSecret = 2047
)

// space is what C's isspace calls white space, but for the newline.
const space = " \t\v\f\r"

// A User is a line of a list of users.
type User struct {
	Name   string
	Secret string // a password, an md5 hash or a SCRAM verifier, told apart as by PostgreSQL; empty: no password fits
	Line   int    // from 1
}

// String hides the secret from logs.
func (u User) String() string { return fmt.Sprintf("user %q", u.Name) }

// GoString hides it from %#v.
func (u User) GoString() string { return u.String() }

// ParseUserlist reads a list of users, whose lines may be of two forms:
//
//	"user" "secret"   PgBouncer's auth_file: a quote in a value is doubled; what stands between and behind the values is ignored
//	user:secret       the first colon ends the name, and the end of the line the secret
//
// White space before a line is ignored, lines that begin with ; are comments. text is not kept, file is its name for
// problems. A line that has a problem gives no user; only of lines with the same name, which are a problem that works, the last
// one counts, as in PgBouncer. Where PgBouncer reads on in the next line (for a quote that is not closed, or a name without a
// secret) the line is a problem, and so is a broken SCRAM verifier or a bcrypt hash, which would else be a password.
func ParseUserlist(file string, text []byte) ([]User, []Problem) {
	r := report{file: file}
	all := string(text)
	if strings.HasPrefix(all, "\ufeff") {
		r.add(1, "the file begins with a byte order mark")
		all = strings.TrimPrefix(all, "\ufeff")
	}
	var users []User
	place := map[string]int{} // of a name in users
	n := 0
	for line := range strings.SplitSeq(all, "\n") {
		n++
		line = strings.TrimLeft(line, space)
		if line == "" || line[0] == ';' {
			continue
		}
		u, err := parseUser(line)
		if err != nil {
			r.add(n, "%v", err)
			continue
		}
		u.Line = n
		if i, twice := place[u.Name]; twice {
			r.odd(n, "user %q stands on line %d, too: the last line counts", u.Name, users[i].Line)
			users[i] = u
			continue
		}
		place[u.Name] = len(users)
		users = append(users, u)
	}
	return users, r.problems
}

// parseUser reads a line that is no comment. No error shows anything of it: without its place, anything may be the secret.
func parseUser(line string) (u User, err error) {
	switch {
	case strings.IndexByte(line, 0) >= 0:
		return u, errors.New("the line holds a zero byte")
	case line[0] == '"':
		u.Name, u.Secret, err = quoted(line)
	default:
		u.Name, u.Secret, err = bare(line)
	}
	if err == nil {
		err = u.check()
	}
	return u, err
}

// quoted reads "user" "secret".
func quoted(line string) (name, secret string, err error) {
	open := errors.New("the quote is not closed on its line")
	name, rest, ok := unquote(line)
	if !ok {
		return "", "", open
	}
	i := strings.IndexByte(rest, '"')
	if i < 0 {
		return "", "", errors.New("no secret in quotes behind the name")
	}
	if secret, _, ok = unquote(rest[i:]); !ok {
		return "", "", open
	}
	return name, secret, nil
}

// unquote reads the value at the front of s, which begins with a quote, and returns what stands behind it.
func unquote(s string) (value, rest string, ok bool) {
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] != '"':
		case strings.HasPrefix(s[i+1:], `"`):
			i++
		default:
			return strings.ReplaceAll(s[1:i], `""`, `"`), s[i+1:], true
		}
	}
	return "", "", false
}

// bare reads user:secret.
func bare(line string) (name, secret string, err error) {
	name, secret, ok := strings.Cut(strings.TrimSuffix(line, "\r"), ":")
	switch {
	case !ok:
		return "", "", errors.New(`neither "user" "secret" nor user:secret`)
	case name != "" && name[0] == '#':
		return "", "", errors.New(`a comment begins with ;, and a name that begins with # is written in quotes`)
	case strings.Contains(name, `"`):
		return "", "", errors.New(`a quote within a name: both values are written in quotes, or neither`)
	case name != strings.Trim(name, space), secret != strings.Trim(secret, space):
		return "", "", errors.New("white space beside the name or the secret: both are written in quotes if it belongs to them")
	}
	return name, secret, nil
}

// check says what PgBouncer would not take, and what nobody can mean.
func (u User) check() error {
	switch name, secret := len(quote(u.Name)), len(quote(u.Secret)); {
	case u.Name == "":
		return errors.New("the user has no name")
	case name > maxName:
		return fmt.Errorf("the name has %d bytes, more than %d", name, maxName)
	case secret > maxSecret:
		return fmt.Errorf("the secret has %d bytes, more than %d", secret, maxSecret)
	case strings.HasPrefix(u.Secret, scram.Mechanism+"$"):
		_, err := scram.ParseVerifier(u.Secret)
		return err
	case len(u.Secret) == 60 && (strings.HasPrefix(u.Secret, "$2a$") || strings.HasPrefix(u.Secret, "$2b$") || strings.HasPrefix(u.Secret, "$2y$")):
		return errors.New("the secret is a bcrypt hash, which no method of PostgreSQL can check")
	}
	return nil
}

func quote(value string) string { return strings.ReplaceAll(value, `"`, `""`) }

// AppendUserlist appends the line of a user in PgBouncer's form, which [ParseUserlist] and PgBouncer read as the same user.
// For a user that neither could read there is an error, which does not show the secret, and dst is returned as it was.
func AppendUserlist(dst []byte, u User) ([]byte, error) {
	err := u.check()
	if err == nil && strings.ContainsAny(u.Name+u.Secret, "\x00\n") {
		err = errors.New("a zero byte or newline in the name or the secret")
	}
	if err != nil {
		return dst, fmt.Errorf("user %q: %w", u.Name, err)
	}
	return fmt.Appendf(dst, "\"%s\" \"%s\"\n", quote(u.Name), quote(u.Secret)), nil
}
