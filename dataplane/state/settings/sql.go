package settings

import "github.com/heliosproxy/heliosproxy/pkg/sqltext"

// AppendChange appends the SQL that brings a server connection from one set to another, as statements
// with semicolons between them. What says who one is comes off first and goes on last, because it
// decides what else may be set. Values go through set_config, which takes them as current_setting
// spells them, lists included, and NULL as the default; its schema is written out, since search_path
// is not ours.
func AppendChange(dst []byte, from, to Set) []byte {
	var who, what bool
	Differences(from, to, func(n, _ string, _ bool) {
		who = who || IsWho(n)
		what = what || !IsWho(n)
	})
	if who {
		dst = append(dst, "RESET SESSION AUTHORIZATION;RESET ROLE;"...)
	}
	if what {
		dst = appendSelect(dst, from, to, false)
		dst = append(dst, ';')
	}
	if who {
		for _, n := range [...]string{sessionAuthorization, role} {
			if v, ok := to.Get(n); ok {
				dst = append(dst, "SELECT "...)
				dst = appendSetConfig(dst, n, v, true)
				dst = append(dst, ';')
			}
		}
	}
	return dst
}

// Foreign is what a session may have left on its server connection that nobody can see there.
type Foreign uint8

// What may be left.
const (
	ForeignSettings  Foreign = 1 << iota // values of parameters that only a superuser may see
	ForeignSequences                     // what currval and lastval answer
)

// AppendTakeOver is AppendChange for a connection that another session had: what that may have left is
// taken away too.
func AppendTakeOver(dst []byte, from, to Set, f Foreign) []byte {
	if f&ForeignSequences != 0 {
		dst = append(dst, "DISCARD SEQUENCES;"...)
	}
	if f&ForeignSettings != 0 {
		if who := from.Only(IsWho); who != (Set{}) {
			dst = AppendChange(dst, who, Set{})
		}
		dst = append(dst, "RESET ALL;"...)
		from = Set{}
	}
	return AppendChange(dst, from, to)
}

// AppendSelect appends one SELECT that changes from to to, for the extended protocol, where a message
// holds one statement.
func AppendSelect(dst []byte, from, to Set) []byte { return appendSelect(dst, from, to, true) }

func appendSelect(dst []byte, from, to Set, who bool) []byte {
	sep := "SELECT "
	for _, first := range [...]bool{true, false} { // who the session is decides what role it may take
		Differences(from, to, func(n, v string, in bool) {
			if IsWho(n) && !who || (n == "session_authorization") != first {
				return
			}
			dst = append(dst, sep...)
			dst = appendSetConfig(dst, n, v, in)
			sep = ","
		})
	}
	return dst
}

// AppendRestore appends a DO statement that gives the named parameters the values of to, in one
// statement whatever their number; reset comes before them. local is for the transaction alone.
func AppendRestore(dst []byte, reset string, to Set, local bool) []byte {
	body := append([]byte(nil), "BEGIN "...)
	body = append(body, reset...)
	for n, v := range to.All() {
		body = append(body, "PERFORM pg_catalog.set_config("...)
		body = sqltext.QuoteLiteral(body, n)
		body = append(body, ',')
		body = sqltext.QuoteLiteral(body, v)
		if local {
			body = append(body, ",true);"...)
		} else {
			body = append(body, ",false);"...)
		}
	}
	body = append(body, "END"...)
	dst = append(dst, "DO LANGUAGE plpgsql "...)
	return sqltext.QuoteLiteral(dst, string(body))
}

// AppendPlanner appends a query whose one value says what of the settings parse analysis and planning read now: a list of SQL literals.
func AppendPlanner(dst []byte) []byte {
	dst = append(dst, "SELECT pg_catalog.concat_ws(','"...)
	for _, n := range plannerNames {
		dst = append(dst, ",pg_catalog.quote_nullable(pg_catalog.current_setting("...)
		dst = append(sqltext.QuoteLiteral(dst, n), ",true))"...)
	}
	return append(dst, ')')
}

// AppendAsk appends a query for the present values of names: a row for each with name, value (NULL
// where there is no such parameter) and "t" if that is the default, "s" if it is not and takes a superuser, or a grant, to be set.
func AppendAsk(dst []byte, names []string) []byte {
	dst = append(dst, "SELECT n,pg_catalog.current_setting(n,true),(SELECT CASE WHEN s.setting IS NOT DISTINCT FROM s.reset_val THEN 't'"...)
	dst = append(dst, " WHEN s.context OPERATOR(pg_catalog.~) '^superuser' THEN 's' ELSE 'f' END FROM pg_catalog.pg_settings s WHERE pg_catalog.lower(s.name)=n)"...)
	return append(appendNames(append(dst, " FROM pg_catalog.unnest("...), names), ") n"...)
}

// AppendAskBound appends a query for those of names whose parameters user could not set: see AppendBound.
func AppendAskBound(dst []byte, names []string, user string, grants bool) []byte {
	dst = AppendBound(append(dst, "SELECT pg_catalog.lower(s.name) FROM pg_catalog.pg_settings s WHERE "...), user, grants)
	return append(appendNames(append(dst, " AND pg_catalog.lower(s.name) OPERATOR(pg_catalog.=) ANY("...), names), ')')
}

// AppendBound appends an expression that says whether user could not set the parameter of the row s of pg_settings, which code with other
// rights, or another role, can have set. It takes a superuser, or, where there are grants for parameters (from PostgreSQL 15 on), one of those.
func AppendBound(dst []byte, user string, grants bool) []byte {
	dst = append(dst, "s.context OPERATOR(pg_catalog.~) '^superuser' AND NOT EXISTS(SELECT 1 FROM pg_catalog.pg_roles r WHERE r.rolname OPERATOR(pg_catalog.=) "...)
	dst = append(sqltext.QuoteLiteral(dst, user), " AND (r.rolsuper"...)
	if grants {
		dst = append(dst, " OR pg_catalog.has_parameter_privilege(r.oid,s.name,'SET')"...)
	}
	return append(dst, "))"...)
}

// appendNames appends names as an array.
func appendNames(dst []byte, names []string) []byte {
	dst = append(dst, "ARRAY["...)
	for i, n := range names {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = sqltext.QuoteLiteral(dst, n)
	}
	return append(dst, "]::pg_catalog.text[]"...)
}

// AppendArray appends names as a text[] in PostgreSQL's text format. They have no quotes and no backslashes.
func AppendArray(dst []byte, names []string) []byte {
	dst = append(dst, '{')
	for i, n := range names {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(append(append(dst, '"'), n...), '"')
	}
	return append(dst, '}')
}

// appendSetConfig appends a call that sets name: to value, or, where in is false, to its default.
func appendSetConfig(dst []byte, name, value string, in bool) []byte {
	dst = append(dst, "pg_catalog.set_config("...)
	dst = sqltext.QuoteLiteral(dst, name)
	if !in {
		return append(dst, ",NULL,false)"...)
	}
	dst = append(dst, ',')
	dst = sqltext.QuoteLiteral(dst, value)
	return append(dst, ",false)"...)
}
