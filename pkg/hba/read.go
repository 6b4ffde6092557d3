package hba

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
)

// What bounds the reading of one file with all that it includes.
const (
	maxText     = 4 << 20 // bytes, a file counted as often as it is included
	maxDepth    = 10      // of files that include each other: PostgreSQL's CONF_FILE_MAX_DEPTH
	maxProblems = 100
)

// A line is one that holds something.
type line struct {
	file   string
	number int
	fields [][]token // a field is a list of tokens with commas; neither is ever empty
}

// A reader makes lines of a file and of those that it includes.
type reader struct {
	opt      Options
	read     int // bytes so far
	full     bool
	problems []Problem
}

// problem notes a problem, and when there are too many that there are more.
func (r *reader) problem(file string, number int, reason string) {
	if r.full {
		return
	}
	if len(r.problems) == maxProblems {
		r.full = true
		file, number, reason = r.problems[0].File, 0, fmt.Sprintf("there are more than %d problems: the others are not shown", maxProblems)
	}
	r.problems = append(r.problems, Problem{file, number, reason})
}

// lines reads a file. What is wrong with it is among the problems, and the line is left out.
func (r *reader) lines(file, text string, depth int) []line {
	if r.read += len(text); r.read > maxText {
		r.problem(file, 0, fmt.Sprintf("the rules have more than %d bytes with all that they include", maxText))
		r.full = true
	}
	var lines []line
	for number, s := range logicalLines(text) {
		if r.full {
			break
		}
		l := line{file: file, number: number}
		before := len(r.problems)
		if strings.IndexByte(s, 0) >= 0 {
			r.problem(file, number, "a NUL character")
		}
		for s != "" && len(r.problems) == before {
			var field []token
			if field, s = r.field(&l, s, depth); len(field) > 0 {
				l.fields = append(l.fields, field)
			}
		}
		switch {
		case len(l.fields) == 0 || len(r.problems) > before:
		case isInclude(&l):
			lines = append(lines, r.include(&l, depth)...)
		default:
			lines = append(lines, l)
		}
	}
	return lines
}

// field takes the next field of a line. Words that follow a comma belong to it; a file that it names with @ is all its words. It is empty at
// the end of the line, and where such a file holds nothing.
func (r *reader) field(l *line, s string, depth int) (field []token, rest string) {
	before := len(r.problems)
	for comma := true; comma && len(r.problems) == before; {
		var t token
		var ok bool
		if t, s, comma, ok = nextToken(s); !ok {
			break
		}
		if name, ok := strings.CutPrefix(t.text, "@"); ok && !t.quoted && name != "" {
			for _, included := range r.open(l, name, depth, false) {
				field = append(field, slices.Concat(included.fields...)...)
			}
			continue
		}
		field = append(field, t)
	}
	return field, s
}

// isInclude says whether a line is a directive. PostgreSQL looks at the first word of both fields alone, and not at quotes.
func isInclude(l *line) bool {
	if len(l.fields) != 2 {
		return false
	}
	switch l.fields[0][0].text {
	case "include", "include_if_exists", "include_dir":
		return true
	}
	return false
}

func (r *reader) include(l *line, depth int) []line {
	directive, target := l.fields[0][0].text, l.fields[1][0].text
	if directive != "include_dir" {
		return r.open(l, target, depth, directive == "include_if_exists")
	}
	if r.opt.ReadDir == nil {
		r.problem(l.file, l.number, "directories are not included here: write the rules into this file")
		return nil
	}
	if strings.Trim(target, " \t\r\n") == "" {
		r.problem(l.file, l.number, "empty configuration directory name")
		return nil
	}
	dir := beside(l.file, target)
	entries, err := r.opt.ReadDir(dir)
	if err != nil {
		r.problem(l.file, l.number, fmt.Sprintf("could not open directory %q: %v", dir, cause(err)))
		return nil
	}
	var names []string
	for _, e := range entries {
		if name := e.Name(); !e.IsDir() && len(name) > len(".conf") && name[0] != '.' && strings.HasSuffix(name, ".conf") {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	var lines []line
	for _, name := range names {
		lines = append(lines, r.open(l, filepath.Join(dir, name), depth, false)...)
	}
	return lines
}

// open reads a file that a line names.
func (r *reader) open(l *line, target string, depth int, mayLack bool) []line {
	path := beside(l.file, target)
	if r.opt.ReadFile == nil {
		r.problem(l.file, l.number, "files are not included here: write what they hold into this file")
		return nil
	}
	if depth == maxDepth {
		r.problem(l.file, l.number, fmt.Sprintf("could not open file %q: maximum nesting depth exceeded", path))
		return nil
	}
	text, err := r.opt.ReadFile(path)
	switch {
	case err == nil:
		return r.lines(path, string(text), depth+1)
	case !mayLack || !errors.Is(err, fs.ErrNotExist):
		r.problem(l.file, l.number, fmt.Sprintf("could not open file %q: %v", path, cause(err)))
	}
	return nil
}

// beside makes the path of what a file names: from the file's directory.
func beside(file, target string) string {
	if filepath.IsAbs(target) {
		return target
	}
	return filepath.Join(filepath.Dir(file), target)
}

// cause is an error without the path, which the problem has already.
func cause(err error) error {
	if p := (*fs.PathError)(nil); errors.As(err, &p) {
		return p.Err
	}
	return err
}
