// Package environ fills environment variables into the text of a configuration file. It never parses the text.
package environ

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"
)

// Text is a file's text with its variables filled in.
type Text struct {
	Data  []byte
	lines []int            // for each line of Data, the line of the file that it comes from
	names map[int][]string // by line of the file, the variables that were filled in there
}

// Line returns the line of the file from which a line of Data comes; both count from 1.
func (e *Text) Line(n int) int {
	if n < 1 || n > len(e.lines) {
		return max(n, 1)
	}
	return e.lines[n-1]
}

// Hint reminds of the variables in a line of the file that is not TOML.
func (e *Text) Hint(n int) string {
	names := e.names[n]
	if len(names) == 0 {
		return ""
	}
	return " (with the value of " + strings.Join(names, " and ") + " filled in as it is)"
}

// Report hears of what is wrong with a variable, which is called key, or only odd: the sentence is a clause without capital and full stop.
type Report func(odd bool, line int, key, sentence string)

// Fill fills in ${NAME} and ${NAME:-default}, textually and once, in all lines that are not comments
// as a whole. A default is also taken for an empty variable, as in a shell.
func Fill(data []byte, env func(string) (string, bool), r Report) *Text {
	// The name and the default are captured; what does not fit after "${" is captured as neither.
	variable := regexp.MustCompile(`\$\{(?:([A-Za-z_][A-Za-z0-9_]*)(:-[^}\n]*)?\})?`)
	out := &Text{names: map[int][]string{}}
	for i, line := range bytes.SplitAfter(data, []byte("\n")) {
		n, text := i+1, string(line)
		if !strings.HasPrefix(strings.TrimSpace(text), "#") {
			text = expandLine(text, n, variable, env, out, r)
		}
		out.Data = append(out.Data, text...)
		for range strings.Count(text, "\n") {
			out.lines = append(out.lines, n)
		}
	}
	out.lines = append(out.lines, 1+bytes.Count(data, []byte("\n")))
	return out
}

func expandLine(text string, n int, variable *regexp.Regexp, env func(string) (string, bool), out *Text, r Report) string {
	var b strings.Builder
	rest := 0
	for _, m := range variable.FindAllStringSubmatchIndex(text, -1) {
		b.WriteString(text[rest:m[0]])
		rest = m[1]
		if m[2] < 0 {
			r(false, n, "${", "begins neither ${NAME} nor ${NAME:-default}")
			continue
		}
		name := text[m[2]:m[3]]
		value, ok := env(name)
		if value == "" && m[4] >= 0 {
			value, ok = text[m[4]+len(":-"):m[5]], true
		}
		if !ok {
			r(false, n, "${"+name+"}", fmt.Sprintf("not set in the environment, and no default is given with ${%s:-default}", name))
		}
		if literal := strings.Count(text[:m[0]], "'")%2 == 1; !literal && strings.Contains(value, `\`) {
			r(true, n, "${"+name+"}", fmt.Sprintf("has a backslash, which begins an escape here; single quotes keep it: '${%s}'", name))
		}
		out.names[n] = append(out.names[n], "${"+name+"}")
		b.WriteString(value)
	}
	return b.String() + text[rest:]
}
