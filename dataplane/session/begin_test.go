package session

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/heliosproxy/heliosproxy/dataplane/state/pin"
	"github.com/heliosproxy/heliosproxy/dataplane/state/settings"
	"github.com/heliosproxy/heliosproxy/pkg/pgerr"
	"github.com/heliosproxy/heliosproxy/pkg/pgwire"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgscript"
)

// begun feeds a session without a server connection in pieces, and says what it answers, and what it wants a server for.
func begun(t *testing.T, r *rig, stream []byte, piece int) string {
	t.Helper()
	var replies []byte
	for p := stream; len(p) > 0; p = p[min(piece, len(p)):] {
		q, rest, reply, err := r.Begin(bytes.Clone(p[:min(piece, len(p))]))
		replies = append(replies, reply...)
		said := lines(replies, pgscript.Message.Backend)
		switch {
		case errors.Is(err, ErrTerminated):
			return said + " terminated"
		case err != nil:
			return said + " " + err.Error()
		case q != nil && q.Opaque:
			return said + " opaque"
		case q != nil && q.Text == nil:
			return said + fmt.Sprintf(" %c", rest[0])
		case q != nil:
			return said + " " + string(q.Text)
		}
	}
	return lines(replies, pgscript.Message.Backend)
}

// TestBegin finds the first statement of what a client sends, however it comes.
func TestBegin(t *testing.T) {
	known := pgscript.Parse("b", "SELECT 'shared'")
	for _, c := range []struct {
		name   string
		stream []byte
		want   string
	}{
		{"a query", pgscript.Query("SELECT 1"), " SELECT 1"},
		{"a Parse", join(pgscript.Parse("a", "SELECT 1"), sync0), " SELECT 1"},
		{"a Bind", pgscript.Bind("", "a"), " B"},
		{"a Sync", sync0, " S"},
		{"a goodbye", pgscript.Terminate(), " terminated"},
		{"a text that is too long", pgscript.Query(strings.Repeat("x", 5000)), " opaque"},
		{"copy data that nobody waits for", join(pgscript.CopyData("xxxxxxxxxxxxxxx"), pgscript.CopyDone(), pgscript.CopyFail("x"), pgscript.Query("SELECT 1")), " SELECT 1"},
		{"nothing", pgscript.Query("SELECT 1")[:6], ""},
		{"what is no message", []byte("GET / HTTP/1.0\r\n"), " FATAL: protocol violation: invalid frontend message type 71 (SQLSTATE 08P01)"},
		{"a message that is too long", []byte{'S', 0, 0, 0x30, 0}, " FATAL: protocol violation: invalid message length (SQLSTATE 08P01)"},
	} {
		for piece := 1; piece < len(c.stream)+1; piece += 1 + piece/40 {
			if got := begun(t, newRig(), c.stream, piece); got != c.want {
				t.Errorf("%s in pieces of %d: %q, want %q", c.name, piece, got, c.want)
			}
		}
	}
	// A statement that a server has parsed is prepared without one.
	r := newRig()
	r.client(t, pgscript.Parse("a", "SELECT 'shared'"), sync0)
	other := newRig()
	other.shared = r.shared
	if got := begun(t, other, join(known, sync0), 1000); got != " SELECT 'shared'" {
		t.Errorf("before the server has parsed it: %q", got)
	}
	r.server(t, done1, readyI)
	other = newRig()
	other.shared = r.shared
	check2(t, "afterwards", begun(t, other, join(known, sync0, pgscript.Query("SELECT 2")), 1000), "1; Z I SELECT 2")
	check2(t, "and used", other.client(t, pgscript.Bind("", "b"), sync0), `P h_1 "SELECT 'shared'"; B  h_1; S`)
	for name, change := range map[string]func(*rig){
		"under other settings":                func(r *rig) { r.Want = settings.Of(settings.Pair{Name: "search_path", Value: "x"}) },
		"in another database":                 func(r *rig) { r.Pool = "q" },
		"when it keeps its server connection": func(r *rig) { r.Keeps = true },
		"beyond the limit":                    func(r *rig) { r.lim.Statements = 0 },
		"beyond the bytes":                    func(r *rig) { r.lim.StatementBytes = 3 },
	} {
		other := newRig()
		other.shared = r.shared
		change(other)
		if got := begun(t, other, join(known, sync0), 1000); got != " SELECT 'shared'" {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// TestRefuseInPieces refuses a unit of which the rest comes later: it goes nowhere, and the answer ends with the Sync.
func TestRefuseInPieces(t *testing.T) {
	unit := join(pgscript.Parse("", "SELECT forbidden"), pgscript.Bind("", "", strings.Repeat("v", 100)), pgscript.Execute("", 0), sync0)
	for first := len(pgscript.Parse("", "SELECT forbidden")); first < len(unit); first++ {
		r := newRig()
		q, rest, _, err := r.Begin(unit[:first])
		if q == nil || err != nil {
			t.Fatal(q, err)
		}
		rest, answer := r.Refuse(rest, func(dst []byte) []byte { return pgwire.AppendError(dst, pgerr.New(pgerr.Canceled)) })
		check2(t, "refusal", lines(answer, pgscript.Message.Backend), "E 57014 canceling statement due to user request")
		q, _, reply, err := r.Begin(rest)
		if q != nil || err != nil {
			t.Fatalf("after %d bytes: %v, %v", first, q, err)
		}
		q, _, more, err := r.Begin(unit[first:])
		if q != nil || err != nil {
			t.Fatalf("after %d bytes: %v, %v", first, q, err)
		}
		check2(t, fmt.Sprintf("the rest behind %d bytes", first), lines(append(reply, more...), pgscript.Message.Backend), "Z I")
	}
}

// TestRefuseUnseen refuses messages that are not there whole when they are refused.
func TestRefuseUnseen(t *testing.T) {
	long := pgscript.Query(strings.Repeat("Q", 5000))
	bind := join(pgscript.Bind("", "", strings.Repeat("S\x00\x00\x00\x04", 20)), sync0)
	for _, c := range []struct {
		msg  []byte
		want string
	}{{long, "E; Z I"}, {bind, "E; Z I"}} {
		for first := pgwire.HeaderSize; first < len(c.msg); first += 1 + first/20 {
			r := newRig()
			var answers []byte
			for _, p := range [][]byte{c.msg[:first], c.msg[first:]} {
				for len(p) > 0 {
					q, rest, reply, err := r.Begin(p)
					if err != nil {
						t.Fatal(err)
					}
					answers = append(answers, reply...)
					if p = nil; q != nil {
						p, reply = r.Refuse(rest, func(dst []byte) []byte { return append(dst, 'E', 0, 0, 0, 4) })
						answers = append(answers, reply...)
					}
				}
			}
			check2(t, fmt.Sprintf("cut behind %d bytes", first), lines(answers, pgscript.Message.Backend), c.want)
		}
	}
}

// TestPreload puts what came with the log-in in front of what comes.
func TestPreload(t *testing.T) {
	msg := pgscript.Query("SELECT 1")
	r := newRig()
	if r.Preload(nil) || !r.Preload(msg[:4]) {
		t.Error("Preload says the opposite")
	}
	q, _, _, err := r.Begin(msg[4:])
	if err != nil || q == nil || string(q.Text) != "SELECT 1" {
		t.Errorf("%v, %v", q, err)
	}
	r = newRig()
	r.Preload(msg)
	if string(r.Take()) != string(msg) || len(r.Take()) != 0 {
		t.Error("Take does not take what was put in front")
	}
}

// TestTouched notes parameters that may have changed, for the proxy to ask for them.
func TestTouched(t *testing.T) {
	own := settings.Pair{Name: "work_mem", Value: "1MB"}
	for _, c := range []struct {
		name    string
		client  []byte
		server  [][]byte
		want    string
		suspect bool
	}{
		{name: "nothing", client: pgscript.Query("SELECT 1"), server: [][]byte{one}},
		{name: "SET", client: pgscript.Query("SET TimeZone = 'UTC'; SELECT 1; set local DateStyle = x"), want: "timezone datestyle"},
		{name: "what the server reports", client: pgscript.Query("SELECT f()"), server: [][]byte{pgscript.ParameterStatus("DateStyle", "German"), one}, want: "datestyle"},
		{name: "what no session can set", client: pgscript.Query("SELECT f()"), server: [][]byte{pgscript.ParameterStatus("is_superuser", "off"), one}},
		{name: "RESET ALL", client: pgscript.Query("RESET ALL"), want: "work_mem role session_authorization"},
		{name: "set_config", client: pgscript.Query("SELECT set_config($$a.b$$, 'x', false)"), suspect: true},
		{name: "a text that cannot be followed", client: pgscript.Query(`SELECT U&"a"; set x = 1`), want: "x", suspect: true},
		{name: "characteristics", client: pgscript.Query("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY"), want: "default_transaction_isolation default_transaction_read_only default_transaction_deferrable"},
		{name: "a text too long to be looked at", client: pgscript.Query(strings.Repeat("x", 5000)), suspect: true},
		{name: "a portal", client: join(pgscript.Parse("", "SET a.b = 1"), pgscript.Bind("", ""), sync0), want: "a.b"},
		{name: "a Parse alone", client: join(pgscript.Parse("", "SET a.b = 1"), sync0)},
	} {
		r := newRig(own)
		r.client(t, c.client)
		r.server(t, c.server...)
		if got := strings.Join(r.Changes.Take(), " "); got != c.want || r.Doubtful() != c.suspect || r.Dirty() {
			t.Errorf("%s: touched %q, want %q; doubtful %v", c.name, got, c.want, r.Doubtful())
		}
	}
}

// TestBroughtOver keeps from the client what the server reports of settings that are brought over, and not that a default is another one.
func TestBroughtOver(t *testing.T) {
	pair := func(name, value string) settings.Set { return settings.Of(settings.Pair{Name: name, Value: value}) }
	for _, c := range []struct {
		name      string
		from, to  settings.Set
		said, now string
		touched   string
	}{
		{name: "what the session wants", to: pair("datestyle", "German"), said: "German"},
		{name: "the default", from: pair("datestyle", "German"), said: "ISO"},
		{name: "another default", from: pair("datestyle", "German"), said: "SQL", now: "S DateStyle=SQL; ", touched: "datestyle"},
		{name: "what the session wants over another default", from: pair("datestyle", "German"), to: pair("datestyle", "SQL"), said: "SQL"},
	} {
		r := newRig()
		r.srv.Settings, r.srv.Defaults, r.Want = c.from, pair("datestyle", "ISO"), c.to
		r.Prelude()
		r.client(t, pgscript.Query("SELECT 1"))
		got := r.server(t, pgscript.ParameterStatus("DateStyle", c.said), readyI, one, readyI)
		if want := c.now + "C SELECT 1; Z I"; got != want {
			t.Errorf("%s: the client is sent %s, want %s", c.name, got, want)
		}
		if touched := strings.Join(r.Changes.Take(), " "); touched != c.touched {
			t.Errorf("%s: touched %q, want %q", c.name, touched, c.touched)
		}
	}
}

// TestPins keeps the server connection for what a text leaves on it.
func TestPins(t *testing.T) {
	for sql, free := range map[string]bool{
		"SELECT 1": true, "PREPARE a AS SELECT 1": false, "LISTEN x": false, "CREATE TEMP TABLE t (a int)": false,
		"DECLARE c CURSOR WITH HOLD FOR SELECT 1": false, "SET work_mem = 1": true, "SET seed = 0.5": false,
	} {
		for _, found := range []bool{true, false} {
			r := newRig()
			r.client(t, pgscript.Query(sql))
			r.server(t, pgscript.CommandComplete("X"), readyI)
			var holds pin.Set
			if doubtful := r.Doubtful(); doubtful {
				if holds = r.residue.Maybe; !found {
					holds = 0
				}
				r.Looked(settings.Set{}, holds, nil)
			}
			if lasting := r.Reasons.All()&pin.Lasting != 0; r.Free() != (free || holds == 0 && !lasting) {
				t.Errorf("%s: free %v, found %v, want %v", sql, r.Free(), holds, free)
			}
		}
	}
	r := newRig()
	r.client(t, pgscript.Query("BEGIN"))
	if r.server(t, pgscript.CommandComplete("BEGIN"), readyT); r.Free() {
		t.Error("a session is free in a transaction")
	}
	r = newRig()
	long := pgscript.Parse("a", strings.Repeat("x", 5000))
	r.client(t, long, sync0)
	if r.server(t, done1, readyI); r.Free() {
		t.Error("a named statement that nobody has looked at is nowhere else")
	}
}

// TestKeeps lets a session that keeps its server connection have its own names and settings there.
func TestKeeps(t *testing.T) {
	r := newRig(settings.Pair{Name: "work_mem", Value: "1MB"})
	r.Keeps = true
	const back = `"DO LANGUAGE plpgsql 'BEGIN PERFORM pg_catalog.set_config(''work_mem'',''1MB'',false);END'"`
	r.play(t, "keeps", 1<<20, []step{
		client(`P a "SELECT 1"; B  a; D S a; C S a; S`, pgscript.Parse("a", "SELECT 1"), pgscript.Bind("", "a"), pgscript.DescribeStatement("a"), pgscript.CloseStatement("a"), sync0),
		server("1; 2; t; n; 3; Z I", done1, done2, pgscript.ParameterDescription(), pgscript.NoData(), closed, readyI),
		client("P a "+back+"; B  a; E  0; S", pgscript.Parse("a", "RESET work_mem"), pgscript.Bind("", "a"), pgscript.Execute("", 0), sync0),
		server("1; 2; C RESET; Z I", done1, done2, pgscript.CommandComplete("DO"), readyI),
		client(`Q PREPARE b AS SELECT 1; Q DEALLOCATE ALL; Q SET TimeZone = 'UTC'`, pgscript.Query("PREPARE b AS SELECT 1"), pgscript.Query("DEALLOCATE ALL"), pgscript.Query("SET TimeZone = 'UTC'")),
		server("C PREPARE; Z I; C DEALLOCATE ALL; Z I; S TimeZone=UTC; C SET; Z I", pgscript.CommandComplete("PREPARE"), readyI, pgscript.CommandComplete("DEALLOCATE ALL"), readyI,
			pgscript.ParameterStatus("TimeZone", "UTC"), pgscript.CommandComplete("SET"), readyI),
	})
	if r.Free() || r.Dirty() {
		t.Errorf("free %v, dirty %v", r.Free(), r.Dirty())
	}
}

// TestFatal remembers that the client knows why its connection ends.
func TestFatal(t *testing.T) {
	r := newRig()
	r.client(t, pgscript.Query("SELECT 1"))
	if r.Fatal() {
		t.Error("fatal from the beginning")
	}
	check2(t, "bye", r.server(t, pgscript.ErrorResponse("FATAL", "57P01", "bye")), "E 57P01 bye")
	if !r.Fatal() {
		t.Error("not fatal")
	}
	r = newRig()
	if !r.Quiet() {
		t.Error("there is something under way")
	}
	r.server(t, pgscript.ErrorResponse("FATAL", "57P01", "bye"))
	if r.Quiet() {
		t.Error("the session would let go of a server connection that is about to end, and go on without")
	}
}

// TestRoom bounds what a client may send that is not answered.
func TestRoom(t *testing.T) {
	r := newRig()
	for range 1 << 14 {
		if !r.Room() {
			t.Fatal("there is no room too soon")
		}
		r.client(t, sync0)
	}
	if r.Room() {
		t.Error("there is room for ever")
	}
	r.server(t, readyI)
	if !r.Room() {
		t.Error("an answer makes no room")
	}
}
