package configfile

import (
	"bytes"
	"regexp"
	"strings"
)

// expanded is a file's text with its variables filled in.
type expanded struct {
	data  []byte
	lines []int            // for each line of data, the line of the file that it comes from
	names map[int][]string // by line of the file, the variables that were filled in there
}

// line returns the line of the file from which a line of data comes; both count from 1.
func (e *expanded) line(n int) int {
	if n < 1 || n > len(e.lines) {
		return max(n, 1)
	}
	return e.lines[n-1]
}

// hint reminds of the variables in a line of the file that is not TOML.
func (e *expanded) hint(n int) string {
	names := e.names[n]
	if len(names) == 0 {
		return ""
	}
	return " (with the value of " + strings.Join(names, " and ") + " filled in as it is)"
}

// substitute fills in ${NAME} and ${NAME:-default}, textually and once, in all lines that are not comments
// as a whole. A default is also taken for an empty variable, as in a shell.
func substitute(data []byte, env func(string) (string, bool), r *report) *expanded {
	// The name and the default are captured; what does not fit after "${" is captured as neither.
	variable := regexp.MustCompile(`\$\{(?:([A-Za-z_][A-Za-z0-9_]*)(:-[^}\n]*)?\})?`)
	out := &expanded{names: map[int][]string{}}
	for i, line := range bytes.SplitAfter(data, []byte("\n")) {
		n, text := i+1, string(line)
		if !strings.HasPrefix(strings.TrimSpace(text), "#") {
			text = expandLine(text, n, variable, env, out, r)
		}
		out.data = append(out.data, text...)
		for range strings.Count(text, "\n") {
			out.lines = append(out.lines, n)
		}
	}
	out.lines = append(out.lines, 1+bytes.Count(data, []byte("\n")))
	return out
}

func expandLine(text string, n int, variable *regexp.Regexp, env func(string) (string, bool), out *expanded, r *report) string {
	var b strings.Builder
	rest := 0
	for _, m := range variable.FindAllStringSubmatchIndex(text, -1) {
		b.WriteString(text[rest:m[0]])
		rest = m[1]
		if m[2] < 0 {
			r.fail(n, "${", "begins neither ${NAME} nor ${NAME:-default}")
			continue
		}
		name := text[m[2]:m[3]]
		value, ok := env(name)
		if value == "" && m[4] >= 0 {
			value, ok = text[m[4]+len(":-"):m[5]], true
		}
		if !ok {
			r.fail(n, "${"+name+"}", "not set in the environment, and no default is given with ${%s:-default}", name)
		}
		if literal := strings.Count(text[:m[0]], "'")%2 == 1; !literal && strings.Contains(value, `\`) {
			r.warn(n, "${"+name+"}", "has a backslash, which begins an escape here; single quotes keep it: '${%s}'", name)
		}
		out.names[n] = append(out.names[n], "${"+name+"}")
		b.WriteString(value)
	}
	return b.String() + text[rest:]
}
