package session

import (
	"testing"

	"github.com/heliosproxy/heliosproxy/dataplane/state/statement"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgscript"
)

// TestHeal sends units again whose plan has changed, for those who cannot see it. A unit that does not come in one piece is not
// kept.
func TestHeal(t *testing.T) {
	const asksAgain = "a plan that has changed, for a client that asks again"
	parse, bind, exec := pgscript.Parse, pgscript.Bind, pgscript.Execute
	for name, steps := range map[string][]step{
		"a plan that has changed, for a client that was told nothing": {
			client(`P h_1 "SELECT 1"; S`, parse("a", "SELECT 1"), sync0),
			server("1; Z I", done1, readyI),
			client(`B  h_1; E  0; S`, bind("", "a"), exec("", 0), sync0),
			server("", stale, readyI),
			client(`P h_2 "SELECT 1"; B  h_2; E  0; S; Q SELECT 2`, pgscript.Query("SELECT 2")),
			server("2; C SELECT 1; Z I; C SELECT 1; Z I", done1, done2, one, readyI, one, readyI),
		},
		asksAgain: {
			client(`P h_1 "SELECT 1"; D S h_1; S`, parse("a", "SELECT 1"), pgscript.DescribeStatement("a"), sync0),
			server("1; t; n; Z I", done1, pgscript.ParameterDescription(), pgscript.NoData(), readyI),
			client(`B  h_1; D P; E  0; S`, bind("", "a"), pgscript.DescribePortal(""), exec("", 0), sync0),
			server("", stale, readyI),
			client(`P h_2 "SELECT 1"; B  h_2; D P; E  0; S; Q SELECT 2`, pgscript.Query("SELECT 2")),
			server("2; n; C SELECT 1; Z I; C SELECT 1; Z I", done1, done2, pgscript.NoData(), one, readyI, one, readyI),
		},
		"a plan that has changed, for a client that was told": {
			client(`P h_1 "SELECT 1"; D S h_1; S`, parse("a", "SELECT 1"), pgscript.DescribeStatement("a"), sync0),
			server("1; t; n; Z I", done1, pgscript.ParameterDescription(), pgscript.NoData(), readyI),
			client(`B  h_1; E  0; S`, bind("", "a"), exec("", 0), sync0),
			server("E 0A000 cached plan must not change result type; Z I", stale, readyI),
		},
		"a text that is known is parsed anew where it is used at once": {
			client(`P h_1 "SELECT 1"; S`, parse("a", "SELECT 1"), sync0),
			server("1; Z I", done1, readyI),
			client(" < 1", parse("b", "SELECT 1")), // for itself it is answered
			client(`S`, sync0),
			server("Z I", readyI),
			client(`C S h_1; P h_1 "SELECT 1"; B  h_1; S`, parse("c", "SELECT 1"), bind("", "c"), sync0),
			server("1; 2; Z I", closed, done1, done2, readyI),
		},
		"a text that is known is parsed anew where it is described, once": {
			client(`P h_1 "SELECT 1"; S`, parse("a", "SELECT 1"), sync0),
			server("1; Z I", done1, readyI),
			client(" < 1", parse("b", "SELECT 1")),
			client(`S`, sync0),
			server("Z I", readyI),
			client(`C S h_1; P h_1 "SELECT 1"; D S h_1; S`, pgscript.DescribeStatement("b"), sync0),
			server("t; n; Z I", closed, done1, pgscript.ParameterDescription(), pgscript.NoData(), readyI),
			client(`D S h_1; S`, pgscript.DescribeStatement("b"), sync0),
			server("t; n; Z I", pgscript.ParameterDescription(), pgscript.NoData(), readyI),
		},
		"a plan that has changed, found by a look at it": {
			client(`P h_1 "SELECT 1"; S`, parse("a", "SELECT 1"), sync0),
			server("1; Z I", done1, readyI),
			tells(),
			client(`D S h_1; S`, bind("", "a"), exec("", 0), sync0),
			server("", stale, readyI),
			client(`C S h_1; P h_2 "SELECT 1"; B  h_2; E  0; S; Q SELECT 2`, pgscript.Query("SELECT 2")),
			server("2; C SELECT 1; Z I; C SELECT 1; Z I", closed, done1, done2, one, readyI, one, readyI),
		},
		"a plan that has changed, and changes again": {
			client(`P h_1 "SELECT 1"; S`, parse("a", "SELECT 1"), sync0),
			server("1; Z I", done1, readyI),
			client(`B  h_1; E  0; S`, bind("", "a"), exec("", 0), sync0),
			server("", stale, readyI),
			resumes(`P h_2 "SELECT 1"; B  h_2; E  0; S`),
			server("", done1, stale, readyI),
			resumes(`P h_3 "SELECT 1"; B  h_3; E  0; S`),
			server("2; C SELECT 1; Z I", done1, done2, one, readyI),
		},
		"a plan of other settings": {
			client(`P h_1 "SELECT 1"; S`, parse("a", "SELECT 1"), sync0),
			server("1; Z I", done1, readyI),
			sets("search_path", "x"),
			client(`B  h_1; D P; E  0; S`, bind("", "a"), pgscript.DescribePortal(""), exec("", 0), sync0),
			server("E 0A000 cached plan must not change result type; Z I", stale, readyI),
		},
		"a plan of other settings that are read by nobody who parses": {
			client(`P h_1 "SELECT 1"; S`, parse("a", "SELECT 1"), sync0),
			server("1; Z I", done1, readyI),
			sets("work_mem", "1MB"),
			client(`B  h_1; E  0; S`, bind("", "a"), exec("", 0), sync0),
			server("", stale, readyI),
			resumes(`P h_2 "SELECT 1"; B  h_2; E  0; S`),
			server("2; C SELECT 1; Z I", done1, done2, one, readyI),
		},
		"a text that is known is parsed anew where it is bound, once": {
			client(`P h_1 "SELECT 1"; S`, parse("a", "SELECT 1"), sync0),
			server("1; Z I", done1, readyI),
			client(" < 1", parse("b", "SELECT 1")),
			client(`S`, sync0),
			server("Z I", readyI),
			client(`C S h_1; P h_1 "SELECT 1"; B  h_1; S`, bind("", "b"), sync0),
			server("2; Z I", closed, done1, done2, readyI),
			client(`B  h_1; S`, bind("", "b"), sync0),
			server("2; Z I", done2, readyI),
		},
		"a text that is known and returns something else by now, in a transaction": {
			client(`P h_1 "SELECT 1"; S`, parse("a", "SELECT 1"), sync0),
			server("1; Z I", done1, readyI),
			tells(),
			client(" < 1", parse("b", "SELECT 1")),
			client(`S`, sync0),
			server("Z I", readyI),
			client(`Q BEGIN`, pgscript.Query("BEGIN")),
			server("C BEGIN; Z T", pgscript.CommandComplete("BEGIN"), pgscript.ReadyForQuery('T')),
			client(`C S h_1; P h_1 "SELECT 1"; D S h_1; S`, bind("", "b"), exec("", 0), sync0),
			server("", closed, done1, pgscript.ParameterDescription(), pgscript.NoData(), pgscript.ReadyForQuery('T')),
			resumes(`P h_2 "SELECT 1"; D S h_2; S`),
			server("", done1, pgscript.ParameterDescription(), pgscript.NoData(), pgscript.ReadyForQuery('T')),
			resumes(`B  h_2; E  0; S`),
			server("2; C SELECT 1; Z T", done2, one, pgscript.ReadyForQuery('T')),
		},
		"a plan that has changed, in a unit that comes in pieces": {
			client(`P h_1 "SELECT 1"; S`, parse("a", "SELECT 1"), sync0),
			server("1; Z I", done1, readyI),
			client(`B  h_1`, bind("", "a")),
			client(`E  0; S`, exec("", 0), sync0),
			server("E 0A000 cached plan must not change result type; Z I", stale, readyI),
		},
		"a plan that has changed, and a unit behind it": {
			client(`P h_1 "SELECT 1"; S`, parse("a", "SELECT 1"), sync0),
			server("1; Z I", done1, readyI),
			client(`B  h_1; E  0; S; Q SELECT 2`, bind("", "a"), exec("", 0), sync0, pgscript.Query("SELECT 2")),
			server("E 0A000 cached plan must not change result type; Z I; C SELECT 1; Z I", stale, readyI, one, readyI),
		},
	} {
		r := newRig()
		r.play(t, name, 1<<20, steps)
		if st := r.Names.All["a"]; name == asksAgain && st.Told.Load() != statement.NoRows {
			t.Error("the client is told what the statement returns now, and that is not noted")
		}
	}
}
