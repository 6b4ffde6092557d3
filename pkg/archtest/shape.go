package archtest

import (
	"fmt"
	"go/ast"
	"slices"
	"strings"
)

// How large things may be, in lines.
const (
	maxFile    = 500
	maxPackage = 2500 // without tests
	maxMain    = 40   // the whole package main, without tests
)

// bannedNames say nothing about what is inside.
func bannedNames() []string {
	return []string{"util", "utils", "common", "helper", "helpers", "misc", "base", "core", "shared", "manager"}
}

// Comments is the law that every package has exactly one comment, and it begins with the package's name; a program's may
// begin with what the program is called.
func Comments(t *Tree) []Violation {
	var out []Violation
	for _, p := range t.Packages {
		if p.Name == "" || p.generated() {
			continue
		}
		found := 0
		for _, f := range p.Files {
			doc := f.Syntax.Doc
			if doc == nil || f.Generated {
				continue
			}
			if f.Test {
				out = append(out, Violation{"comments", t.place(doc), "the comment of a package stands in a file that is no test"})
				continue
			}
			if found++; found > 1 {
				out = append(out, Violation{"comments", t.place(doc), "a second comment for package " + p.Dir})
			}
			want := "Package " + p.Name + " "
			if p.Name != "main" && !strings.HasPrefix(doc.Text(), want) {
				out = append(out, Violation{"comments", t.place(doc), fmt.Sprintf("the comment does not begin with %q", want)})
			}
		}
		if found == 0 {
			out = append(out, Violation{"comments", p.Dir, "no package comment"})
		}
	}
	return out
}

// Names is the law that a package's name says what is inside.
func Names(t *Tree) []Violation {
	var out []Violation
	for _, p := range t.Packages {
		if slices.Contains(bannedNames(), p.Name) {
			out = append(out, Violation{"names", p.Dir, fmt.Sprintf("%q says nothing about what is inside", p.Name)})
		}
	}
	return out
}

// Sizes is the law that files, packages and mains are small.
func Sizes(t *Tree) []Violation {
	var out []Violation
	for _, p := range t.Packages {
		total := 0
		for _, f := range p.Files {
			if f.Generated {
				continue
			}
			if f.Lines > maxFile {
				out = append(out, Violation{"sizes", f.Path, fmt.Sprintf("%d lines, at most %d", f.Lines, maxFile)})
			}
			if !f.Test {
				total += f.Lines
			}
		}
		if total > maxPackage {
			out = append(out, Violation{"sizes", p.Dir, fmt.Sprintf("%d lines in the package, at most %d", total, maxPackage)})
		}
		if p.Name == "main" && total > maxMain {
			out = append(out, Violation{"sizes", p.Dir, fmt.Sprintf("%d lines in package main, at most %d", total, maxMain)})
		}
	}
	return out
}

// Inits is the law that nothing happens before main.
func Inits(t *Tree) []Violation {
	var out []Violation
	t.eachFile(func(_ *Package, f *File) {
		for _, d := range f.Syntax.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
				out = append(out, Violation{"inits", t.place(fn), "no init: what must happen is called"})
			}
		}
	})
	return out
}

// Sleeps is the law that a unit test waits for what it waits for, never for the clock. Tests of running programs may.
func Sleeps(t *Tree) []Violation {
	var out []Violation
	t.eachFile(func(p *Package, f *File) {
		if !f.Test || match("deploy/e2e/...", p.Dir) {
			return
		}
		f.uses(func(n ast.Node, pkg, name string) {
			if pkg == "time" && name == "Sleep" {
				out = append(out, Violation{"sleeps", t.place(n), "no time.Sleep in a unit test: wait for the event, or use testing/synctest"})
			}
		})
	})
	return out
}

func (p *Package) generated() bool {
	return !slices.ContainsFunc(p.Files, func(f *File) bool { return !f.Generated })
}
