package exact

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgscript"
)

var update = flag.Bool("exact.update", false, "write docs/differences.md")

// TestDocument holds docs/differences.md against the table.
func TestDocument(t *testing.T) {
	const path = "../../docs/differences.md"
	if *update {
		if err := os.WriteFile(path, []byte(markdown()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(text) != markdown() {
		t.Errorf("%s is not the table: go test ./deploy/exact -run TestDocument -exact.update", path)
	}
}

func message(raw []byte) pgscript.Message { return pgscript.Message{Type: raw[0], Body: raw[5:]} }

// withFields is an ErrorResponse with more fields than most scripts need.
func withFields(fields ...string) pgscript.Message {
	var body []byte
	for _, f := range fields {
		body = append(append(body, f...), 0)
	}
	return pgscript.Message{Type: 'E', Body: append(body, 0)}
}

// TestDifferences shows of each row what it lets pass, and what is near and is not let pass.
func TestDifferences(t *testing.T) {
	const none = "protocol violation: invalid frontend message type 122"
	fatal := message(pgscript.ErrorResponse("FATAL", "08P01", none))
	fatal.Body = append([]byte("VFATAL\x00"), fatal.Body...)
	lost := message(pgscript.ErrorResponse("ERROR", "08P01", "unexpected message type 0x58 during COPY from stdin"))
	syntax := message(pgscript.ErrorResponse("ERROR", "42601", "syntax error"))
	ready := message(pgscript.ReadyForQuery('I'))
	unknown, query, goodbye := pgscript.Frame('z', []byte("x")), pgscript.Query("SELECT 1"), pgscript.Terminate()
	plan := message(pgscript.ErrorResponse("ERROR", "0A000", "cached plan must not change result type"))
	blocks := message(pgscript.ErrorResponse("ERROR", "0A000", "transaction blocks are not allowed in pool mode statement"))
	undefined := message(pgscript.ErrorResponse("ERROR", "55000", `currval of sequence "sq" is not yet defined in this session`))
	gone := message(pgscript.ErrorResponse("ERROR", "26000", `prepared statement "a" does not exist`))
	row, bound := message(pgscript.DataRow("1")), message(pgscript.BindComplete())
	broken := withFields("C42883", "Moperator does not exist")
	described := message(pgscript.ParameterDescription(23))
	tests := []struct {
		row  string // the row that lets it pass; "" is none
		mode Mode
		x    pair
	}{
		{"", Session, pair{want: row, got: message(pgscript.DataRow("2"))}},
		{"", Session, pair{want: ready, got: message(pgscript.ReadyForQuery('T'))}},
		{"object identifiers", Session, pair{want: message(pgscript.RowDescription(pgscript.Column{Name: "a", OID: 20001})), got: message(pgscript.RowDescription(pgscript.Column{Name: "a", OID: 20002}))}},
		{"", Session, pair{want: message(pgscript.RowDescription(pgscript.Column{Name: "a", OID: 23})), got: message(pgscript.RowDescription(pgscript.Column{Name: "a", OID: 25}))}},
		{"", Session, pair{want: message(pgscript.RowDescription(pgscript.Column{Name: "a", OID: 20001})), got: message(pgscript.RowDescription(pgscript.Column{Name: "b", OID: 20002}))}},
		{"places of errors", Session, pair{want: withFields("C42601", "Mno", "Fscan.l", "L7", "Rx"), got: withFields("C42601", "Mno")}},
		{"", Session, pair{want: withFields("C42601", "Mno", "Fscan.l", "L7", "Rx"), got: withFields("C42601", "Mno", "Fscan.l", "L8", "Rx")}},
		{"", Session, pair{want: withFields("C42601", "Mno", "P1", "Fscan.l"), got: withFields("C42601", "Mno")}},
		{"process identifiers", Session, pair{want: message(pgscript.NotificationResponse(1, "ch", "x")), got: message(pgscript.NotificationResponse(2, "ch", "x"))}},
		{"", Session, pair{want: message(pgscript.NotificationResponse(1, "ch", "x")), got: message(pgscript.NotificationResponse(1, "ch", "y"))}},
		{"messages that are none", Session, pair{want: end, got: fatal, turn: Turn{unknown}}},
		{"", Session, pair{want: ready, got: fatal, rest: []pgscript.Message{ready}, turn: Turn{query, unknown}}},
		{"messages that are none", Session, pair{want: end, got: fatal, turn: Turn{{'S', 0x7f, 0, 0, 0}}}},
		{"messages that are none", Session, pair{want: end, got: bound, turn: Turn{{'S', 0x7f, 0, 0, 0}}}},
		{"", Session, pair{want: end, got: bound, turn: Turn{unknown}}},
		{"", Session, pair{want: end, got: fatal, turn: Turn{query}}},
		{"Terminate in COPY", Session, pair{want: lost, got: end}},
		{"Terminate in COPY", Session, pair{want: message(pgscript.ErrorResponse("ERROR", "08P01", "unexpected message type 0x45 during COPY from stdin")), got: end, turn: Turn{goodbye}}},
		{"", Session, pair{want: message(pgscript.ErrorResponse("ERROR", "08P01", "unexpected message type 0x45 during COPY from stdin")), got: end, turn: Turn{query}}},
		{"Terminate in COPY", Session, pair{want: ready, got: end, turn: Turn{pgscript.CopyData("bad"), pgscript.Sync(), goodbye}}},
		{"", Session, pair{want: ready, got: end, turn: Turn{pgscript.CopyData("bad"), goodbye, pgscript.Sync()}}},
		{"messages during COPY", Session, pair{want: lost, got: message(pgscript.ErrorResponse("ERROR", "08P01", "unexpected message type 0x43 during COPY from stdin"))}},
		{"", Session, pair{want: lost, got: message(pgscript.ErrorResponse("ERROR", "08P01", "invalid message format"))}},
		{"", Session, pair{want: syntax, got: end}},
		{"answers that nobody has asked for", Session, pair{want: syntax, got: end, sent: Turn{pgscript.Parse("", "SELEC"), goodbye}}},
		{"", Session, pair{want: syntax, got: end, sent: Turn{pgscript.Parse("", "SELEC"), pgscript.Flush(), goodbye}}},
		{"", Session, pair{want: ready, got: end, rest: []pgscript.Message{ready}, sent: Turn{query, pgscript.Parse("", "SELEC"), goodbye}}},
		{"currval and lastval", Transaction, pair{want: row, got: undefined}},
		{"", Session, pair{want: row, got: undefined}},
		{"types that have changed", Transaction, pair{want: plan, got: bound, ddl: true}},
		{"types that have changed", Transaction, pair{want: message(pgscript.ParameterDescription(23)), got: message(pgscript.ParameterDescription(25)), ddl: true}},
		{"", Transaction, pair{want: message(pgscript.ParameterDescription(23)), got: message(pgscript.ParameterDescription(25))}},
		{"", Transaction, pair{want: plan, got: bound}},
		{"", Session, pair{want: plan, got: bound, ddl: true}},
		{"", Transaction, pair{want: bound, got: plan}},
		{"statements in a failed transaction", Transaction, pair{want: withFields("C25P02", "Mno", "L7", "Rbind"), got: withFields("C25P02", "Mno", "L8", "Rparse")}},
		{"statements in a failed transaction", Transaction, pair{want: message(pgscript.ParameterDescription()), got: withFields("C25P02", "Mno")}},
		{"", Transaction, pair{want: bound, got: withFields("C25P02", "Mno")}},
		{"", Session, pair{want: withFields("C25P02", "Mno", "L7", "Rx"), got: withFields("C25P02", "Mno", "L8", "Rx")}},
		{"DEALLOCATE that is prepared", Transaction, pair{want: message(pgscript.CommandComplete("DEALLOCATE")), got: gone, sent: Turn{pgscript.Parse("", "DEALLOCATE a")}}},
		{"", Transaction, pair{want: message(pgscript.CommandComplete("DEALLOCATE")), got: gone, sent: Turn{pgscript.Query("DEALLOCATE a")}}},
		{"DEALLOCATE that is prepared", Transaction, pair{want: gone, got: withFields("C42P03", "Mcursor"), sent: Turn{pgscript.Parse("", "DEALLOCATE ALL")}}},
		{"DEALLOCATE that is prepared", Transaction, pair{want: gone, got: message(pgscript.ParameterDescription()), sent: Turn{pgscript.Parse("", "DEALLOCATE ALL")}}},
		{"a Describe that fails", Transaction, pair{want: described, got: broken, rest: []pgscript.Message{described, broken}}},
		{"", Transaction, pair{want: described, got: broken, rest: []pgscript.Message{described, gone}}},
		{"", Transaction, pair{want: described, got: broken, rest: []pgscript.Message{described, ready}}},
		{"", Session, pair{want: described, got: broken, rest: []pgscript.Message{described, broken}}},
		{"VACUUM behind a Parse", Transaction, pair{want: message(pgscript.CommandComplete("VACUUM")), got: withFields("C25001", "MVACUUM cannot be executed within a pipeline")}},
		{"", Transaction, pair{want: message(pgscript.CommandComplete("VACUUM")), got: withFields("C25001", "MVACUUM cannot run inside a transaction block")}},
		{"", Session, pair{want: message(pgscript.CommandComplete("VACUUM")), got: withFields("C25001", "MVACUUM cannot be executed within a pipeline")}},
		{"transaction blocks in pool mode statement", Statement, pair{want: message(pgscript.CommandComplete("BEGIN")), got: blocks}},
		{"", Transaction, pair{want: message(pgscript.CommandComplete("BEGIN")), got: blocks}},
		{"transaction blocks in pool mode statement", Statement, pair{want: row, got: message(pgscript.ErrorResponse("ERROR", "0A000", "statements that are larger than max_statement_bytes are not allowed in pool mode statement"))}},
	}
	shown := map[string]bool{}
	for i, tt := range tests {
		h := &Harness{Used: map[string]int{}}
		tt.x.mode = tt.mode
		if tt.x.rest == nil {
			tt.x.rest = []pgscript.Message{tt.x.want}
		}
		h.judge(&tt.x)
		if h.Used[tt.row] != 1 && tt.row != "" || tt.row == "" && len(h.Used) > 0 {
			t.Errorf("%d: %s instead of %s passes by %v, not by %q", i, full(tt.x.got), full(tt.x.want), h.Used, tt.row)
		}
		shown[tt.row] = true
	}
	for _, d := range Differences() {
		if !shown[d.Name] {
			t.Errorf("nothing shows what %q lets pass", d.Name)
		}
	}
	if slices.IndexFunc(Differences(), func(d Difference) bool { return d.What == "" || d.Reason == "" }) >= 0 {
		t.Error("a row does not say what and why")
	}
}

// markdown is the table as a document.
func markdown() string {
	var b strings.Builder
	b.WriteString("# What differs from PostgreSQL\n\n" +
		"Every answer that a client gets through the proxy is PostgreSQL's own, message by message and byte by byte, but for what stands here. " +
		"This is the table by which `deploy/exact` compares the two (`difference.go`): what it finds besides is a fault. " +
		"LISTEN is compared with `listen = \"pin\"`; what is different with `listen = \"shared\"`, as other connections hear the notifications, stands in [listen.md](listen.md).\n")
	for _, d := range Differences() {
		modes := "all pool modes"
		if d.Modes != nil {
			names := make([]string, len(d.Modes))
			for i, m := range d.Modes {
				names[i] = m.String()
			}
			modes = "pool mode " + strings.Join(names, " and ")
		}
		fmt.Fprintf(&b, "\n## %s\n\nIn %s. %s\n\nWhy: %s\n", strings.ToUpper(d.Name[:1])+d.Name[1:], modes, d.What, d.Reason)
	}
	return b.String()
}
