package program

import (
	"errors"
	"strings"
	"testing"
)

// TestRun runs programs, and says how they have ended.
func TestRun(t *testing.T) {
	t.Setenv("OF_THIS", "process")
	for _, c := range []struct {
		name    string
		command Command
		want    string // of its output
		status  int    // -1: it has not ended by itself
		err     string
	}{
		{"its output", Command{Argv: []string{"echo", "a b"}, Keep: 10}, "a b\n", 0, ""},
		{"all that there is room for", Command{Argv: []string{"printf", "0123456789"}, Keep: 10}, "0123456789", 0, ""},
		{"too much", Command{Argv: []string{"yes"}, Keep: 3}, "y\ny\n", 0, ""},
		{"nobody wants its output", Command{Argv: []string{"echo", "a"}}, "", 0, ""},
		{"its input", Command{Argv: []string{"cat"}, Input: "a\nb", Keep: 10}, "a\nb", 0, ""},
		{"no input", Command{Argv: []string{"cat"}, Keep: 10}, "", 0, ""},
		{"the environment of this process", Command{Argv: []string{"sh", "-c", "echo $OF_THIS"}, Keep: 10}, "process\n", 0, ""},
		{"another environment", Command{Argv: []string{"sh", "-c", "echo $OF_THIS$A"}, Env: []string{"A=b"}, Keep: 10}, "b\n", 0, ""},
		{"a status", Command{Argv: []string{"sh", "-c", "exit 7"}}, "", 7, "exit status 7"},
		{"a signal", Command{Argv: []string{"sh", "-c", "kill -KILL $$"}}, "", -1, "signal: killed"},
		{"no program", Command{Argv: []string{"/nonexistent/program"}}, "", -1, "no such file"},
	} {
		out, err := Run(t.Context(), c.command)
		if string(out) != c.want || (err != nil) != (c.err != "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%s: %q, %v; want %q, %q", c.name, out, err, c.want, c.err)
		}
		if status, ok := Exited(err); err != nil && (ok != (c.status >= 0) || ok && status != c.status) {
			t.Errorf("%s: it has ended with %d, %t", c.name, status, ok)
		}
	}
	if err := Check([]string{"sh", "a"}); err != nil {
		t.Error(err)
	}
	if err := Check([]string{"program-that-is-not-there", "a"}); err == nil || !strings.Contains(err.Error(), "not found") {
		t.Errorf("a program that is not there: %v", err)
	}
	if _, ok := Exited(errors.New("x")); ok {
		t.Error("an error of another kind is taken for a status")
	}
}
