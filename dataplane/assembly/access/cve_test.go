package access

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/heliosproxy/heliosproxy/dataplane/assembly"
	"github.com/heliosproxy/heliosproxy/dataplane/assembly/stage"
	"github.com/heliosproxy/heliosproxy/pkg/resource"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgscript"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// friendly is a server that lets everybody in, and answers each Query in the same way.
func friendly(c *pgscript.Conn) error {
	if _, err := c.Welcome(1, []byte("1234")); err != nil {
		return nil
	}
	for {
		m, err := c.Receive()
		if err != nil {
			return nil
		}
		if m.Type == 'Q' {
			if c.Send(pgscript.CommandComplete("SELECT 0"), pgscript.ReadyForQuery('I')) != nil {
				return nil
			}
		}
	}
}

// front starts a proxy in front of a server that plays script, with user ann, whose password is ann's.
func front(t *testing.T, script func(*pgscript.Conn) error, edit func(*resource.Set), options ...func(*assembly.Options)) string {
	t.Helper()
	set := stage.ConfigAt(pgscript.Serve(t, script).Addr(), heliosv1.PoolMode_POOL_MODE_TRANSACTION, 2)
	set.Clusters["main"].Tls = &heliosv1.ServerTLS{Mode: heliosv1.SSLMode_SSL_MODE_DISABLE}
	set.Users["ann"] = &heliosv1.User{Name: "ann", Secret: stage.Secret("ann's")}
	if edit != nil {
		edit(set)
	}
	_, addr := stage.Start(t, set, options...)
	return addr
}

// bySCRAM makes clients log in by SCRAM.
func bySCRAM(set *resource.Set) {
	set.Listeners["main"].Auth = heliosv1.AuthMethod_AUTH_METHOD_SCRAM
}

// secureDoor makes the listener speak TLS, with p's certificate.
func secureDoor(set *resource.Set, p *stage.PKI, mode heliosv1.SSLMode) {
	set.Listeners["main"].Tls = &heliosv1.ClientTLS{Mode: mode, CertFile: p.Cert, KeyFile: p.Key, CaFile: p.CA}
}

// rebuff sends messages to a proxy, one by one, and returns "SQLSTATE sentence" of what it says, and that it closes.
func rebuff(t *testing.T, addr string, messages ...[]byte) string {
	t.Helper()
	c := pgscript.Dial(t, "tcp", addr)
	defer c.Close()
	for i, m := range messages {
		if err := c.Conn.Send(m); err != nil {
			t.Fatal(err)
		}
		got := c.Until("RE")
		if e := got[len(got)-1]; e.Type == 'E' {
			c.ExpectEOF()
			return e.Field('C') + " " + e.Field('M')
		}
		if i == len(messages)-1 {
			break
		}
	}
	return "nothing"
}

// open says that the door lets somebody in.
func open(t *testing.T, addr string) {
	t.Helper()
	c := pgscript.Dial(t, "tcp", addr)
	c.Login(pgscript.Login{User: "ann", Database: "ann", Password: "ann's"})
	c.Close()
}

// hole is a row of the table of docs/authentication.md: a CVE, and where a test is.
type hole struct{ cve, pkg, test string }

var (
	holeRow  = regexp.MustCompile("(?m)^\\| (CVE-\\d{4}-\\d+) \\| .* \\| `([a-z/]+)\\.(TestCVE\\d{4}_\\d+)` \\|$")
	holeTest = regexp.MustCompile(`(?m)^func (TestCVE\d{4}_\d+)\(t \*testing\.T\)`)
)

// holesIn reads the table, and notes what is wrong with it: a row without its test, a test that does not name the CVE of its row, and a
// test without a row. tests is the source of the tests of each package.
func holesIn(doc string, tests map[string]string) (rows []hole, wrong []string) {
	listed := map[string]bool{}
	for _, m := range holeRow.FindAllStringSubmatch(doc, -1) {
		h := hole{m[1], m[2], m[3]}
		rows = append(rows, h)
		listed[h.pkg+"."+h.test] = true
		source := tests[h.pkg]
		if !strings.Contains(source, "func "+h.test+"(t *testing.T)") {
			wrong = append(wrong, fmt.Sprintf("%s: there is no test %s.%s", h.cve, h.pkg, h.test))
		}
		if !strings.Contains(source, h.cve) {
			wrong = append(wrong, h.cve+": the tests of "+h.pkg+" do not name it")
		}
	}
	for pkg, source := range tests {
		for _, m := range holeTest.FindAllStringSubmatch(source, -1) {
			if !listed[pkg+"."+m[1]] {
				wrong = append(wrong, fmt.Sprintf("%s.%s has no row", pkg, m[1]))
			}
		}
	}
	slices.Sort(wrong)
	return rows, wrong
}

// TestHoles holds the table of holes of others against the tests that keep them closed here.
func TestHoles(t *testing.T) {
	doc, err := os.ReadFile("../../../docs/authentication.md")
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]string{}
	root := os.DirFS("../../..")
	for _, top := range []string{"dataplane", "pkg"} {
		err := fs.WalkDir(root, top, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") {
				return err
			}
			source, err := fs.ReadFile(root, path)
			tests[filepath.ToSlash(filepath.Dir(path))] += string(source)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	rows, wrong := holesIn(string(doc), tests)
	if len(rows) < 30 || len(rows) != strings.Count(string(doc), "\n| CVE-") {
		t.Errorf("%d rows are read", len(rows))
	}
	for _, w := range wrong {
		t.Error(w)
	}
}

// TestHolesCheckSees gives the check a table that is wrong in every way.
func TestHolesCheckSees(t *testing.T) {
	doc := "| CVE-2001-0001 | x | y | `pkg/x.TestCVE2001_0001` |\n| CVE-2001-0002 | x | y | `pkg/x.TestCVE2001_0003` |\n"
	_, wrong := holesIn(doc, map[string]string{"pkg/x": "func TestCVE2001_0003(t *testing.T) {}\nfunc TestCVE2001_0004(t *testing.T) {}\n"})
	want := []string{
		"CVE-2001-0001: the tests of pkg/x do not name it", "CVE-2001-0001: there is no test pkg/x.TestCVE2001_0001",
		"CVE-2001-0002: the tests of pkg/x do not name it", "pkg/x.TestCVE2001_0004 has no row",
	}
	if !slices.Equal(wrong, want) {
		t.Errorf("it finds %q, want %q", wrong, want)
	}
}
