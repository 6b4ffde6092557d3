package sqltext

import (
	"fmt"
	"strings"
	"testing"
)

// TestParseChannel reads LISTEN and UNLISTEN.
func TestParseChannel(t *testing.T) {
	long := strings.Repeat("x", 63)
	for stmt, want := range map[string]string{
		"LISTEN news": "1 news", "listen /* a */ NeWs -- b": "1 news", `LISTEN "Ne ws"`: "1 Ne ws", "UNLISTEN news": "2 news", "unlisten *": "3 ", "LISTEN " + long: "1 " + long,
		`listen"a"`: "1 a", "LISTEN listen": "1 listen", "LISTEN a$1": "1 a$1",
		"LISTEN": "", "LISTEN *": "", "LISTEN a b": "", "LISTEN 'a'": "", "UNLISTEN": "", "UNLISTEN * a": "", "LISTEN a.b": "", "SELECT 1": "", "LISTEN x" + long: "",
		`LISTEN U&"a"`: "", `LISTEN "a""b"`: "", "LISTEN é": "", `LISTEN "é"`: "1 é", `LISTEN ""`: "", `LISTEN "a`: "", "LISTEN a /* b": "", "": "",
	} {
		got := ""
		if a, name, ok := ParseChannel([]byte(stmt), true, make([]byte, 0, 63)); ok {
			got = fmt.Sprintf("%d %s", a, name)
		}
		if got != want {
			t.Errorf("%s: %q, want %q", stmt, got, want)
		}
	}
}

// TestParseSavepoint reads what makes, drops and goes back to savepoints.
func TestParseSavepoint(t *testing.T) {
	for stmt, want := range map[string]string{
		"SAVEPOINT a": "1 a true", "savepoint \"A\"": "1 A true", "SAVEPOINT savepoint": "1 savepoint true", "RELEASE a": "2 a true", "RELEASE SAVEPOINT a": "2 a true",
		"RELEASE savepoint": "2 savepoint true", "ROLLBACK TO a": "3 a true", "rollback work to savepoint A": "3 a true", "ABORT TRANSACTION TO a": "3 a true", "ROLLBACK TO SAVEPOINT savepoint": "3 savepoint true",
		"SAVEPOINT": "1  false", "SAVEPOINT é": "1  false", "ROLLBACK TO a b": "3  false", "ROLLBACK": "0  false", "ROLLBACK AND CHAIN": "0  false", "ROLLBACK PREPARED 'a'": "0  false", "COMMIT": "0  false", "": "0  false",
	} {
		c, name, ok := ParseSavepoint([]byte(stmt), true, make([]byte, 0, 63))
		if got := fmt.Sprintf("%d %s %v", c, name, ok); got != want {
			t.Errorf("%s: %q, want %q", stmt, got, want)
		}
	}
}
