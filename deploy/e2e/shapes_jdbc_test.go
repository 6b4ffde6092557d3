package e2e

import (
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgcluster"
)

// jdbcJar is where Debian's libpostgresql-jdbc-java has PostgreSQL's driver.
const jdbcJar = "/usr/share/java/postgresql.jar"

// jdbc runs testdata/Shapes.java against a port and returns its counts by what it counted.
func jdbc(t *testing.T, port int, seconds string) map[string]int {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*patience)
	defer cancel()
	url := fmt.Sprintf("jdbc:postgresql://127.0.0.1:%d/postgres?user=postgres&sslmode=disable&gssEncMode=disable", port)
	cmd := exec.CommandContext(ctx, "java", "-cp", jdbcJar, "testdata/Shapes.java", url, seconds, "500", "8")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("java: %v\n%s", err, out)
	}
	counts := map[string]int{}
	for line := range strings.Lines(string(out)) {
		n, what, _ := strings.Cut(strings.TrimSpace(line), " ")
		k, err := strconv.Atoi(n)
		if err != nil {
			t.Fatalf("java says:\n%s", out)
		}
		counts[what] = k
	}
	return counts
}

// TestShapesJDBC: PostgreSQL's JDBC driver gets the errors through the proxy that it gets directly and no others, gets over them as
// soon, and never gets a row of another shape than it was told.
func TestShapesJDBC(t *testing.T) {
	_, noJava := exec.LookPath("java")
	_, noDriver := os.Stat(jdbcJar)
	switch {
	case noJava == nil && noDriver == nil:
	case testing.Short():
		t.Skip("no Java or no driver here: install default-jdk-headless and libpostgresql-jdbc-java")
	default:
		t.Fatal("install default-jdk-headless and libpostgresql-jdbc-java")
	}
	server := pgcluster.Start(t, pgcluster.Options{}).Primary
	proxy := StartProxy(t, server, Options{MaxConnections: 4})
	kinds := func(counts map[string]int) []string {
		delete(counts, "rows")
		delete(counts, "longest")
		delete(counts, "refused")
		return slices.Sorted(maps.Keys(counts))
	}
	run := func(port int, changer string) map[string]int {
		s := reshape(t, server, changer)
		counts := jdbc(t, port, full("30", "3"))
		s.stop()
		if n := s.changes.Load(); n < 20 {
			t.Errorf("%d changes: nothing was tested", n)
		}
		return counts
	}
	directly, through := server.DSN("postgres", "postgres"), proxy.DSN("postgres", "postgres")
	want := run(server.Port(), directly)
	t.Logf("directly: %v", want)
	for changer, by := range map[string]string{directly: "changed directly", through: "changed through the proxy"} {
		got := run(proxy.Port, changer)
		t.Logf("%s: %v", by, got)
		if got["refused"] > want["refused"]+3 { // a change may come between Parse and Bind of one unit, as directly
			t.Errorf("%s: clients were refused %d times outside of a transaction, directly %d times", by, got["refused"], want["refused"])
		}
		for _, what := range kinds(got) {
			if strings.HasPrefix(what, "wrong") {
				t.Errorf("%s: %d times %s", by, got[what], what)
			}
		}
		if w, g := kinds(maps.Clone(want)), kinds(got); !slices.Equal(w, g) {
			t.Errorf("%s: directly %q, through the proxy %q", by, w, g)
		}
	}
}
