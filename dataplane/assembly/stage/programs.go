package stage

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// As is the part of a connection string that says who logs in.
func As(user, password string) string { return "user=" + user + " password=" + password }

// Pgbench runs pgbench and returns what it prints.
func Pgbench(t testing.TB, addr string, args ...string) string {
	t.Helper()
	host, port := Split(addr)
	c := exec.Command("pgbench", append([]string{"-h", host, "-p", port, "-U", "postgres", "postgres"}, args...)...)
	out, err := c.CombinedOutput()
	if err != nil {
		t.Fatalf("pgbench %v: %v\n%s", args, err, out)
	}
	return string(out)
}

// Split takes an address apart.
func Split(addr string) (host, port string) {
	var n int
	for n = len(addr) - 1; addr[n] != ':'; n-- {
	}
	return addr[:n], addr[n+1:]
}

// Psql runs one statement with libpq's connection string, and returns what it prints, errors too.
func Psql(t *testing.T, addr, conninfo, sql string) string {
	t.Helper()
	host, port := Split(addr)
	c := exec.CommandContext(t.Context(), "psql", "-XAtw", "-c", sql, fmt.Sprintf("host=localhost hostaddr=%s port=%s dbname=postgres %s", host, port, conninfo))
	c.Env = append(os.Environ(), "HOME=/nonexistent", "PGCONNECT_TIMEOUT=20")
	out, _ := c.CombinedOutput()
	return strings.TrimSpace(string(out))
}
