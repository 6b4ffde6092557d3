package hba

import (
	"errors"
	"slices"
	"strings"
)

// Maps are the user name maps of one pg_ident.conf. They do not change, and any number of goroutines may use them.
type Maps struct {
	entries    []mapping
	needsRoles bool
}

// A mapping is one line of pg_ident.conf.
type mapping struct {
	mapName      string
	systemUser   name
	databaseUser name
}

// ParseIdent reads a pg_ident.conf as [Parse] reads a pg_hba.conf; a file without a line is one without maps. Of [Options.Lack] only Roles
// matters. Where the text of a group can be chosen in several ways, as in (a|ab)(b?) or (.*)+, another may be chosen than by PostgreSQL.
func ParseIdent(file string, text []byte, opt Options) (*Maps, []Problem) {
	r := reader{opt: opt}
	maps := &Maps{}
	lines := r.lines(file, string(text), 0)
	for i := range lines {
		l := &lines[i]
		m, err := parseMapping(l)
		needsRoles := m.databaseUser.kind == member
		if err == nil {
			err = refuse(opt.Lack, Needs{Roles: needsRoles})
		}
		if err != nil {
			r.problem(l.file, l.number, err.Error())
			continue
		}
		maps.entries = append(maps.entries, m)
		maps.needsRoles = maps.needsRoles || needsRoles
	}
	if len(r.problems) > 0 {
		return nil, inOrder(r.problems)
	}
	return maps, nil
}

// parseMapping reads a line. What follows the third column is ignored, as PostgreSQL does.
func parseMapping(l *line) (m mapping, err error) {
	for i := range 3 {
		switch {
		case len(l.fields) == i:
			return m, errors.New("missing entry at end of line")
		case len(l.fields[i]) > 1:
			return m, errors.New("multiple values in ident field")
		}
	}
	m.mapName = l.fields[0][0].text
	if m.systemUser, err = newName(l.fields[1][0]); err != nil {
		return m, err
	}
	m.databaseUser, err = newUser(l.fields[2][0])
	return m, err
}

// Allows says whether somebody whom a method knows as systemUser may be databaseUser, by the map of this name. With mapName "" they may if
// the names are equal, m being nil or not. member is as [Request.Member], and may be nil if [Maps.NeedsRoles] is false: nobody is a member
// then. Case counts: PostgreSQL lets it not only for GSSAPI and SSPI.
func (m *Maps) Allows(mapName, systemUser, databaseUser string, member func(user, role string) bool) bool {
	databaseUser = truncate(databaseUser)
	if mapName == "" {
		return systemUser == databaseUser
	}
	if m == nil {
		return false
	}
	if member == nil {
		member = func(_, _ string) bool { return false }
	}
	c := client{Request: &Request{Member: member}, user: databaseUser}
	for i := range m.entries {
		e := &m.entries[i]
		if e.mapName != mapName {
			continue
		}
		target, fits, broken := e.target(systemUser)
		if broken {
			return false
		}
		if fits && c.isUser([]name{target}) {
			return true
		}
	}
	return false
}

// target says whether an entry fits a system user, and whom it may then be: the first \1 of a name is what the first group of the expression
// has. An entry is broken if there is a \1 and the group has nothing; PostgreSQL then looks no further.
func (e *mapping) target(systemUser string) (target name, fits, broken bool) {
	if e.systemUser.kind != pattern || e.databaseUser.kind != exact || !strings.Contains(e.databaseUser.text, `\1`) {
		return e.databaseUser, e.systemUser.is(systemUser), false
	}
	subject := byRune(systemUser)
	at := e.systemUser.re.FindStringSubmatchIndex(subject)
	switch {
	case at == nil:
		return name{}, false, false
	case len(at) < 4 || at[2] < 0:
		return name{}, false, true
	}
	group := subject[at[2]:at[3]]
	if subject != systemUser {
		group = byByte(group)
	}
	return name{text: strings.Replace(e.databaseUser.text, `\1`, group, 1)}, true, false
}

// Has says whether there is a map of this name. m may be nil.
func (m *Maps) Has(mapName string) bool {
	return m != nil && slices.ContainsFunc(m.entries, func(e mapping) bool { return e.mapName == mapName })
}

// NeedsRoles says whether a map needs to know which roles a user is a member of.
func (m *Maps) NeedsRoles() bool { return m.needsRoles }

// Text returns a pg_ident.conf with the same maps, a line for each entry. It includes no file.
func (m *Maps) Text() string {
	var b strings.Builder
	for i := range m.entries {
		e := &m.entries[i]
		b.WriteString(quote(e.mapName) + " " + e.systemUser.String() + " " + e.databaseUser.String() + "\n")
	}
	return b.String()
}
