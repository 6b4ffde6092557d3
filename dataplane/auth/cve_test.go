package auth

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"strings"
	"testing"

	"github.com/heliosproxy/heliosproxy/dataplane/state/users"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgscript"
)

// CVE-2017-7546: PostgreSQL took an empty password where a user had been given one, which libpq never sends.
func TestCVE2017_7546(t *testing.T) {
	for _, known := range []bool{true, false} {
		for _, method := range []Method{Password, MD5, SCRAM} {
			var u *users.User
			if known {
				u = user(t, "")
			}
			x, first := begin(method, "ann", u)
			var got string
			switch {
			case method == Password:
				got = outcome(work(x, x.Step(pgscript.Password("")[5:])))
			case method == MD5 && known:
				got = outcome(work(x, x.Step(pgscript.Password(pgscript.MD5("ann", "", request(t, first.Reply, 5)))[5:])))
			default:
				got = outcome(prove(t, x, first, ""))
			}
			if got != "28P01" {
				t.Errorf("method %d, user known %v: %s", method, known, got)
			}
		}
	}
}

// CVE-2026-6478: PostgreSQL compared MD5 hashes byte by byte up to the first that differs, and how long that took told how many were
// right.
func TestCVE2026_6478(t *testing.T) {
	for _, pkg := range []string{".", "../../pkg/scram", "../../pkg/pgmd5"} {
		files, err := os.ReadDir(pkg)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			if !strings.HasSuffix(f.Name(), ".go") || strings.HasSuffix(f.Name(), "_test.go") {
				continue
			}
			source, err := os.ReadFile(pkg + "/" + f.Name())
			if err != nil {
				t.Fatal(err)
			}
			for _, found := range comparisons(t, source) {
				t.Errorf("%s/%s: %s", pkg, f.Name(), found)
			}
		}
	}
}

// comparisons finds comparisons of secrets that end where two bytes differ: any that is not one of length or with something constant.
func comparisons(t *testing.T, source []byte) (found []string) {
	t.Helper()
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, "", source, 0)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(file, func(n ast.Node) bool {
		b, ok := n.(*ast.BinaryExpr)
		if !ok || b.Op != token.EQL && b.Op != token.NEQ {
			return true
		}
		for _, pair := range [][2]ast.Expr{{b.X, b.Y}, {b.Y, b.X}} {
			if secretive(pair[0]) && !constant(pair[1]) {
				found = append(found, set.Position(b.Pos()).String()+": compare secrets in constant time")
				return true
			}
		}
		return true
	})
	return found
}

// secretive says whether an expression is a password, a hash of one, a key or a proof, by its name.
func secretive(e ast.Expr) bool {
	switch e := e.(type) {
	case *ast.CallExpr:
		if f, ok := e.Fun.(*ast.Ident); ok && f.Name == "string" {
			return secretive(e.Args[0])
		}
		return secretive(e.Fun)
	case *ast.SelectorExpr:
		return secretive(e.Sel)
	case *ast.SliceExpr:
		return secretive(e.X)
	case *ast.Ident:
		if e.Name == "Password" { // the method
			return false
		}
		switch strings.ToLower(e.Name) {
		case "secret", "stored", "storedkey", "serverkey", "key", "proof", "signature", "password", "pw", "hash", "salted":
			return true
		}
	}
	return false
}

func constant(e ast.Expr) bool {
	switch e := e.(type) {
	case *ast.BasicLit:
		return true
	case *ast.Ident:
		return e.Name == "nil"
	}
	return false
}

// TestComparisonsSees gives the check what it has to find, and what not.
func TestComparisonsSees(t *testing.T) {
	for source, want := range map[string]int{
		"stored == got": 1, "u.Secret() != pw": 1, "x == k.StoredKey": 1, `u.Secret() == ""`: 0, "key == nil": 0, "len(pw) == n": 0, "proof[:] != x": 1, "string(got) == pgmd5.Salted(stored, salt)": 1,
		"string(key[:]) == x": 1,
	} {
		if got := len(comparisons(t, []byte("package x\nvar _ = "+source))); got != want {
			t.Errorf("%s: %d found, want %d", source, got, want)
		}
	}
}
