package effects

import (
	"fmt"
	"strings"
	"testing"

	"github.com/heliosproxy/heliosproxy/dataplane/state/pin"
	"github.com/heliosproxy/heliosproxy/dataplane/state/statement"
	"github.com/heliosproxy/heliosproxy/pkg/sqlparse"
	"github.com/heliosproxy/heliosproxy/pkg/sqltext"
)

// of is what is known of a text.
func of(sql string) Text {
	sum := sqltext.Classify([]byte(sql), true)
	f, _ := sqlparse.Parse(sql)
	return Text{
		SQL: []byte(sql), StdStrings: true, Flags: sum.Flags, Single: sum.Statements == 1, Facts: f,
		Leaves: pin.Leaves([]byte(sql), true, sum.Flags, f),
	}
}

// TestListen puts something else in place of LISTEN where that can be left to another connection, and says what is to be done then.
func TestListen(t *testing.T) {
	for sql, want := range map[string]string{
		"LISTEN a":                         `UNLISTEN "helios: nobody" /* LISTEN 61 */ | 0 LISTEN listen a`,
		` listen "A b" ;-- x`:              ` UNLISTEN "helios: nobody" /* LISTEN 412062 */ ;-- x | 0 LISTEN listen A b`,
		"UNLISTEN a":                       "UNLISTEN a | 0  unlisten a",
		"UNLISTEN *":                       "UNLISTEN * | 0  all ",
		"SELECT 1; UNLISTEN B; UNLISTEN *": "SELECT 1; UNLISTEN B; UNLISTEN * | 1  unlisten b, 2  all ",
		"LISTEN a; SELECT 1":               "LISTEN a; SELECT 1 | LISTEN",
		"LISTEN select":                    "LISTEN select | LISTEN",
		`LISTEN U&"a"`:                     `LISTEN U&"a" | LISTEN`,
		"SELECT 1":                         "SELECT 1 | ",
	} {
		fx, sent, _ := Of(of(sql), Session{Shares: true})
		if got := string(sent) + " | " + show(fx); got != want {
			t.Errorf("%s:\n got %s\nwant %s", sql, got, want)
		}
	}
	fx, sent, _ := Of(of("LISTEN a"), Session{})
	if got := string(sent) + " | " + show(fx); got != "LISTEN a | LISTEN" {
		t.Errorf("where nothing is shared: %s", got)
	}
}

// show renders effects: their steps, and what they leave.
func show(fx *statement.Effects) string {
	if fx == nil {
		return ""
	}
	does := map[statement.Action]string{
		statement.Listen: "listen", statement.Unlisten: "unlisten", statement.UnlistenAll: "all",
		statement.Savepoint: "savepoint", statement.Release: "release", statement.RollbackTo: "to",
	}
	var words []string
	for _, s := range fx.Steps {
		words = append(words, fmt.Sprintf("%d %s %s %s", s.Ordinal, s.Tag, does[s.Do], s.Name))
	}
	if fx.Leaves != 0 {
		words = append(words, fx.Leaves.String())
	}
	return strings.Join(words, ", ")
}

// TestSavepoints adds what a text does to savepoints to its effects, which stay what they are for others.
func TestSavepoints(t *testing.T) {
	fx := &statement.Effects{Steps: []statement.Step{{Ordinal: 1, Do: statement.UnlistenAll}}}
	with := Savepoints(fx, []byte("SAVEPOINT a; UNLISTEN *; ROLLBACK TO A; RELEASE \"a\"; ROLLBACK"), true)
	if got := show(with); got != "1  all , 0  savepoint a, 2  to a, 3  release a" || len(fx.Steps) != 1 {
		t.Errorf("%s, of %s", got, show(fx))
	}
	if Savepoints(fx, []byte("COMMIT; BEGIN"), true) != fx || Savepoints(nil, []byte("COMMIT"), true) != nil {
		t.Error("a text without savepoints has other effects")
	}
	for sql, want := range map[string]bool{"SAVEPOINT a": true, "SELECT 1; savepoint b": true, "ROLLBACK TO a": false, "BEGIN": false, "": false} {
		if MakesSavepoint([]byte(sql), true) != want {
			t.Errorf("%s: makes a savepoint: %v", sql, !want)
		}
	}
}
