package sqltext

// maxName is the longest name in bytes: PostgreSQL cuts off what is longer. With dots it might be more, but then the name
// could not be written as one quoted identifier.
const maxName = 63

// oldNames are names that PostgreSQL takes for parameters which have others now.
var oldNames = [...]struct{ old, now string }{{"sort_mem", "work_mem"}, {"vacuum_mem", "maintenance_work_mem"}}

// paramName returns the parameter that identifiers with dots name. Parameters do not differ by case, not even quoted ones.
// The name aliases spelled, or is appended to the empty buf.
func paramName(buf, spelled []byte) []byte {
	name := spelled
	if !isFolded(spelled) {
		name = buf
		l := lexer{text: spelled}
		for t := l.next(0); t.kind != tokEnd; t = l.next(t.end) {
			name = appendLower(name, unquote(spelled[t.start:t.end]))
		}
	}
	for _, r := range oldNames {
		if string(name) == r.old {
			return append(buf, r.now...)
		}
	}
	return name
}

// statementName returns the prepared statement that one identifier names, as paramName does.
func statementName(buf, spelled []byte) []byte {
	if spelled[0] == '"' || isFolded(spelled) {
		return unquote(spelled)
	}
	return appendLower(buf, spelled)
}

// isFolded reports whether a name is spelled in lower case, without quotes and spaces.
func isFolded(name []byte) bool {
	for _, c := range name {
		if c != '.' && c != '$' && !is(c, isWord) || toLower(c) != c {
			return false
		}
	}
	return true
}

// unquote returns what stands between the quotes of an identifier, in which none is doubled.
func unquote(identifier []byte) []byte {
	if identifier[0] != '"' {
		return identifier
	}
	return identifier[1 : len(identifier)-1]
}

func appendLower(dst, name []byte) []byte {
	for _, c := range name {
		dst = append(dst, toLower(c))
	}
	return dst
}
