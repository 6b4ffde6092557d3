package hba

import (
	"regexp"
	"strings"
)

// A name is one word of a column of databases or users.
type name struct {
	kind nameKind
	text string         // the name that exact compares, the role of member, the slash and expression of pattern; otherwise empty
	re   *regexp.Regexp // of pattern
}

type nameKind uint8

const (
	exact       nameKind = iota
	all                  // the word all
	sameUser             // sameuser: the database has the user's name
	sameRole             // samerole, samegroup: the user is a member of the role that has the database's name
	replication          // physical replication
	member               // +role
	pattern              // /regular expression
)

// isDatabase says whether the names of the column of databases fit.
func (c *client) isDatabase(names []name) bool {
	for i := range names {
		n := &names[i]
		var fits bool
		switch {
		case c.Replication:
			fits = n.kind == replication
		case n.kind == sameUser:
			fits = c.database == c.user
		case n.kind == sameRole:
			fits = c.isMember(c.database)
		default:
			fits = n.is(c.database)
		}
		if fits {
			return true
		}
	}
	return false
}

// isUser says whether the names of the column of users fit.
func (c *client) isUser(names []name) bool {
	for i := range names {
		n := &names[i]
		if n.kind == member && c.isMember(n.text) || n.kind != member && n.is(c.user) {
			return true
		}
	}
	return false
}

// is says whether a name by itself, without more to know, is s.
func (n *name) is(s string) bool {
	switch n.kind {
	case all:
		return true
	case exact:
		return n.text == s
	case pattern:
		return n.re.MatchString(byRune(s))
	}
	return false
}

// newDatabase reads a word of the column of databases. A word that is quoted is no keyword, and yet may be a regular expression.
func newDatabase(t token) (name, error) {
	if !t.quoted {
		switch t.text {
		case "all":
			return name{kind: all}, nil
		case "sameuser":
			return name{kind: sameUser}, nil
		case "samerole", "samegroup":
			return name{kind: sameRole}, nil
		case "replication":
			return name{kind: replication}, nil
		}
	}
	return newName(t)
}

// newUser reads a word of the column of users.
func newUser(t token) (name, error) {
	if !t.quoted {
		if t.text == "all" {
			return name{kind: all}, nil
		}
		if role, ok := strings.CutPrefix(t.text, "+"); ok {
			return name{kind: member, text: role}, nil
		}
	}
	return newName(t)
}

// newName reads a word where there are no keywords.
func newName(t token) (name, error) {
	expression, ok := strings.CutPrefix(t.text, "/")
	if !ok {
		return name{text: t.text}, nil
	}
	re, err := compile(expression)
	return name{kind: pattern, text: t.text, re: re}, err
}

// String is the word that every column reads as this name.
func (n *name) String() string {
	switch n.kind {
	case all:
		return "all"
	case sameUser:
		return "sameuser"
	case sameRole:
		return "samerole"
	case replication:
		return "replication"
	case member:
		if n.text == "" {
			return "+"
		}
		return "+" + quote(n.text) // a quote before the + would make it a name
	case pattern:
		return quote(n.text)
	}
	switch n.text {
	case "all", "sameuser", "samerole", "samegroup", "replication", "samehost", "samenet":
		return `"` + n.text + `"`
	}
	if strings.HasPrefix(n.text, "+") {
		return `"` + strings.ReplaceAll(n.text, `"`, `""`) + `"`
	}
	return quote(n.text)
}

// list is the column of these names.
func list(names []name) string {
	words := make([]string, len(names))
	for i := range names {
		words[i] = names[i].String()
	}
	return strings.Join(words, ",")
}

// quote is the word for a token with this text: quoted if it were read as something else, or were the end of a line that goes on.
func quote(text string) string {
	if text != "" && text[0] != '@' && !strings.ContainsAny(text, " \t\r,#\"\\") {
		return text
	}
	return `"` + strings.ReplaceAll(text, `"`, `""`) + `"`
}
