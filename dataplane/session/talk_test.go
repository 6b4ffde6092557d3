package session

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/heliosproxy/heliosproxy/dataplane/state/serverstate"
	"github.com/heliosproxy/heliosproxy/dataplane/state/settings"
	"github.com/heliosproxy/heliosproxy/dataplane/state/statement"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgscript"
)

// step is a part of a conversation: what one side says, and what comes out of the machine.
type step struct {
	by   byte // client, server; or 'n': another server connection from here on
	says []byte
	want string
}

func client(want string, msgs ...[]byte) step { return step{'c', bytes.Join(msgs, nil), want} }
func server(want string, msgs ...[]byte) step { return step{'s', bytes.Join(msgs, nil), want} }

// resumes lets go on what was kept back.
func resumes(want string) step { return step{by: 'r', want: want} }

// moves takes the session to another server connection.
func moves() step { return step{by: 'n'} }

// sets makes the session's settings other ones, as the walk does when a transaction has changed them.
func sets(name, value string) step { return step{'w', []byte(name), value} }

// tells makes another client be told what the statements return.
func tells() step { return step{by: 't'} }

func (r *rig) play(t *testing.T, name string, piece int, steps []step) {
	t.Helper()
	for i, st := range steps {
		switch st.by {
		case 'n':
			r.srv = &serverstate.Server{Held: statement.NewHeld(3, 1<<20), Status: 'I', Settings: r.Want}
			continue
		case 't':
			for _, st := range r.Names.All {
				st.Told.Store(7)
			}
			continue
		case 'w':
			r.Want = r.Want.Change([]settings.Pair{{Name: string(st.says), Value: st.want}}, nil)
			r.srv.Settings = r.Want
			r.Changes.Take()
			continue
		}
		var out, back []byte
		for p := st.says; len(p) > 0; p = p[min(piece, len(p)):] {
			chunk := p[:min(piece, len(p)):min(piece, len(p))]
			var o, b []byte
			var err error
			if st.by == 'c' {
				o, b, err = r.FromClient(chunk, r.srv)
			} else {
				o, err = r.FromServer(chunk, r.srv)
			}
			if err != nil {
				t.Fatalf("%s, step %d: %v", name, i, err)
			}
			out, back = append(out, o...), append(back, b...)
		}
		if st.by == 'r' {
			if !r.Resume() {
				t.Errorf("%s, step %d: nothing goes on", name, i)
			}
			out, back, _ = r.FromClient(nil, r.srv)
		}
		got := lines(out, pgscript.Message.Backend)
		if st.by != 's' {
			if got = lines(out, pgscript.Message.Frontend); len(back) > 0 {
				got += " < " + lines(back, pgscript.Message.Backend)
			}
		}
		if got != st.want {
			t.Errorf("%s, step %d in pieces of %d:\n got %s\nwant %s", name, i, piece, got, st.want)
		}
	}
	if !r.Quiet() {
		t.Errorf("%s: something is left under way: %d expected, unsynced %v, skips %v", name, r.queue.N, r.unsynced, r.skips)
	}
}

var (
	flush  = pgscript.Flush()
	readyT = pgscript.ReadyForQuery('T')
	readyE = pgscript.ReadyForQuery('E')
	closed = pgscript.CloseComplete()
	oops   = pgscript.ErrorResponse("ERROR", "42601", "oops")
	one    = pgscript.CommandComplete("SELECT 1")
	stale  = []byte("E\x00\x00\x00\x5aSERROR\x00VERROR\x00C0A000\x00Mcached plan must not change result type\x00RRevalidateCachedQuery\x00\x00")
)

// talks are conversations and what each side hears of the other.
func talks() map[string][]step {
	parse, bind, exec := pgscript.Parse, pgscript.Bind, pgscript.Execute
	long := strings.Repeat("x", 5000)
	return map[string][]step{
		"a pipeline with an error in the first unit": {
			client(`P  "SELECT 1"; B; E  0; S; Q SELECT 2`, parse("", "SELECT 1"), bind("", ""), exec("", 0), sync0, pgscript.Query("SELECT 2")),
			server("E 42601 oops; Z I; C SELECT 1; Z I", oops, readyI, one, readyI),
		},
		"COPY with its Sync ahead": {
			client(`P  "COPY t FROM STDIN"; B; E  0; S`, parse("", "COPY t FROM STDIN"), bind("", ""), exec("", 0), sync0),
			server("1; 2; G 1", done1, done2, pgscript.CopyInResponse(1)),
			client(`d "row"; c; S`, pgscript.CopyData("row"), pgscript.CopyDone(), sync0),
			server("C COPY 1; Z I", pgscript.CommandComplete("COPY 1"), readyI),
		},
		"COPY with everything ahead": {
			client(`Q COPY t FROM STDIN; d "row"; c; Q SELECT 1`, pgscript.Query("COPY t FROM STDIN"), pgscript.CopyData("row"), pgscript.CopyDone(), pgscript.Query("SELECT 1")),
			server("G 1; C COPY 1; Z I; C SELECT 1; Z I", pgscript.CopyInResponse(1), pgscript.CommandComplete("COPY 1"), readyI, one, readyI),
		},
		"COPY with Syncs ahead and among the data": {
			client(`Q COPY t FROM STDIN; S; d "row"; S; c; Q SELECT 1`, pgscript.Query("COPY t FROM STDIN"), sync0, pgscript.CopyData("row"), sync0, pgscript.CopyDone(), pgscript.Query("SELECT 1")),
			server("G 1; C COPY 1; Z I; C SELECT 1; Z I", pgscript.CopyInResponse(1), pgscript.CommandComplete("COPY 1"), readyI, one, readyI),
		},
		"COPY that fails before one of its Syncs": {
			client(`Q COPY t FROM STDIN; d "row"; S; d "row"; S; c; Q SELECT 1`, pgscript.Query("COPY t FROM STDIN"), pgscript.CopyData("row"), sync0, pgscript.CopyData("row"), sync0,
				pgscript.CopyDone(), pgscript.Query("SELECT 1")),
			server("G 1; E 42601 oops; Z I; Z I; C SELECT 1; Z I", pgscript.CopyInResponse(1), oops, readyI, readyI, one, readyI),
		},
		"COPY that fails before all of its Syncs": {
			client(`Q COPY t FROM STDIN; d "row"; S; S; c; Q SELECT 1`, pgscript.Query("COPY t FROM STDIN"), pgscript.CopyData("row"), sync0, sync0, pgscript.CopyDone(), pgscript.Query("SELECT 1")),
			server("G 1; E 42601 oops; Z I; Z I; Z I; C SELECT 1; Z I", pgscript.CopyInResponse(1), oops, readyI, readyI, readyI, one, readyI),
		},
		"COPY that fails after all of its Syncs, and a unit": {
			client(`P  "COPY t FROM STDIN"; B; E  0; d "row"; S; d "row"; c; S`, parse("", "COPY t FROM STDIN"), bind("", ""), exec("", 0), pgscript.CopyData("row"), sync0,
				pgscript.CopyData("row"), pgscript.CopyDone(), sync0),
			server("1; 2; G 1; E 42601 oops; Z I", done1, done2, pgscript.CopyInResponse(1), oops, readyI),
			client(`C S h_none; H; P h_2 "SELECT 1"; B  h_2; C S a; S`, parse("a", "SELECT 1"), bind("", "a"), pgscript.CloseStatement("a"), sync0),
			server("1; 2; 3; Z I", closed, done1, done2, closed, readyI),
		},
		"COPY that fails before one of its Syncs, and a message that is none": {
			client(`P  "COPY t FROM STDIN"; B; E  0; d "row"; S; c; S`, parse("", "COPY t FROM STDIN"), bind("", ""), exec("", 0), pgscript.CopyData("row"), sync0,
				pgscript.CopyDone(), sync0, []byte("z\x00\x00\x00\x04")),
			server("1; 2; G 1; E 42601 oops", done1, done2, pgscript.CopyInResponse(1), oops),
			client("S; C S h_none; H", sync0), // what comes is of no account
			server("Z I", readyI, readyI, closed),
		},
		"COPY that fails before all of its Syncs, and a message that is none": {
			client(`P  "COPY t FROM STDIN"; B; E  0; d "row"; S; c; S`, parse("", "COPY t FROM STDIN"), bind("", ""), exec("", 0), pgscript.CopyData("row"), sync0,
				pgscript.CopyDone(), sync0, []byte("z\x00\x00\x00\x04")),
			server("1; 2; G 1; E 42601 oops", done1, done2, pgscript.CopyInResponse(1), oops),
			client("S; C S h_none; H", sync0), // what comes is of no account
			server("Z I; Z I", readyI, readyI, readyI, closed),
		},
		"two COPYs in one text": {
			client(`Q COPY t FROM STDIN; COPY t FROM STDIN; d "row"; c`, pgscript.Query("COPY t FROM STDIN; COPY t FROM STDIN"), pgscript.CopyData("row"), pgscript.CopyDone()),
			server("G 1; C COPY 1; G 1", pgscript.CopyInResponse(1), pgscript.CommandComplete("COPY 1"), pgscript.CopyInResponse(1)),
			client(`S; d "row"; c`, sync0, pgscript.CopyData("row"), pgscript.CopyDone()),
			server("C COPY 1; Z I", pgscript.CommandComplete("COPY 1"), readyI),
		},
		"malformed messages are not put into other words": {
			client("P h_1 \"SELECT 1\"; S", parse("a", "SELECT 1"), sync0),
			server("1; Z I", done1, readyI),
			client("Q DEALLOCATE ALL", pgscript.Frame('Q', []byte("DEALLOCATE ALL\x00x"))),
			server("E 42601 oops; Z I", oops, readyI),
			client("D S a; S", pgscript.Frame('D', []byte("Sa\x00x")), sync0),
			server("E 42601 oops; Z I", oops, readyI),
			client("C S a; S", pgscript.Frame('C', []byte("Sa\x00x")), sync0),
			server("E 42601 oops; Z I", oops, readyI),
			client(`P b "SELECT 1"; S`, pgscript.Frame('P', []byte("b\x00SELECT 1\x00\x00\x00x")), sync0),
			server("E 42601 oops; Z I", oops, readyI),
			client("B  h_1; S", bind("", "a"), sync0),
			server("2; Z I", done2, readyI),
		},
		"a malformed Flush": {
			client(`H 78`, pgscript.Frame('H', []byte("x"))),
			server("E 08P01 no", pgscript.ErrorResponse("ERROR", "08P01", "no")),
			client("S", parse("a", "SELECT 1"), sync0),
			server("Z I", readyI),
		},
		"a name that is longer than names are": {
			client(`P h_1 "SELECT 1"; B  h_1; S`, parse(strings.Repeat("n", 63)+"x", "SELECT 1"), bind("", strings.Repeat("n", 63)+"y"), sync0),
			server("1; 2; Z I", done1, done2, readyI),
		},
		"a goodbye behind a query": {
			client("Q SELECT 1", pgscript.Query("SELECT 1"), pgscript.Terminate()),
			server("C SELECT 1; Z I", one, readyI),
		},
		"a message that is none behind a query": {
			client("Q SELECT 1", pgscript.Query("SELECT 1"), pgscript.Frame('z', []byte("x")), pgscript.Query("SELECT 2")),
			server("C SELECT 1; Z I", one, readyI),
		},
		"COPY that fails": {
			client("Q COPY t FROM STDIN", pgscript.Query("COPY t FROM STDIN")),
			server("G 1", pgscript.CopyInResponse(1)),
			client("f no", pgscript.CopyFail("no")),
			server("E 42601 oops; Z I", oops, readyI),
		},
		"COPY data and its end outside of COPY": {
			client(`d "x"; c; Q SELECT 1`, pgscript.CopyData("x"), pgscript.CopyDone(), pgscript.Query("SELECT 1")),
			server("C SELECT 1; Z I", one, readyI),
		},
		"a name that is taken": {
			client(`P h_1 "SELECT 1"; S`, parse("s", "SELECT 1"), sync0),
			server("1; Z I", done1, readyI),
			client(`P s ""; P s "SELECT 2"; S; C S s; S`, parse("s", "SELECT 2"), sync0),
			server("E 42P05 taken; Z I", done1, pgscript.ErrorResponse("ERROR", "42P05", "taken"), readyI, closed, readyI),
			client("B  h_1; S", bind("", "s"), sync0),
			server("2; Z I", done2, readyI),
		},
		"what is parsed for a unit fails, and the next unit is kept back behind what closes its names": {
			client(`P h_1 "SELECT 1"; S`, parse("a", "SELECT 1"), sync0),
			server("1; Z I", done1, readyI),
			moves(),
			client("Q BEGIN; SELEC", pgscript.Query("BEGIN; SELEC")),
			server("E 42601 oops; Z E", oops, readyE),
			client(`P h_1 "SELECT 1"; B  h_1; P h_2 "SELECT 7"; P b ""; P b "SELECT 8"; S; C S b; S`,
				bind("", "a"), parse("b", "SELECT 7"), parse("b", "SELECT 8"), sync0, pgscript.DescribeStatement("a"), sync0),
			server("E 25P02 aborted; Z E", pgscript.ErrorResponse("ERROR", "25P02", "aborted"), readyE, closed, readyE),
			resumes(`P h_1 "SELECT 1"; D S h_1; S`),
			server("E 25P02 aborted; Z E", pgscript.ErrorResponse("ERROR", "25P02", "aborted"), readyE),
		},
		"a text that is known, in a unit that has failed": {
			client(`P h_1 "SELECT 1"; S`, parse("a", "SELECT 1"), sync0),
			server("1; Z I", done1, readyI),
			client("B  nobody; S", bind("", "nobody"), parse("b", "SELECT 1"), sync0),
			server("E 42601 oops; Z I", oops, readyI),
			client("B  b; S", bind("", "b"), sync0), // it was never there
			server("E 42601 oops; Z I", oops, readyI),
		},
		"a text that is known, in a failed transaction": {
			client(`P h_1 "SELECT 1"; S`, parse("a", "SELECT 1"), sync0),
			server("1; Z E", done1, readyE),
			client(`P h_again "SELECT 1"; C S h_again; S`, parse("b", "SELECT 1"), sync0),
			server("E 25P02 aborted; Z E", pgscript.ErrorResponse("ERROR", "25P02", "aborted"), readyE),
			client("Q ROLLBACK", pgscript.Query("ROLLBACK")),
			server("C ROLLBACK; Z I", pgscript.CommandComplete("ROLLBACK"), readyI),
		},
		"a Close that is skipped": {
			client(`P h_1 "SELECT 1"; S`, parse("a", "SELECT 1"), sync0),
			server("1; Z I", done1, readyI),
			client("B  nobody; C S a; S", bind("", "nobody"), pgscript.CloseStatement("a"), sync0),
			server("E 42601 oops; Z I", oops, readyI),
			client("B  h_1; S", bind("", "a"), sync0),
			server("2; Z I", done2, readyI),
		},
		"a Parse that fails": {
			client(`P h_1 "SELEC"; S`, parse("a", "SELEC"), sync0),
			server("E 42601 oops; Z I", oops, readyI),
			client(`P h_2 "SELECT 1"; S`, parse("a", "SELECT 1"), sync0), // the name is not taken
			server("1; Z I", done1, readyI),
		},
		"what comes behind an error and before its Sync": {
			client(`P  "SELEC"; H`, parse("", "SELEC"), flush),
			server("E 42601 oops", oops),
			client("", bind("", ""), exec("", 0), parse("a", "SELECT 1"), flush),
			client("S", sync0),
			server("Z I", readyI),
		},
		"the unnamed statement on another server connection, where it is skipped, and another one behind it": {
			client(`P  "SELECT 1"; S`, parse("", "SELECT 1"), sync0),
			server("1; Z I", done1, readyI),
			moves(),
			client(`D P; P  "SELECT 1"; B; S; P  "SELECT 2"`, pgscript.DescribePortal(""), bind("", ""), sync0, parse("", "SELECT 2")),
			server("E 42601 oops; Z I", oops, readyI),
			client("B p; S", bind("p", ""), sync0),
			server("1; 2; Z I", done1, done2, readyI),
		},
		"the unnamed statement on another server connection": {
			client(`P  "SELECT 1"; S`, parse("", "SELECT 1"), sync0),
			server("1; Z I", done1, readyI),
			moves(),
			client(`P  "SELECT 1"; B; S`, bind("", ""), sync0),
			server("2; Z I", done1, done2, readyI),
			client("Q SELECT 2", pgscript.Query("SELECT 2")),
			server("C SELECT 1; Z I", one, readyI),
			moves(),
			client("B; S", bind("", ""), sync0), // a Query has ended it
			server("E 26000 none; Z I", pgscript.ErrorResponse("ERROR", "26000", "none"), readyI),
		},
		"an unnamed statement in whose place comes one too long to be looked at": {
			client(`P  "SELECT 1"; P  `+fmt.Sprintf("%q", long)+"; S", parse("", "SELECT 1"), parse("", long), sync0),
			server("1; 1; Z I", done1, done1, readyI),
			client("B; S", bind("", ""), sync0), // the session stays where it is
			server("2; Z I", done2, readyI),
		},
		"an unnamed statement that is skipped: the one before is still there": {
			client(`P  "SELECT 1"; S`, parse("", "SELECT 1"), sync0),
			server("1; Z I", done1, readyI),
			client(`B  nobody; P  "SELECT 2"; C S; P  "SELECT 3"; S`, bind("", "nobody"), parse("", "SELECT 2"), pgscript.CloseStatement(""), parse("", "SELECT 3"), sync0),
			server("E 42601 oops; Z I", oops, readyI),
			client("B; S", bind("", ""), sync0),
			server("2; Z I", done2, readyI),
			moves(),
			client(`P  "SELECT 1"; B; S`, bind("", ""), sync0),
			server("2; Z I", done1, done2, readyI),
		},
		"an unnamed statement that is refused: there is none": {
			client(`P  "SELECT 1"; P  "SELEC"; S`, parse("", "SELECT 1"), parse("", "SELEC"), sync0),
			server("1; E 42601 oops; Z I", done1, oops, readyI),
			moves(),
			client("B; S", bind("", ""), sync0),
			server("E 26000 none; Z I", pgscript.ErrorResponse("ERROR", "26000", "none"), readyI),
		},
		"an unnamed statement that another server connection refuses": {
			client(`P  "SELECT 1"; S`, parse("", "SELECT 1"), sync0),
			server("1; Z I", done1, readyI),
			moves(),
			client(`P  "SELECT 1"; B; S`, bind("", ""), sync0),
			server("E 42601 oops; Z I", oops, readyI),
			client(`P  "SELECT 1"; B; S`, bind("", ""), sync0),
			server("2; Z I", done1, done2, readyI),
		},
		"a named statement that another server connection refuses": {
			client(`P h_1 "SELECT 1"; S`, parse("a", "SELECT 1"), sync0),
			server("1; Z I", done1, readyI),
			moves(),
			client(`P h_1 "SELECT 1"; D S h_1; S`, pgscript.DescribeStatement("a"), sync0),
			server("E 42601 oops; Z I", oops, readyI),
			client(`P h_1 "SELECT 1"; D S h_1; S`, pgscript.DescribeStatement("a"), sync0),
			server("A ch x; t; T x:23; Z I", pgscript.NotificationResponse(1, "ch", "x"), done1, pgscript.ParameterDescription(),
				pgscript.RowDescription(pgscript.Column{Name: "x", OID: 23}), readyI),
		},
		"an eviction that is skipped": {
			client(`P h_1 "1"; P h_2 "2"; P h_3 "3"; S`, parse("a", "1"), parse("b", "2"), parse("c", "3"), sync0),
			server("1; 1; 1; Z I", done1, done1, done1, readyI),
			client(`B  nobody; C S h_1; P h_4 "4"; S`, bind("", "nobody"), parse("d", "4"), sync0),
			server("E 42601 oops; Z I", oops, readyI),
			client(`C S h_1; P h_5 "5"; S`, parse("d", "5"), sync0), // it is there still, and closed now
			server("1; Z I", closed, done1, readyI),
		},
		"DEALLOCATE": {
			client(`P h_1 "SELECT 1"; S`, parse("a", "SELECT 1"), sync0),
			server("1; Z I", done1, readyI),
			client("Q DO LANGUAGE plpgsql 'BEGIN END'", pgscript.Query("DEALLOCATE a")),
			server("C DEALLOCATE; Z I", pgscript.CommandComplete("DO"), readyI),
			client("Q DEALLOCATE b", pgscript.Query("DEALLOCATE b")),
			server("E 42601 oops; Z I", oops, readyI),
			client("B  a; S", bind("", "a"), sync0),
			server("E 42601 oops; Z I", oops, readyI),
		},
		"DEALLOCATE ALL, and the unnamed statement": {
			client(`P  "DO LANGUAGE plpgsql 'BEGIN END'"; B; E  0; S`, parse("", "DEALLOCATE ALL"), bind("", ""), exec("", 0), sync0),
			server("1; 2; C DEALLOCATE ALL; Z I", done1, done2, pgscript.CommandComplete("DO"), readyI),
			client("B; S", bind("", ""), sync0),
			server("2; Z I", done2, readyI),
		},
		"a name like the server's": {
			client("B  ?h_1; D S ?h_1; S", bind("", "h_1"), pgscript.DescribeStatement("h_1"), sync0),
			server("E 42601 oops; Z I", oops, readyI),
		},
		"a named statement under settings that were others": {
			client(`P h_1 "SELECT 1"; S`, parse("a", "SELECT 1"), sync0),
			server("1; Z I", done1, readyI),
			sets("datestyle", "German"),
			moves(),
			client(`P h_set "SELECT pg_catalog.set_config('datestyle',NULL,false)"; B h_set h_set; E h_set 0; C P h_set; C S h_set; `+
				`P h_1 "SELECT 1"; `+
				`P h_set "SELECT pg_catalog.set_config('datestyle','German',false)"; B h_set h_set; E h_set 0; C P h_set; C S h_set; S; `+
				`B  h_1; S`, bind("", "a"), sync0),
			server("2; Z I", done1, done2, pgscript.DataRow("ISO"), one, closed, closed, done1, done1, done2, pgscript.DataRow("German"), one, closed, closed, readyI, done2, readyI),
		},
		"a named statement that cannot be parsed again, under settings that were others": {
			client(`P h_1 "SELECT 1"; S`, parse("a", "SELECT 1"), sync0),
			server("1; Z I", done1, readyI),
			sets("datestyle", "German"),
			moves(),
			client(`P h_set "SELECT pg_catalog.set_config('datestyle',NULL,false)"; B h_set h_set; E h_set 0; C P h_set; C S h_set; `+
				`P h_1 "SELECT 1"; `+
				`P h_set "SELECT pg_catalog.set_config('datestyle','German',false)"; B h_set h_set; E h_set 0; C P h_set; C S h_set; S; `+
				`B  h_1; E  0; S`, bind("", "a"), exec("", 0), sync0),
			server("E 42P01 no h_1; Z I", done1, done2, pgscript.DataRow("ISO"), one, closed, closed, pgscript.ErrorResponse("ERROR", "42P01", "no h_1"), readyI,
				pgscript.ErrorResponse("ERROR", "26000", "h_1 is not there"), readyI),
		},
		"EXECUTE and PREPARE of a statement of Parse": {
			client(`P h_1 "SELECT 1"; S`, parse("a", "SELECT 1"), sync0),
			server("1; Z I", done1, readyI),
			client("Q EXECUTE h_1", pgscript.Query("EXECUTE a")),
			server("C SELECT 1; Z I", one, readyI),
			moves(),
			client(`P h_1 "SELECT 1"; S; Q EXPLAIN EXECUTE h_1`, pgscript.Query("EXPLAIN EXECUTE a")),
			server("C SELECT 1; Z I", done1, readyI, one, readyI),
			client(`P h_2 "EXECUTE h_1"; S`, parse("b", "EXECUTE a"), sync0),
			server("1; Z I", done1, readyI),
			moves(),
			client(`P h_2 "EXECUTE h_1"; P h_1 "SELECT 1"; B  h_2; E  0; S`, bind("", "b"), exec("", 0), sync0),
			server("2; C SELECT 1; Z I", done1, done1, done2, one, readyI),
			client("Q PREPARE h_1 AS SELECT 2", pgscript.Query("PREPARE A AS SELECT 2")),
			server(`E 42P05 prepared statement "a" already exists; Z I`, pgscript.ErrorResponse("ERROR", "42P05", `prepared statement "h_1" already exists`), readyI),
			client("Q PREPARE c AS SELECT 3; P d \"SELECT 4\"; S", pgscript.Query("PREPARE c AS SELECT 3"), parse("d", "SELECT 4"), sync0),
			server("C PREPARE; Z I; 1; Z I", pgscript.CommandComplete("PREPARE"), readyI, done1, readyI),
			client("Q EXECUTE d; B  d; B  c; S", pgscript.Query("EXECUTE d"), bind("", "d"), bind("", "c"), sync0),
			server("C SELECT 1; Z I; 2; 2; Z I", one, readyI, done2, done2, readyI),
		},
		"EXECUTE of a statement that cannot be parsed again": {
			client(`P h_1 "SELECT 1"; S`, parse("a", "SELECT 1"), sync0),
			server("1; Z I", done1, readyI),
			moves(),
			client(`P h_1 "SELECT 1"; S; Q EXECUTE h_1`, pgscript.Query("EXECUTE a")),
			server("E 42P01 no t; Z I", pgscript.ErrorResponse("ERROR", "42P01", "no t"), readyI, pgscript.ErrorResponse("ERROR", "26000", "h_1 is not there"), readyI),
		},
		"a text with time words": {
			client(`P h_1 "SELECT 'now'"; S`, parse("a", "SELECT 'now'"), sync0),
			server("1; Z I", done1, readyI),
			client(`P h_2 "SELECT 'now'"; S`, parse("b", "SELECT 'now'"), sync0),
			server("1; Z I", done1, readyI),
			client("C S a; C S b; S", pgscript.CloseStatement("a"), pgscript.CloseStatement("b"), sync0),
			server("3; 3; Z I", closed, closed, readyI),
			client(`C S h_1; C S h_2; P h_3 "SELECT 1"; S`, parse("c", "SELECT 1"), sync0),
			server("1; Z I", closed, closed, done1, readyI),
		},
		"portals that suspend": {
			client(`P  "SELECT 1"; B p; E p 1; E p 0; C P p; S`, parse("", "SELECT 1"), bind("p", ""), exec("p", 1), exec("p", 0), pgscript.ClosePortal("p"), sync0),
			server("1; 2; D 1; s; C SELECT 1; 3; Z I", done1, done2, pgscript.DataRow("1"), pgscript.PortalSuspended(), one, closed, readyI),
		},
		"an empty query": {
			client("Q; Q SELECT 1", pgscript.Query(""), pgscript.Query("SELECT 1")),
			server("I; Z I; C SELECT 1; Z I", pgscript.EmptyQueryResponse(), readyI, one, readyI),
		},
		"function calls": {
			client("F 0; F 0", pgscript.Frame('F', []byte{0}), pgscript.Frame('F', []byte{0})),
			server("V 00; Z I; E 42601 oops; Z I", pgscript.Frame('V', []byte{0}), readyI, oops, readyI),
		},
		"texts too long to be looked at": {
			client("Q "+long+"; P  "+fmt.Sprintf("%q", long)+"; S", pgscript.Query(long), parse("", long), sync0),
			server("C SELECT 1; Z I; 1; Z I", one, readyI, done1, readyI),
		},
		"an error too long to be looked at": {
			client(`P  "SELECT 1"; B; S`, parse("", "SELECT 1"), bind("", ""), sync0),
			server("E 42601 "+strings.Repeat("x", maxInspected)+"; Z I", pgscript.ErrorResponse("ERROR", "42601", strings.Repeat("x", maxInspected)), readyI),
		},
		"an error whose words look like the end": {
			client(`P h_1 "x"; B  h_1; S`, parse("a", "x"), bind("", "a"), sync0),
			server("E 42601 VFATAL; Z I", pgscript.ErrorResponse("ERROR", "42601", "VFATAL"), readyI),
			client(`P h_2 "y"; S`, parse("a", "y"), sync0), // the name is not taken
			server("1; Z I", done1, readyI),
		},
		"an error that speaks of a statement by the server's name": {
			client(`P h_1 "x"; S`, parse("a", "x"), sync0),
			server("1; Z I", done1, readyI),
			client("B  h_1; S", bind("", "a"), sync0),
			server(`E 08P01 prepared statement "a" requires 1; Z I`, pgscript.ErrorResponse("ERROR", "08P01", `prepared statement "h_1" requires 1`), readyI),
		},
		"notices and notifications while nothing is under way": {
			server("N 00000 hello; A ch x", pgscript.NoticeResponse("NOTICE", "00000", "hello"), pgscript.NotificationResponse(1, "ch", "x")),
		},
	}
}

// TestTalks plays conversations, in packets and in pieces of some lengths.
func TestTalks(t *testing.T) {
	for name, steps := range talks() {
		for _, piece := range []int{1 << 20, 1, 2, 7, 64} {
			newRig().play(t, name, piece, steps)
		}
	}
}
