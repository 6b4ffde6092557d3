package sqltext

import (
	"fmt"
	"strings"
	"testing"
)

// sessions are statements and what they do to a session: kind, name, the spans of name and value, and the rest.
var sessions = []struct{ text, want string }{
	{"set work_mem = 1", "1 work_mem [work_mem]=[1]"},
	{"SET WORK_MEM TO '64MB'", "1 work_mem [WORK_MEM]=['64MB']"},
	{"set session work_mem to default", "1 work_mem [work_mem]=[] default"},
	{"set local work_mem = DEFAULT", "1 work_mem [work_mem]=[] local default"},
	{"/* a */ set -- b\n search_path /* c */ = a, \"B\" ,c -- d", "1 search_path [search_path]=[a, \"B\" ,c]"},
	{"set x from current", "1 x [x]=[] current"},
	{`set "Work_Mem" = -1.5`, `1 work_mem ["Work_Mem"]=[-1.5]`},
	{"set my.Param = on", "1 my.param [my.Param]=[on]"},
	{`set my . "Param" . c = on`, `1 my.param.c [my . "Param" . c]=[on]`},
	{`set "my.param" = on`, `1 my.param ["my.param"]=[on]`},
	{"set a$1 = 1", "1 a$1 [a$1]=[1]"},
	{"set sort_mem = 1", "1 work_mem [sort_mem]=[1]"},
	{"reset Vacuum_Mem", "6 maintenance_work_mem [Vacuum_Mem]=[]"},
	{"set x = $$a;b$$", "1 x [x]=[$$a;b$$]"},
	{"set time zone 'UTC'", "1 timezone [time zone]=['UTC']"},
	{"set local TIME  ZONE -7", "1 timezone [TIME  ZONE]=[-7] local"},
	{"set time zone interval '-08:00' hour to minute", "1 timezone [time zone]=[interval '-08:00' hour to minute]"},
	{"set time zone local", "1 timezone [time zone]=[] default"},
	{"set time zone default", "1 timezone [time zone]=[] default"},
	{"set session time zone utc", "1 timezone [time zone]=[utc]"},
	{"set timezone to local", "1 timezone [timezone]=[local]"},
	{"set names 'latin1'", "1 client_encoding [names]=['latin1']"},
	{"set names", "1 client_encoding [names]=[] default"},
	{"set names default", "1 client_encoding [names]=[] default"},
	{"set schema 'a'", "1 search_path [schema]=['a']"},
	{"set role joe", "1 role [role]=[joe]"},
	{"set local role 'joe'", "1 role [role]=['joe'] local"},
	{"set session role none", "1 role [role]=[none]"},
	{"set role to default", "1 role [role]=[] default"},
	{"set session authorization joe", "1 session_authorization [session authorization]=[joe]"},
	{"set session session authorization 'joe'", "1 session_authorization [session authorization]=['joe']"},
	{"set local session authorization default", "1 session_authorization [session authorization]=[] local default"},
	{"set xml option document", "1 xmloption [xml option]=[document]"},
	{"set seed = 0.5", "2 seed [seed]=[0.5]"},
	{"set session = 1", "1 session [session]=[1]"},
	{"set local to 1", "1 local [local]=[1]"},
	{"set local local.x = 1", "1 local.x [local.x]=[1] local"},
	{"set names to 1", "1 names [names]=[1]"},
	{"set transaction = 1", "1 transaction [transaction]=[1]"},
	{"set session characteristics = 1", "1 characteristics [characteristics]=[1]"},
	{"set constraints.x = 1", "1 constraints.x [constraints.x]=[1]"},
	{"set session characteristics as transaction isolation level repeatable read, read only, not deferrable", "3  []=[] {repeatable read on off}"},
	{"set local session characteristics as transaction read write read only", "3  []=[] local { on }"},
	{"set transaction isolation level read committed read write deferrable", "4  []=[] {read committed off on}"},
	{"set session transaction isolation level read uncommitted", "4  []=[] {read uncommitted  }"},
	{"set local transaction isolation level serializable", "4  []=[] local {serializable  }"},
	{"set transaction snapshot '1-1'", "4  []=['1-1']"},
	{"set constraints all deferred", "5  []=[]"},
	{"reset work_mem", "6 work_mem [work_mem]=[]"},
	{"reset time zone", "6 timezone [time zone]=[]"},
	{"reset session authorization", "6 session_authorization [session authorization]=[]"},
	{"reset transaction isolation level", "6 transaction_isolation [transaction isolation level]=[]"},
	{"reset role", "6 role [role]=[]"},
	{"reset session", "6 session [session]=[]"},
	{`reset "all"`, `6 all ["all"]=[]`},
	{"reset all", "7  []=[]"},
	{"Discard All", "8  []=[]"},
	{"discard plans", "9  []=[]"},
	{"discard sequences", "10  []=[]"},
	{"discard temp", "11  []=[]"},
	{"discard temporary", "11  []=[]"},
	{"deallocate all", "12  []=[]"},
	{"deallocate prepare all", "12  []=[]"},
	{`deallocate "All"`, `13 All ["All"]=[]`},
	{"deallocate Foo", "13 foo [Foo]=[]"},
	{"deallocate prepare sort_mem", "13 sort_mem [sort_mem]=[]"},
	{"deallocate prepare", "13 prepare [prepare]=[]"},

	{"", "no"},
	{"select 1", "no"},
	{"(set x = 1)", "no"},
	{`"set" x = 1`, "no"},
	{"set", "no"},
	{"set x", "no"},
	{"set x =", "no"},
	{"set x 1", "no"},
	{"set x to", "no"},
	{"set x from", "no"},
	{"set x from current 1", "no"},
	{"set x = 1;", "no"},
	{"set x = 1; set y = 2", "no"},
	{"set x to default, 1", "no"},
	{"set .x = 1", "no"},
	{"set x. = 1", "no"},
	{"set 1 = 1", "no"},
	{`set "" = 1`, "no"},
	{`set "a""b" = 1`, "no"},
	{`set U&"a" = 1`, "no"},
	{"set ä = 1", "no"},
	{"set x = 'a", "no"},
	{`set "`, "no"},
	{`set "x = 1`, "no"},
	{"set " + strings.Repeat("a", 64) + " = 1", "no"},
	{`set "` + strings.Repeat("a", 64) + `" = 1`, "no"},
	{`set "` + strings.Repeat("A", 60) + `".abc = 1`, "no"},
	{"set time = 1", "1 time [time]=[1]"},
	{"set time zone", "no"},
	{"set time 1", "no"},
	{"set role", "no"},
	{"set role default", "no"},
	{"set schema x", "no"},
	{"set catalog 'x'", "no"},
	{"set session authorization", "no"},
	{"set transaction", "no"},
	{"set transaction read", "no"},
	{"set transaction read only,", "no"},
	{"set transaction isolation level chaos", "no"},
	{"set transaction isolation serializable", "no"},
	{"set transaction isolation level repeatable", "no"},
	{"set transaction not read only", "no"},
	{"set transaction snapshot", "no"},
	{"set transaction x", "no"},
	{"reset", "no"},
	{"reset x y", "no"},
	{"reset all x", "no"},
	{"reset transaction isolation", "no"},
	{"reset 'x'", "no"},
	{"discard", "no"},
	{"discard x", "no"},
	{"discard all x", "no"},
	{"deallocate", "no"},
	{"deallocate 'x'", "no"},
	{"deallocate a b", "no"},
}

func describe(text string, buf []byte) string {
	s, ok := ParseSession([]byte(text), true, buf)
	if !ok {
		return "no"
	}
	out := fmt.Sprintf("%d %s [%s]=[%s]", s.Kind, s.Name, text[s.NameStart:s.NameEnd], text[s.ValueStart:s.ValueEnd])
	for _, flag := range []struct {
		on   bool
		name string
	}{{s.Local, " local"}, {s.ToDefault, " default"}, {s.FromCurrent, " current"}} {
		if flag.on {
			out += flag.name
		}
	}
	if s.Modes != (Modes{}) {
		out += fmt.Sprint(" ", s.Modes)
	}
	return out
}

func TestParseSession(t *testing.T) {
	for _, tt := range sessions {
		if got := describe(tt.text, nil); got != tt.want {
			t.Errorf("%s\ngot  %s\nwant %s", tt.text, got, tt.want)
		}
		if fault := sessionFault([]byte(tt.text), true); fault != "" {
			t.Errorf("%s: %s", tt.text, fault)
		}
	}
}

func TestNameAliasesTheStatementWhereItCan(t *testing.T) {
	stmt, buf := []byte("set work_mem = 1"), make([]byte, 0, maxName)
	s, _ := ParseSession(stmt, true, buf)
	if &s.Name[0] != &stmt[4] {
		t.Error("a name in lower case is copied")
	}
	s, _ = ParseSession([]byte("set Work_Mem = 1"), true, buf)
	if &s.Name[0] != &buf[:1][0] {
		t.Error("the buffer is not used")
	}
}

func TestQuote(t *testing.T) {
	for _, tt := range []struct{ in, literal, ident string }{
		{"", "''", `""`},
		{"a", "'a'", `"a"`},
		{`it's "so"`, `'it''s "so"'`, `"it's ""so"""`},
		{`\'`, `E'\\'''`, `"\'"`},
		{"ä\n", "'ä\n'", "\"ä\n\""},
	} {
		if got := string(QuoteLiteral([]byte("x"), tt.in)); got != "x"+tt.literal {
			t.Errorf("literal of %q is %s, want x%s", tt.in, got, tt.literal)
		}
		if got := string(QuoteIdent([]byte("x"), tt.in)); got != "x"+tt.ident {
			t.Errorf("identifier of %q is %s, want x%s", tt.in, got, tt.ident)
		}
	}
}
