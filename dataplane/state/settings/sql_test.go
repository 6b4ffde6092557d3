package settings

import (
	"cmp"
	"strings"
	"testing"
)

// TestSQL shows what is sent for the sake of settings, with values that would be SQL if they could.
func TestSQL(t *testing.T) {
	evil := Of(Pair{"a.b", `x'); DROP TABLE t; --\`})
	for _, c := range []struct{ name, got, want string }{
		{
			"select", string(AppendSelect([]byte("ab"), Of(Pair{"work_mem", "1MB"}, Pair{"role", "x"}), evil)),
			`abSELECT pg_catalog.set_config('a.b',E'x''); DROP TABLE t; --\\',false),pg_catalog.set_config('role',NULL,false),pg_catalog.set_config('work_mem',NULL,false)`,
		},
		{"select of nothing", string(AppendSelect(nil, evil, evil)), ""},
		{
			"restore", string(AppendRestore([]byte("ab"), "RESET ALL;", evil, false)),
			`abDO LANGUAGE plpgsql E'BEGIN RESET ALL;PERFORM pg_catalog.set_config(''a.b'',E''x''''); DROP TABLE t; --\\\\'',false);END'`,
		},
		{
			"restore for a transaction", string(AppendRestore(nil, "", Of(Pair{"timezone", "UTC"}), true)),
			`DO LANGUAGE plpgsql 'BEGIN PERFORM pg_catalog.set_config(''timezone'',''UTC'',true);END'`,
		},
		{"restore of nothing", string(AppendRestore(nil, "", Set{}, false)), `DO LANGUAGE plpgsql 'BEGIN END'`},
		{
			"ask", string(AppendAsk(nil, []string{"timezone", `o'x\`})),
			`SELECT n,pg_catalog.current_setting(n,true),(SELECT CASE WHEN s.setting IS NOT DISTINCT FROM s.reset_val THEN 't'` +
				` WHEN s.context OPERATOR(pg_catalog.~) '^superuser' THEN 's' ELSE 'f' END FROM pg_catalog.pg_settings s ` +
				`WHERE pg_catalog.lower(s.name)=n) FROM pg_catalog.unnest(ARRAY['timezone',E'o''x\\']::pg_catalog.text[]) n`,
		},
		{
			"ask what is bound", string(AppendAskBound(nil, []string{"log_statement"}, `o'x\`, false)),
			`SELECT pg_catalog.lower(s.name) FROM pg_catalog.pg_settings s WHERE s.context OPERATOR(pg_catalog.~) '^superuser' AND NOT EXISTS(SELECT 1 FROM pg_catalog.pg_roles r ` +
				`WHERE r.rolname OPERATOR(pg_catalog.=) E'o''x\\' AND (r.rolsuper)) AND pg_catalog.lower(s.name) OPERATOR(pg_catalog.=) ANY(ARRAY['log_statement']::pg_catalog.text[])`,
		},
		{
			"bound, unless there is a grant", string(AppendBound(nil, "u", true)),
			`s.context OPERATOR(pg_catalog.~) '^superuser' AND NOT EXISTS(SELECT 1 FROM pg_catalog.pg_roles r ` +
				`WHERE r.rolname OPERATOR(pg_catalog.=) 'u' AND (r.rolsuper OR pg_catalog.has_parameter_privilege(r.oid,s.name,'SET')))`,
		},
	} {
		if c.got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.name, c.got, c.want)
		}
	}
}

// TestLocal goes from what the server has said to what a statement was parsed under, and back.
func TestLocal(t *testing.T) {
	now := map[string]string{
		"search_path": `E'"it''s, a \\ ''one''", s1'`, "timezone": "'UTC'", "role": "'none'", "session_authorization": "'postgres'", "timezone_abbreviations": "NULL",
	}
	var reading []string
	for _, n := range plannerNames {
		reading = append(reading, cmp.Or(now[n], "'x'"))
	}
	set := func(name, value string) string { return "pg_catalog.set_config('" + name + "'," + value + ",true)" }
	for name, c := range map[string]struct {
		planner  Set
		maybe    string
		to, back string
	}{
		"nothing":                       {Set{}, "", "", ""},
		"what is in force":              {Of(Pair{"timezone", "UTC"}), "timezone", "", ""},
		"what the server has not":       {Of(Pair{"timezone_abbreviations", "UTC"}), "", "", ""},
		"another value":                 {Of(Pair{"timezone", "it's"}), "", "SELECT " + set("timezone", "'it''s'"), "SELECT " + set("timezone", "'UTC'")},
		"the default, where that is so": {Set{}, "search_path", "SELECT " + set("search_path", "NULL"), "SELECT " + set("search_path", now["search_path"])},
		"who one is": {
			Of(Pair{"role", "a"}, Pair{"search_path", "b"}), "session_authorization",
			"SELECT " + set("session_authorization", "NULL") + "," + set("search_path", "'b'") + "," + set("role", "'a'"),
			"SELECT " + set("session_authorization", "'postgres'") + "," + set("search_path", now["search_path"]) + "," + set("role", "'none'"),
		},
	} {
		to, back := Local([]byte(strings.Join(reading, ",")), c.planner, func(n string) bool { return n == c.maybe })
		if string(to) != c.to || string(back) != c.back {
			t.Errorf("%s:\n got %s\n and %s\nwant %s\n and %s", name, to, back, c.to, c.back)
		}
	}
	if to, _ := Local([]byte("'x','y'"), Of(Pair{"timezone", "UTC"}), NotWho); to != nil {
		t.Errorf("what the server has not said leads to %s", to)
	}
}

// TestPlanner keeps of a set what PostgreSQL reads when it parses.
func TestPlanner(t *testing.T) {
	set := Of(Pair{"TimeZone", "UTC"}, Pair{"work_mem", "1MB"}, Pair{"search_path", "x"}, Pair{"role", "r"}, Pair{"a.b", "1"})
	if got, want := set.Planner(), Of(Pair{"timezone", "UTC"}, Pair{"search_path", "x"}, Pair{"role", "r"}); got != want {
		t.Errorf("%v, want %v", got, want)
	}
	if (Set{}).Planner() != (Set{}) || Of(Pair{"work_mem", "1"}).Planner() != (Set{}) {
		t.Error("nothing that is read is not the empty set")
	}
}

// TestOver lays one set over another.
func TestOver(t *testing.T) {
	base, over := Of(Pair{"a", "1"}, Pair{"b", "1"}), Of(Pair{"b", "2"}, Pair{"c", "2"})
	if got, want := over.Over(base), Of(Pair{"a", "1"}, Pair{"b", "2"}, Pair{"c", "2"}); got != want {
		t.Errorf("%v, want %v", got, want)
	}
	if over.Over(Set{}) != over || (Set{}).Over(base) != base {
		t.Error("the empty set changes something")
	}
}

// TestNames says which parameters are of which kind.
func TestNames(t *testing.T) {
	for name, want := range map[string][2]bool{ // settable, has nothing to do with who one is
		"timezone": {true, true}, "role": {true, false}, "session_authorization": {true, false},
		"is_superuser": {false, true}, "server_version": {false, true}, "in_hot_standby": {false, true},
	} {
		if Settable(name) != want[0] || NotWho(name) != want[1] {
			t.Errorf("%s: settable %v, not who %v", name, Settable(name), NotWho(name))
		}
	}
}
