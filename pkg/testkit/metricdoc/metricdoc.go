// Package metricdoc keeps the page of the metrics true: a section of it is written from what a collector says of itself.
package metricdoc

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

var said = regexp.MustCompile(`^Desc\{fqName: "([^"]*)", help: "(.*?)"(?:, unit: "[^"]*")?, constLabels: \{\}, variableLabels: \{(.*)\}\}$`)

// Check fails unless the section of the page has exactly the metrics of the collector, with their labels and help. It writes the section
// anew where update is set. The section stands between <!-- section --> and <!-- end -->.
func Check(t testing.TB, c prometheus.Collector, page, section string, update bool) {
	t.Helper()
	descs := make(chan *prometheus.Desc)
	go func() { c.Describe(descs); close(descs) }()
	var rows []string
	for d := range descs {
		m := said.FindStringSubmatch(d.String())
		if m == nil {
			t.Fatalf("%s is not understood", d)
		}
		name := m[1]
		if m[3] != "" {
			name += "{" + m[3] + "}"
		}
		rows = append(rows, "| `"+name+"` | "+strings.ReplaceAll(m[2], `\"`, `"`)+" |\n")
	}
	slices.Sort(rows)
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(text), "<!-- "+section+" -->\n")
	have, behind, ok2 := strings.Cut(rest, "<!-- end -->")
	if !ok || !ok2 {
		t.Fatalf("%s has no section %s", page, section)
	}
	want := strings.Join(rows, "")
	if have == want {
		return
	}
	if !update {
		t.Errorf("section %s of %s is not what the metrics say of themselves: run the test with -update", section, page)
		return
	}
	if err := os.WriteFile(page, []byte(before+"<!-- "+section+" -->\n"+want+"<!-- end -->"+behind), 0o644); err != nil {
		t.Fatal(err)
	}
}
