// Package archtest keeps the laws of ARCHITECTURE.md that a program can keep: who imports whom, what stays behind which fence,
// how large things may be, what a walk may not do. It never runs what it reads: it parses source and compares it with tables.
//
// A law is a function from a Tree to Violations. The test of this package applies all of them to the repository, and to the
// small planted trees in testdata that break them one by one.
package archtest

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
)

// A Tree is the parsed source of the repository, nested modules included.
type Tree struct {
	Module   string // the path of the module at the root
	Packages []*Package
	fset     *token.FileSet
}

// A Package is a directory with Go files.
type Package struct {
	Dir    string // relative to the root, with slashes
	Name   string // of its non-test files; "" when it has none
	Nested bool   // belongs to a module of its own
	Files  []*File
}

// A File is one Go source file.
type File struct {
	Path      string // relative to the root
	Lines     int
	Test      bool
	Generated bool
	Syntax    *ast.File
}

// A Violation says which law is broken, where, and how.
type Violation struct {
	Law, Place, Text string
}

func (v Violation) String() string { return v.Law + ": " + v.Place + ": " + v.Text }

// Load reads every Go file below the root, but for testdata and what begins with a dot or an underscore.
func Load(root fs.FS) (*Tree, error) {
	mod, err := fs.ReadFile(root, "go.mod")
	if err != nil {
		return nil, err
	}
	t := &Tree{Module: moduleOf(mod), fset: token.NewFileSet()}
	dirs := map[string]*Package{}
	err = fs.WalkDir(root, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if base := d.Name(); name != "." && (strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_") || base == "testdata") {
				return fs.SkipDir
			}
			return nil
		}
		if path.Ext(name) != ".go" {
			return nil
		}
		return t.add(root, name, dirs)
	})
	if err != nil {
		return nil, fmt.Errorf("load source tree: %w", err)
	}
	slices.SortFunc(t.Packages, func(a, b *Package) int { return strings.Compare(a.Dir, b.Dir) })
	return t, nil
}

func (t *Tree) add(root fs.FS, name string, dirs map[string]*Package) error {
	src, err := fs.ReadFile(root, name)
	if err != nil {
		return err
	}
	syntax, err := parser.ParseFile(t.fset, name, src, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	dir := path.Dir(name)
	p := dirs[dir]
	if p == nil {
		p = &Package{Dir: dir, Nested: nested(root, dir)}
		dirs[dir] = p
		t.Packages = append(t.Packages, p)
	}
	f := &File{
		Path: name, Syntax: syntax, Lines: bytes.Count(src, []byte("\n")),
		Test: strings.HasSuffix(name, "_test.go"), Generated: ast.IsGenerated(syntax),
	}
	p.Files = append(p.Files, f)
	if !f.Test {
		p.Name = syntax.Name.Name
	}
	return nil
}

// nested says whether a directory belongs to a module below the root's.
func nested(root fs.FS, dir string) bool {
	for ; dir != "."; dir = path.Dir(dir) {
		if _, err := fs.Stat(root, path.Join(dir, "go.mod")); err == nil {
			return true
		}
	}
	return false
}

func moduleOf(mod []byte) string {
	for line := range strings.Lines(string(mod)) {
		if rest, ok := strings.CutPrefix(line, "module "); ok {
			return strings.TrimSpace(rest)
		}
	}
	return ""
}

// place is FILE:LINE of a node.
func (t *Tree) place(n ast.Node) string {
	p := t.fset.Position(n.Pos())
	return p.Filename + ":" + strconv.Itoa(p.Line)
}

// imports calls f for every import of a file, with its path.
func (f *File) imports(each func(spec *ast.ImportSpec, path string)) {
	for _, spec := range f.Syntax.Imports {
		if p, err := strconv.Unquote(spec.Path.Value); err == nil {
			each(spec, p)
		}
	}
}

// uses calls each for every selector X.Sel where X is an imported package.
func (f *File) uses(each func(n ast.Node, pkg, name string)) {
	local := map[string]string{}
	f.imports(func(spec *ast.ImportSpec, p string) {
		if spec.Name != nil {
			local[spec.Name.Name] = p
		} else {
			local[path.Base(p)] = p
		}
	})
	ast.Inspect(f.Syntax, func(n ast.Node) bool {
		if sel, ok := n.(*ast.SelectorExpr); ok {
			if x, ok := sel.X.(*ast.Ident); ok && local[x.Name] != "" {
				each(sel, local[x.Name], sel.Sel.Name)
			}
		}
		return true
	})
}

// match says whether a path is in a list of patterns, separated by spaces: "a/b" is itself, "a/..." a and all below, "a/*" one level below; "!" takes out
// what a pattern before it let in.
func match(patterns, p string) bool {
	in := false
	for pattern := range strings.FieldsSeq(patterns) {
		bare, negated := strings.CutPrefix(pattern, "!")
		if matchOne(bare, p) {
			in = !negated
		}
	}
	return in
}

func matchOne(pattern, p string) bool {
	if below, ok := strings.CutSuffix(pattern, "/..."); ok {
		return p == below || strings.HasPrefix(p, below+"/")
	}
	ok, err := path.Match(pattern, p)
	return ok && err == nil
}
