package pgerr

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// rowName finds the rows of the table in its source, in order.
var rowName = regexp.MustCompile(`(?m)^\t([A-Z]\w+):\s+\{Severity`)

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// sources returns all Go source below a folder of the repository, tests or the rest.
func sources(t *testing.T, folder string, tests bool) string {
	t.Helper()
	var all strings.Builder
	err := filepath.WalkDir(filepath.Join("../..", folder), func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") != tests {
			return err
		}
		all.WriteString(read(t, path))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all.String()
}

// TestTable holds every row against the tree and the documentation: something makes the error, the test
// that it names exists, and docs/errors.md has its section.
func TestTable(t *testing.T) {
	names := rowName.FindAllStringSubmatch(read(t, "table.go"), -1)
	rows := Table()
	if len(names) != len(rows) {
		t.Fatalf("%d rows in the source, %d in the table", len(names), len(rows))
	}
	code, doc := sources(t, "dataplane", false), read(t, "../../docs/errors.md")
	for i, row := range rows {
		name := names[i][1]
		for _, problem := range problems(name, row, code, doc, func(pkg string) string { return sources(t, pkg, true) }) {
			t.Errorf("%s: %s", name, problem)
		}
	}
	if got := strings.Count(doc, "\n## "); got != len(rows) {
		t.Errorf("docs/errors.md has %d sections, the table %d rows", got, len(rows))
	}
}

func problems(name string, row Entry, code, doc string, tests func(pkg string) string) (found []string) {
	if !strings.Contains(code, "pgerr."+name) {
		found = append(found, "nothing makes it")
	}
	pkg, test, ok := strings.Cut(row.Tested, ".")
	if !ok || !strings.Contains(tests(pkg), "func "+test+"(t *testing.T)") {
		found = append(found, "there is no test "+row.Tested)
	}
	if len(row.SQLState) != 5 || row.Sentence == "" {
		found = append(found, "it has no SQLSTATE or no sentence")
	}
	if !strings.Contains(doc, fmt.Sprintf("\n## %s: %s\n", row.SQLState, row.Sentence)) {
		found = append(found, fmt.Sprintf("docs/errors.md has no section %q", row.SQLState+": "+row.Sentence))
	}
	return found
}

// TestTableCheckSees gives the check a row that is wrong in every way.
func TestTableCheckSees(t *testing.T) {
	if got := problems("Nothing", Entry{Tested: "x.TestNothing"}, "", "", func(string) string { return "" }); len(got) != 4 {
		t.Errorf("found only %q", got)
	}
}

// TestError shows how an error reads.
func TestError(t *testing.T) {
	e := New(QueueTimeout, "3s").Because(os.ErrClosed).AsFatal()
	if e.Error() != "FATAL: no server connection became free within 3s (SQLSTATE 53300)" || e.Unwrap() != os.ErrClosed || e.Hint == "" {
		t.Errorf("%v, cause %v", e, e.Unwrap())
	}
}
