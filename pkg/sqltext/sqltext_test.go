package sqltext

import (
	"strings"
	"testing"
)

// split returns the statements of a text.
func split(text string, stdStrings bool) (parts []string, followable bool) {
	var s Scanner
	s.Reset([]byte(text), stdStrings)
	for {
		st, ok := s.Next()
		if !ok {
			return parts, s.Followable()
		}
		parts = append(parts, text[st.Start:st.End])
	}
}

// splits are texts, and their statements with | between them.
var splits = []struct {
	name, text string
	off        bool // standard_conforming_strings
	open       bool // the last form does not end
	want       string
}{
	{name: "empty", text: "", want: ""},
	{name: "only space", text: " \n\t;; -- c\n ; /* c */", want: ""},
	{name: "one", text: "select 1", want: "select 1"},
	{name: "trailing semicolon", text: "select 1;", want: "select 1"},
	{name: "three", text: ";select 1;;select 2 ; select 3", want: "select 1|select 2|select 3"},
	{name: "comments around", text: "/* a */ -- b\n select 1 /* c */ -- d\n ; -- e\nselect 2--f", want: "select 1|select 2"},
	{name: "comments within", text: "select /* ; */ 1 --;\n + 2; select 2", want: "select /* ; */ 1 --;\n + 2|select 2"},
	{name: "nested comment", text: "/* /* ; */ ; */ select 1 /*/**/;*/; select 2", want: "select 1|select 2"},
	{name: "comment of stars", text: "select 1 /***/; select 2 /*/ ; */; select 3", want: "select 1|select 2|select 3"},
	{name: "comment in an operator", text: "select 1 +-- ;\n 2; select 1 */*;*/ 2", want: "select 1 +-- ;\n 2|select 1 */*;*/ 2"},
	{name: "comment ends at \\r", text: "select 1 -- ;\r; select 2", want: "select 1|select 2"},
	{name: "minus and slash", text: "select 4 - -1; select 4/2; select -1", want: "select 4 - -1|select 4/2|select -1"},

	{name: "string", text: "select ';'; select 'a'';b'", want: "select ';'|select 'a'';b'"},
	{name: "backslash is nothing", text: `select '\'; select 1`, want: `select '\'|select 1`},
	{name: "backslash escapes", off: true, text: `select '\'; select 1'; select 2`, want: `select '\'; select 1'|select 2`},
	{name: "E string", text: `select E'\';'; select e'\\'; select E'a'';'`, want: `select E'\';'|select e'\\'|select E'a'';'`},
	{name: "word that ends with e", text: `select date'\'; select 1`, want: `select date'\'|select 1`},
	{name: "word that begins with e", text: `select east'\'; select 1`, want: `select east'\'|select 1`},
	{name: "word that ends with a dollar and e", text: `select a$e'\'; select 1`, want: `select a$e'\'|select 1`},
	{name: "lonely dollar and e", open: true, text: `select $e'\'; select 1`, want: `select $e'\'; select 1`},
	{name: "e behind a string", text: `select 'x'e'\';'; select 1`, want: `select 'x'e'\';'|select 1`},
	{name: "B and X", text: `select b'0;1', X'f;'; select 1`, want: `select b'0;1', X'f;'|select 1`},
	{name: "no escapes in B and X", off: true, text: `select b'\'; select x'\'; select 1`, want: `select b'\'|select x'\'|select 1`},
	{name: "two quotes in B", off: true, text: `select b'1''\';'; select 1`, want: `select b'1''\';'|select 1`},
	{name: "N", text: `select n'\'; select 1`, want: `select n'\'|select 1`},
	{name: "N escapes", off: true, text: `select N'\';'; select 1`, want: `select N'\';'|select 1`},
	{name: "U&", text: `select U&'\0041;\'; select u&"a;""\"; select 1`, want: `select U&'\0041;\'|select u&"a;""\"|select 1`},
	{name: "UESCAPE", text: `select U&'d!0061t;' uescape '!'; select 1`, want: `select U&'d!0061t;' uescape '!'|select 1`},
	{name: "continued E", text: "select E'a'\n'\\';'; select 1", want: "select E'a'\n'\\';'|select 1"},
	{name: "continued E with comments", text: "select E'a' -- '\n -- x\r\n '\\';'; select 1", want: "select E'a' -- '\n -- x\r\n '\\';'|select 1"},
	{name: "not continued without newline", text: "select E'a' '\\'; select 1", want: "select E'a' '\\'|select 1"},
	{name: "not continued over a block comment", text: "select E'a' /* \n */ \n'\\'; select 1", want: "select E'a' /* \n */ \n'\\'|select 1"},
	{name: "not continued over a word", text: "select E'a' as\n'\\'; select 1", want: "select E'a' as\n'\\'|select 1"},
	{name: "continued B", off: true, text: "select b'1'\n'\\'; select 1", want: "select b'1'\n'\\'|select 1"},

	{name: "quoted identifier", text: `select 1 as ";""'"; select 2 as "\"; select 3`, want: `select 1 as ";""'"|select 2 as "\"|select 3`},
	{name: "dollar quote", text: "select $$;'$$; select 1", want: "select $$;'$$|select 1"},
	{name: "dollar quote with a tag", text: "select $a_1$;$$;$a$;$A_1$$a_1$; select 1", want: "select $a_1$;$$;$a$;$A_1$$a_1$|select 1"},
	{name: "dollar quote with bytes", text: "select $ä$;$ä$; select 1", want: "select $ä$;$ä$|select 1"},
	{name: "closing tag shares a dollar", text: "select $a$;$b$a$; select 1", want: "select $a$;$b$a$|select 1"},
	{name: "dollar in identifiers", text: "select a$b$; select é$$; select 1", want: "select a$b$|select é$$|select 1"},
	{name: "dollar behind a dollar quote", open: true, text: "select $$a$$b$$; select 1; $$", want: "select $$a$$b$$|select 1|$$"},
	{name: "parameters", text: "select $1, $2$$;$$; select 1", want: "select $1, $2$$;$$|select 1"},
	{name: "dollar behind numbers", text: "select 1$$;$$, 1.5$$;$$; select 1", want: "select 1$$;$$, 1.5$$;$$|select 1"},
	{name: "lonely dollar", text: "select $; select $a; select $1", want: "select $|select $a|select $1"},

	{name: "parentheses do not count", text: "select (1; select 2)", want: "select (1|select 2)"},
	{name: "rule", text: "create rule r as on insert to t do also (delete from u; select ')'); select 1", want: "create rule r as on insert to t do also (delete from u; select ')')|select 1"},
	{name: "or replace rule", text: "create or replace rule r as on update to t do (select 1; select 2);select 1", want: "create or replace rule r as on update to t do (select 1; select 2)|select 1"},
	{name: "rule without parentheses", text: "create rule r as on insert to t do nothing; select 1", want: "create rule r as on insert to t do nothing|select 1"},
	{name: "atomic", text: "create function f() returns int begin atomic select 1; select 2; end; select 3", want: "create function f() returns int begin atomic select 1; select 2; end|select 3"},
	{name: "atomic, empty", text: "CREATE OR REPLACE PROCEDURE p() BEGIN ATOMIC END; select 1", want: "CREATE OR REPLACE PROCEDURE p() BEGIN ATOMIC END|select 1"},
	{name: "atomic with case", text: "create function f() returns int begin /**/ atomic; select case when true then 1 end; select 1 end; select 2 as end, t.end from t; end; select 3", want: "create function f() returns int begin /**/ atomic; select case when true then 1 end; select 1 end; select 2 as end, t.end from t; end|select 3"},
	{name: "atomic in atomic", text: "create function f() returns int begin atomic create function g() returns int begin atomic select 1; end; select 2; end; select 3", want: "create function f() returns int begin atomic create function g() returns int begin atomic select 1; end; select 2; end|select 3"},
	{name: "begin as a name", text: "create function f(begin atomic) returns int begin atomic select begin atomic from t; end; select 3", want: "create function f(begin atomic) returns int begin atomic select begin atomic from t; end|select 3"},
	{name: "atomic after the header", text: "create function f() returns int return 1; begin; select 1", want: "create function f() returns int return 1|begin|select 1"},
	{name: "not a routine", text: "create view v as select begin atomic from t; select 1; end", want: "create view v as select begin atomic from t|select 1|end"},
}

func TestSplit(t *testing.T) {
	for _, tt := range splits {
		t.Run(tt.name, func(t *testing.T) {
			parts, followable := split(tt.text, !tt.off)
			if got := strings.Join(parts, "|"); got != tt.want {
				t.Errorf("got  %q\nwant %q", got, tt.want)
			}
			if fault := faultOf([]byte(tt.text), !tt.off, (*Scanner).Next); fault != "" {
				t.Error(fault)
			}
			if followable == tt.open {
				t.Errorf("followable is %t", followable)
			}
		})
	}
}

func TestUnfollowable(t *testing.T) {
	for _, tt := range []struct {
		text string
		off  bool
	}{
		{text: "select '"},
		{text: "select 'a''"},
		{text: `select E'\'`},
		{text: "select E'a\\"},
		{text: "select 'a'\n'"},
		{text: `select "`},
		{text: `select "a""`},
		{text: "select $$"},
		{text: "select $a$ $b$"},
		{text: "select $a$ $a"},
		{text: "/*"},
		{text: "select 1 /*/"},
		{text: "select 1 /* /* */"},
		{text: "; /* */ /* *"},
		{text: "select 1a$$;$$"},
		{text: "select 1e5$$;$$"},
		{text: `select 0x1F$$;$$`},
		{text: `select 1e'\'`},
		{text: `select $1e'\'`, off: true},
		{text: `select U&'a'`, off: true},
		{text: `select U&"set\005fconfig"('a', 'b', false)`},
		{text: "create function f() returns int begin atomic select 1; select 2"},
		{text: "set"},
		{text: "set x"},
		{text: `set U&"work\005fmem" = 1`},
		{text: "set ä = 1"},
		{text: `set "a""b" = 1`},
		{text: "reset x y"},
		{text: "discard"},
		{text: "deallocate"},
	} {
		if sum := Classify([]byte(tt.text), !tt.off); sum.Flags&FlagUnfollowable == 0 {
			t.Errorf("%q passes as followable: %+v", tt.text, sum)
		}
	}
}

func TestClassify(t *testing.T) {
	const tx = FlagTransactionControl
	for _, tt := range []struct {
		text  string
		n     int
		first Verb
		flags Flags
	}{
		{"", 0, VerbNone, 0},
		{"SELECT abalance FROM pgbench_accounts WHERE aid = 12345;", 1, VerbSelect, 0},
		{" ( (SeLeCT 1))", 1, VerbSelect, 0},
		{"12", 1, VerbOther, 0},
		{"selectx", 1, VerbOther, 0},
		{"deallocatex", 1, VerbOther, 0},
		{"values (1); table t", 2, VerbValues, 0},
		{"set a = 1", 1, VerbSet, FlagSet},
		{"select 1; set local a to 1", 2, VerbSelect, FlagSet},
		{"set session characteristics as transaction read only", 1, VerbSet, FlagSetCharacteristics},
		{"set transaction isolation level serializable", 1, VerbSet, FlagSetTransaction},
		{"set constraints all deferred", 1, VerbSet, FlagSetTransaction},
		{"update t set a = 1", 1, VerbUpdate, 0},
		{"reset all", 1, VerbReset, FlagReset},
		{"reset role", 1, VerbReset, FlagReset},
		{"discard all", 1, VerbDiscard, FlagDiscardAll},
		{"discard plans", 1, VerbDiscard, FlagDiscardOther},
		{"deallocate all", 1, VerbDeallocate, FlagDeallocateAll},
		{"deallocate prepare x", 1, VerbDeallocate, FlagDeallocate},
		{"prepare x as select 1", 1, VerbPrepare, FlagPrepare},
		{"prepare transaction as select 1", 1, VerbPrepare, FlagPrepare},
		{"prepare transaction (int) as select 1", 1, VerbPrepare, FlagPrepare},
		{"prepare transaction 'x'", 1, VerbPrepare, tx},
		{"prepare transaction $$x$$", 1, VerbPrepare, tx},
		{"execute x", 1, VerbExecute, FlagExecute},
		{"explain (analyze) execute x", 1, VerbExplain, FlagExecute},
		{"explain select 1", 1, VerbExplain, 0},
		{"create table t as execute x", 1, VerbCreate, FlagExecute},
		{"create trigger g after insert on t execute function f()", 1, VerbCreate, 0},
		{"listen a", 1, VerbListen, FlagListen},
		{"unlisten *", 1, VerbUnlisten, FlagUnlisten},
		{"begin", 1, VerbBegin, tx | FlagBegin},
		{"start transaction read only", 1, VerbStart, tx | FlagBegin},
		{"commit; end; rollback; abort; savepoint a; release a", 6, VerbCommit, tx},
		{"copy t from stdin", 1, VerbCopy, FlagCopy},
		{"create temp table t (a int)", 1, VerbCreate, FlagCreateTemp},
		{"create or replace local temporary view t as select 1", 1, VerbCreate, FlagCreateTemp},
		{"create table pg_temp.t (a int)", 1, VerbCreate, FlagCreateTemp},
		{"create table template (a int)", 1, VerbCreate, 0},
		{"select 1 into temp t", 1, VerbSelect, FlagCreateTemp},
		{"with x as (select 1) select * into local temporary t from x", 1, VerbWith, FlagCreateTemp},
		{"select temp from t", 1, VerbSelect, 0},
		{"declare c cursor with hold for select 1", 1, VerbDeclare, FlagHoldCursor},
		{"declare c cursor without hold for select 1", 1, VerbDeclare, 0},
		{"select pg_catalog.Set_Config('a', 'b', false)", 1, VerbSelect, FlagSetConfig},
		{"select 1 /* set_config */", 1, VerbSelect, FlagSetConfig},
		{"select * from pg_settings", 1, VerbSelect, 0},
		{"update pg_settings set setting = 1", 1, VerbUpdate, FlagSetConfig},
		{"select 'NoW'::timestamptz", 1, VerbSelect, FlagTimeWords},
		{"select known from t", 1, VerbSelect, FlagTimeWords},
		{"select 'today'", 1, VerbSelect, FlagTimeWords},
		{"select 'tomorrow'", 1, VerbSelect, FlagTimeWords},
		{"select 'YESTERDAY'", 1, VerbSelect, FlagTimeWords},
		{"select 'allballs'", 1, VerbSelect, FlagTimeWords},
		{`select E'\x6eow'`, 1, VerbSelect, FlagTimeWords},
		{`select U&'\006eow'`, 1, VerbSelect, FlagTimeWords},
		{"select 'no'\n'w'", 1, VerbSelect, FlagTimeWords},
		{"select E'plain', 'a''b'\n, 1", 1, VerbSelect, 0},
		{"select no, w, day, balls from t", 1, VerbSelect, 0},
		{"select pg_advisory_lock(1)", 1, VerbSelect, FlagAdvisory},
	} {
		if got, want := Classify([]byte(tt.text), true), (Summary{tt.n, tt.first, tt.flags}); got != want {
			t.Errorf("%q: got %+v, want %+v", tt.text, got, want)
		}
	}
}

func TestFollowableEncodings(t *testing.T) {
	if !Followable("UTF8") || !Followable("LATIN1") || !Followable("EUC_JP") || Followable("SJIS") || Followable("GB18030") {
		t.Error("an encoding is taken for another")
	}
}

func TestNothingIsAllocated(t *testing.T) {
	texts := [][]byte{
		[]byte("set SESSION characteristics as transaction read only; create temp table t(a int); DISCARD all"),
		[]byte(`SET "Work_Mem" TO 'x'; set time zone local; select 'now', E'\n', $$x$$; deallocate "a"`),
	}
	for _, text := range texts {
		var name [maxName]byte
		shape := make([]byte, 200)
		for what, f := range map[string]func(){
			"Classify": func() { Classify(text, true) },
			"Shape":    func() { Shape(shape[:0], text, true) },
			"Depth":    func() { Depth(text) },
			"Scanner": func() {
				var s Scanner
				s.Reset(text, true)
				for st, ok := s.Next(); ok; st, ok = s.Next() {
					ParseSession(text[st.Start:st.End], true, name[:0])
				}
			},
		} {
			if n := testing.AllocsPerRun(100, f); n != 0 {
				t.Errorf("%s of %q allocates %v times", what, text, n)
			}
		}
	}
}

// benchmarks are texts by which the speed is measured.
func benchmarks() []struct{ name, text string } {
	long := "insert into t (a, b) values " + strings.Repeat("(12345, 'some text of a row that someone wrote'), ", 20000)
	return []struct{ name, text string }{
		{"one", "SELECT 1"},
		{"pgbench", "SELECT abalance FROM pgbench_accounts WHERE aid = 12345;"},
		{"begin", "BEGIN"},
		{"update", "UPDATE pgbench_accounts SET abalance = abalance + -2403 WHERE aid = 7632310;"},
		{"orm", `SELECT "u"."id", "u"."name", "u"."created_at" FROM "users" AS "u" WHERE "u"."email" = $1 AND "u"."state" IN ('active', 'new') ORDER BY "u"."id" LIMIT 50`},
		{"set", "SET search_path TO app, public"},
		{"megabyte", long},
		{"dollars", strings.Repeat("a$", 1<<19)},
		{"quotes", "select " + strings.Repeat("'a' \r--\r", 1<<17)},
	}
}

func BenchmarkClassify(b *testing.B) {
	for _, bb := range benchmarks() {
		b.Run(bb.name, func(b *testing.B) {
			text := []byte(bb.text)
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				Classify(text, true)
			}
			perByte(b, text)
		})
	}
}

func BenchmarkShape(b *testing.B) {
	for _, bb := range benchmarks() {
		b.Run(bb.name, func(b *testing.B) {
			text := []byte(bb.text)
			dst := make([]byte, 0, len(text)+16)
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				if _, _, ok := Shape(dst, text, true); !ok {
					b.Fatal("no shape")
				}
			}
			perByte(b, text)
		})
	}
}

func perByte(b *testing.B, text []byte) {
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(text)), "ns/B")
}
