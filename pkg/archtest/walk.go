package archtest

import (
	"go/ast"
	"go/token"
	"strings"
)

// Walks is the law that code that runs in a coroutine of an event loop never blocks the thread. It parks instead; what must block is given to
// a goroutine by the reactor, and the result comes back through the loop's inbox.
func Walks(t *Tree) []Violation {
	var out []Violation
	t.eachFile(func(p *Package, f *File) {
		if f.Test || !match(walks, p.Dir) {
			return
		}
		broken := func(n ast.Node, what string) {
			out = append(out, Violation{"walks", t.place(n), what + " in a walk stops every session of the loop"})
		}
		f.imports(func(spec *ast.ImportSpec, imported string) {
			if imported == "sync" || imported == "os" || strings.HasPrefix(imported, "os/") {
				broken(spec, "package "+imported)
			}
		})
		f.uses(func(n ast.Node, pkg, name string) {
			switch {
			case pkg == "time" && (name == "Sleep" || name == "After" || name == "Tick"),
				pkg == "net" && (strings.HasPrefix(name, "Dial") || strings.HasPrefix(name, "Lookup") || strings.HasPrefix(name, "Listen") || strings.HasPrefix(name, "Resolve")):
				broken(n, pkg+"."+name)
			}
		})
		ast.Inspect(f.Syntax, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.ChanType:
				broken(n, "a channel")
			case *ast.SendStmt:
				broken(n, "a send to a channel")
			case *ast.UnaryExpr:
				if n.Op == token.ARROW {
					broken(n, "a receive from a channel")
				}
			case *ast.SelectStmt:
				broken(n, "a select")
			case *ast.GoStmt:
				broken(n, "a goroutine")
			}
			return true
		})
	})
	return out
}
