package archtest

import (
	"fmt"
	"go/ast"
	"slices"
	"strings"
)

// Imports is law 1: inside the module every import is an edge of the table.
func Imports(t *Tree) []Violation {
	var out []Violation
	t.eachFile(func(p *Package, f *File) {
		if p.Nested {
			return // a module of its own has its own go.mod to say what it needs
		}
		f.imports(func(spec *ast.ImportSpec, imported string) {
			to, ours := strings.CutPrefix(imported, t.Module+"/")
			if !ours || to == p.Dir || allowed(edges(), p.Dir, to) || f.Test && allowed(testEdges(), p.Dir, to) {
				return
			}
			out = append(out, Violation{"imports", t.place(spec), fmt.Sprintf("%s may not import %s: no such edge in the table", p.Dir, to)})
		})
	})
	return out
}

func allowed(table []edge, from, to string) bool {
	return slices.ContainsFunc(table, func(e edge) bool { return match(e.from, from) && match(e.to, to) })
}

// Fences is law 2: what is dangerous or foreign stays in the package that tames it.
func Fences(t *Tree) []Violation {
	var out []Violation
	t.eachFile(func(p *Package, f *File) {
		if p.Nested {
			return
		}
		for _, fence := range fences() {
			if match(fence.inside, p.Dir) || fence.tests && f.Test {
				continue
			}
			breach := func(n ast.Node, what string) {
				out = append(out, Violation{"fences", t.place(n), fmt.Sprintf("%s may not use %s, only %s may: %s",
					p.Dir, what, fence.inside, fence.why)})
			}
			if fence.names == nil {
				f.imports(func(spec *ast.ImportSpec, imported string) {
					if match(fence.what, imported) {
						breach(spec, imported)
					}
				})
				continue
			}
			f.uses(func(n ast.Node, pkg, name string) {
				if match(fence.what, pkg) && slices.Contains(fence.names, name) {
					breach(n, pkg+"."+name)
				}
			})
		}
	})
	return out
}

// eachFile visits every file that people wrote.
func (t *Tree) eachFile(visit func(*Package, *File)) {
	for _, p := range t.Packages {
		for _, f := range p.Files {
			if !f.Generated {
				visit(p, f)
			}
		}
	}
}
