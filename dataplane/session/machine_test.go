package session

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/heliosproxy/heliosproxy/dataplane/query"
	"github.com/heliosproxy/heliosproxy/dataplane/state/facts"
	"github.com/heliosproxy/heliosproxy/dataplane/state/meter"
	"github.com/heliosproxy/heliosproxy/dataplane/state/pin"
	"github.com/heliosproxy/heliosproxy/dataplane/state/serverstate"
	"github.com/heliosproxy/heliosproxy/dataplane/state/settings"
	"github.com/heliosproxy/heliosproxy/dataplane/state/statement"
	"github.com/heliosproxy/heliosproxy/pkg/pgerr"
	"github.com/heliosproxy/heliosproxy/pkg/pgwire"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgscript"
)

// judge classifies, and rejects texts with the word forbidden.
type judge struct{}

func (judge) Judge(q *query.Query) query.Verdict {
	if q.Text != nil {
		t := q.Known.Of(q.Text, q.StdStrings)
		q.Facts, q.Shape = t.Summary, t.Shape
	}
	if bytes.Contains(q.Text, []byte("forbidden")) {
		return query.Verdict{Action: query.Reject, Err: pgerr.New(pgerr.Canceled)}
	}
	return query.Verdict{}
}

// rig is a machine with a server connection that the test plays.
type rig struct {
	*Session
	srv *serverstate.Server
	lim Limits

	policy pin.Policy
}

func newRig(startup ...settings.Pair) *rig {
	r := &rig{srv: &serverstate.Server{Held: statement.NewHeld(3, 1<<20), Status: 'I'}}
	r.lim = Limits{Statements: 10, StatementBytes: 1 << 16, TextBytes: 1 << 12}
	var scratch []byte
	sh := &Shared{Registry: statement.NewRegistry("h_"), Account: &meter.Account{}, Known: facts.NewCache(1 << 20), Scratch: &scratch}
	r.Session = New(sh, judge{}, &r.lim, &r.policy, settings.Of(startup...))
	r.Pool = "p"
	return r
}

// client feeds what a client sends, and returns what the server gets, a line a message, then "<" and what
// the client is answered at once.
func (r *rig) client(t testing.TB, msgs ...[]byte) string {
	t.Helper()
	out, back, err := r.FromClient(bytes.Join(msgs, nil), r.srv)
	if err != nil {
		t.Fatal(err)
	}
	s := lines(out, pgscript.Message.Frontend)
	if len(back) > 0 {
		s += " < " + lines(back, pgscript.Message.Backend)
	}
	return s
}

// server feeds what the server sends and returns what the client gets.
func (r *rig) server(t testing.TB, msgs ...[]byte) string {
	t.Helper()
	out, err := r.FromServer(bytes.Join(msgs, nil), r.srv)
	if err != nil {
		t.Fatal(err)
	}
	return lines(out, pgscript.Message.Backend)
}

func lines(p []byte, render func(pgscript.Message) string) string {
	var ls []string
	for len(p) >= pgwire.HeaderSize {
		n := pgwire.HeaderSize + pgwire.Body(p)
		ls = append(ls, render(pgscript.Message{Type: p[0], Body: p[pgwire.HeaderSize:n]}))
		p = p[n:]
	}
	return strings.Join(ls, "; ")
}

func check2(t *testing.T, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s:\n got %s\nwant %s", what, got, want)
	}
}

// The messages that the tests speak with.
var (
	sync0  = pgscript.Sync()
	readyI = pgscript.ReadyForQuery('I')
	done1  = pgscript.ParseComplete()
	done2  = pgscript.BindComplete()
)

// TestMalformedText looks at each text anew: what was found out about one that the server refuses as malformed says nothing of the next.
func TestMalformedText(t *testing.T) {
	for _, text := range [][]byte{
		pgscript.Frame('Q', nil), pgscript.Frame('Q', []byte("SELECT 1")), pgscript.Frame('Q', []byte("SELECT 1\x00x")), pgscript.Frame('P', []byte("a\x00SELECT 1\x00x")),
		pgscript.Frame('P', []byte("a\x00SELECT 1")), pgscript.Frame('F', []byte("SELECT 1\x00")),
	} {
		r := newRig()
		_, rest, _, err := r.Begin(text)
		if err != nil {
			t.Fatal(err)
		}
		r.client(t, rest)
		check2(t, fmt.Sprintf("behind %q", text), r.client(t, pgscript.Query("forbidden")), "Q .")
	}
}

// TestSkippedText looks at each text anew: one that was kept back when it had been looked at, and is skipped then, says nothing of the next.
func TestSkippedText(t *testing.T) {
	for name, text := range map[string][]byte{"Query": pgscript.Query("EXECUTE a"), "Parse": pgscript.Parse("c", "EXECUTE a")} {
		r := newRig()
		check2(t, name+", kept back", r.client(t, pgscript.Parse("a", "SELECT 1"), sync0, pgscript.Parse("", "SELECT nope"), text, sync0), `P h_1 "SELECT 1"; S; P  "SELECT nope"`)
		r.server(t, done1, readyI, pgscript.ErrorResponse("ERROR", "42703", "no"))
		if !r.Resume() {
			t.Errorf("%s: nothing goes on", name)
		}
		check2(t, name+", skipped", r.client(t), "S")
		r.server(t, readyI)
		check2(t, "behind a "+name, r.client(t, pgscript.Query("forbidden")), "Q .")
	}
}

// TestNamedStatements follows named statements of two sessions over one server connection.
func TestNamedStatements(t *testing.T) {
	a := newRig()
	b := newRig()
	b.shared, b.srv = a.shared, a.srv
	check2(t, "parse", a.client(t, pgscript.Parse("s", "SELECT 1"), sync0), `P h_1 "SELECT 1"; S`)
	check2(t, "parsed", a.server(t, done1, readyI), "1; Z I")
	check2(t, "another session's", b.client(t, pgscript.Parse("x", "SELECT 1"), sync0), "S < 1")
	check2(t, "ready", b.server(t, readyI), "Z I")
	check2(t, "bind, as it is parsed now", b.client(t, pgscript.Bind("", "x"), sync0), `C S h_1; P h_1 "SELECT 1"; B  h_1; S`)
	b.server(t, pgscript.CloseComplete(), done1, done2, readyI)
	check2(t, "bind again", b.client(t, pgscript.Bind("", "x"), sync0), "B  h_1; S")
	b.server(t, done2, readyI)
	check2(t, "not its own", b.client(t, pgscript.Bind("", "h_1"), sync0), "B  ?h_1; S")
	b.server(t, pgscript.ErrorResponse("ERROR", "26000", "no"), readyI)
	for i := range 3 { // the first is evicted for the third of these
		a.client(t, pgscript.Parse(fmt.Sprint("n", i), fmt.Sprint("SELECT 'n", i, "'")), sync0)
		a.server(t, done1, readyI)
	}
	check2(t, "prepared again in the same write", a.client(t, pgscript.Bind("", "s"), sync0), `C S h_2; P h_1 "SELECT 1"; B  h_1; S`)
	check2(t, "its answers are the client's own", a.server(t, pgscript.CloseComplete(), done1, done2, readyI), "2; Z I")
	if n := a.srv.Held.Len(); n != 3 {
		t.Errorf("%d statements are held, want 3", n)
	}
}

// TestHiddenFailure has a server refuse settings that were sent ahead because it had accepted them before.
func TestHiddenFailure(t *testing.T) {
	r := newRig(settings.Pair{Name: "work_mem", Value: "1MB"})
	r.Prelude()
	check2(t, "ahead", r.client(t, pgscript.Query("SELECT 1")), `Q SELECT pg_catalog.set_config('work_mem','1MB',false);; Q SELECT 1`)
	_, err := r.FromServer(pgscript.ErrorResponse("ERROR", "42501", "permission denied"), r.srv)
	var pe *pgerr.Error
	if !errors.As(err, &pe) || pe.ID != pgerr.SettingsLost {
		t.Errorf("%v, want %s", err, "SettingsLost")
	}
	r = newRig(settings.Pair{Name: "work_mem", Value: "1MB"})
	r.Prelude()
	r.client(t, pgscript.Query("SELECT 1"))
	check2(t, "and its answer is not the client's", r.server(t, pgscript.RowDescription(pgscript.Column{Name: "x", OID: 25}), pgscript.DataRow("1MB"), pgscript.CommandComplete("SELECT 1"), readyI,
		pgscript.CommandComplete("SELECT 1"), readyI), "C SELECT 1; Z I")
}

// TestResets puts other words in place of what goes back to the session's first settings.
func TestResets(t *testing.T) {
	for sql, want := range map[string]string{
		"RESET work_mem":                "RESET",
		"SET work_mem TO DEFAULT":       "SET",
		"SET LOCAL work_mem = DEFAULT":  "SET",
		"/* x */ reset all":             "RESET",
		"DISCARD ALL":                   "DISCARD ALL",
		"DEALLOCATE ALL":                "DEALLOCATE ALL",
		"SELECT 1; RESET work_mem; END": "SELECT 1,RESET,COMMIT",
	} {
		r := newRig(settings.Pair{Name: "work_mem", Value: "1MB"})
		if out := r.client(t, pgscript.Query(sql)); !strings.Contains(out, "DO LANGUAGE plpgsql") || strings.Contains(out, "RESET work_mem") {
			t.Errorf("%s is sent as %s", sql, out)
		}
		var answers, tags [][]byte
		for _, tag := range strings.Split(want, ",") {
			tags = append(tags, pgscript.CommandComplete(tag))
			if tag != "SELECT 1" && tag != "COMMIT" {
				tag = "DO"
			}
			answers = append(answers, pgscript.CommandComplete(tag))
		}
		check2(t, sql, r.server(t, append(answers, readyI)...), lines(bytes.Join(append(tags, readyI), nil), pgscript.Message.Backend))
	}
}

// TestRejected has the pipeline reject statements in the middle of a transaction: the error comes in its
// turn, from the server's point of view too.
func TestRejected(t *testing.T) {
	r := newRig()
	check2(t, "simple", r.client(t, pgscript.Query("SELECT forbidden")), "Q .")
	check2(t, "its error", r.server(t, pgscript.ErrorResponse("ERROR", "42601", "syntax"), pgscript.ReadyForQuery('E')), "E 57014 canceling statement due to user request; Z E")
	check2(t, "extended", r.client(t, pgscript.Parse("", "SELECT 1"), pgscript.Parse("s", "SELECT forbidden"), pgscript.Bind("", "s"), sync0),
		`P  "SELECT 1"; D S h_refused; B  s; S`)
	check2(t, "its error", r.server(t, done1, pgscript.ErrorResponse("ERROR", "26000", "no"), readyI), "1; E 57014 canceling statement due to user request; Z I")
	if !r.Quiet() {
		t.Error("something is left under way")
	}
}

// TestRefuse answers units of a session that got no server connection.
func TestRefuse(t *testing.T) {
	say := func(dst []byte) []byte { return pgwire.AppendError(dst, pgerr.New(pgerr.Canceled)) }
	r := newRig()
	stream := bytes.Join([][]byte{pgscript.Query("SELECT 1"), pgscript.Parse("", "SELECT 2"), pgscript.Bind("", ""), pgscript.Query("skipped"), sync0, sync0, pgscript.Query("SELECT 3")}, nil)
	var answers []byte
	for p := stream; ; {
		q, rest, reply, err := r.Begin(p)
		answers = append(answers, reply...)
		if err != nil {
			t.Fatal(err)
		}
		if q == nil {
			break
		}
		p, reply = r.Refuse(rest, say)
		answers = append(answers, reply...)
	}
	const e = "E 57014 canceling statement due to user request"
	check2(t, "answers", lines(answers, pgscript.Message.Backend), strings.Join([]string{e, "Z I", e, "Z I", e, "Z I", e, "Z I"}, "; "))
}

// TestBounds refuses what PostgreSQL refuses, and says so.
func TestBounds(t *testing.T) {
	for _, p := range [][]byte{{'Q', 0, 0, 0, 3}, {'S', 0, 1, 0, 0}, {'?', 0, 0, 0, 4}, {'E', 0xff, 0xff, 0xff, 0xff}, {'p', 0, 0, 0, 4}} {
		r := newRig()
		_, _, none := r.FromClient(p, r.srv)
		if none != nil {
			t.Errorf("%q: %v ends the session before what it has sent is carried out", p, none)
		}
		err := r.Ending()
		_, _, _, err2 := newRig().Begin(p)
		for _, err := range []error{err, err2} {
			var pe *pgerr.Error
			if !errors.As(err, &pe) || pe.SQLState != "08P01" {
				t.Errorf("%q: %v", p, err)
			}
		}
	}
}

// TestLeft says what a client leaves that goes at some point.
func TestLeft(t *testing.T) {
	for _, c := range []struct {
		name   string
		client [][]byte
		server [][]byte
		want   serverstate.Left
	}{
		{"nothing", [][]byte{pgscript.Query("SELECT 1")}, [][]byte{pgscript.CommandComplete("SELECT 1"), readyI}, serverstate.Left{}},
		{"a query", [][]byte{pgscript.Query("SELECT 1")}, nil, serverstate.Left{Owed: 1}},
		{"a pipeline", [][]byte{pgscript.Query("SELECT 1"), pgscript.Parse("", "SELECT 1"), sync0}, nil, serverstate.Left{Owed: 2, Dirty: true}},
		{"no Sync", [][]byte{pgscript.Parse("", "SELECT 1")}, nil, serverstate.Left{Unsynced: true, Extended: true, Dirty: true}},
		{"half a message", [][]byte{pgscript.CopyData("abcdef")[:7]}, nil, serverstate.Left{Partial: true}},
		{"COPY", [][]byte{pgscript.Query("COPY t FROM STDIN")}, [][]byte{pgscript.CopyInResponse(1)}, serverstate.Left{Owed: 1, CopyIn: true}},
		{"half an answer", [][]byte{pgscript.Query("SELECT 1")}, [][]byte{pgscript.DataRow("abcdefgh")[:10]}, serverstate.Left{Owed: 1, Tail: len(pgscript.DataRow("abcdefgh")) - 10}},
		{"a setting", [][]byte{pgscript.Query("SET work_mem = 1")}, nil, serverstate.Left{Owed: 1, Dirty: true}},
	} {
		r := newRig()
		if _, _, err := r.FromClient(bytes.Join(c.client, nil), r.srv); err != nil {
			t.Fatal(err)
		}
		if c.server != nil {
			if _, err := r.FromServer(bytes.Join(c.server, nil), r.srv); err != nil {
				t.Fatal(err)
			}
		}
		if got := r.Left(); fmt.Sprint(got) != fmt.Sprint(c.want) {
			t.Errorf("%s: %+v, want %+v", c.name, got, c.want)
		}
	}
}

// TestGoodbyeBehindTheRest ends a session behind the rest of a message of which the server has the beginning: the rest goes there
// too, or what comes next on the server connection would be taken for it.
func TestGoodbyeBehindTheRest(t *testing.T) {
	for _, goodbye := range [][]byte{pgscript.Terminate(), {'z', 0, 0, 0, 4}} {
		r := newRig()
		ignored := pgscript.CopyData("no more")
		var sent []byte
		for _, p := range [][]byte{ignored[:7], append(bytes.Clone(ignored[7:]), goodbye...)} {
			out, _, err := r.FromClient(p, r.srv)
			if err != nil {
				t.Fatal(err)
			}
			sent = append(sent, out...)
		}
		if !bytes.Equal(sent, ignored) {
			t.Errorf("the server got %q of %q", sent, ignored)
		}
		if r.Ending() == nil || !r.Quiet() {
			t.Errorf("%q does not end the session", goodbye)
		}
	}
}

// TestGoodbyeUnsynced ends a session that has asked for nothing: the server is asked, as it may have sent the beginning of a message whose
// end it keeps back, and the session would wait for that for ever.
func TestGoodbyeUnsynced(t *testing.T) {
	for _, goodbye := range [][]byte{pgscript.Terminate(), {'z', 0, 0, 0, 4}} {
		r := newRig()
		unit := bytes.Join([][]byte{pgscript.Parse("", "SELECT 1"), pgscript.Bind("", ""), pgscript.Execute("", 0)}, nil)
		out, _, err := r.FromClient(append(bytes.Clone(unit), goodbye...), r.srv)
		if want := append(unit, pgscript.Flush()...); err != nil || !bytes.Equal(out, want) {
			t.Fatalf("the server gets %q, want %q: %v", out, want, err)
		}
		row := pgscript.DataRow("a long one")
		answer := bytes.Join([][]byte{pgscript.ParseComplete(), pgscript.BindComplete(), row, pgscript.CommandComplete("SELECT 1")}, nil)
		for _, p := range [][]byte{answer[:20], answer[20:]} {
			if r.Quiet() {
				t.Error("the session ends within a message")
			}
			if _, err := r.FromServer(p, r.srv); err != nil {
				t.Fatal(err)
			}
		}
		if r.Ending() == nil || !r.Quiet() {
			t.Errorf("%q does not end the session", goodbye)
		}
	}
}
