package sqlparse

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/heliosproxy/heliosproxy/pkg/sqltext"
)

// nests are forms that nest by repetition of the second part, between the first and the third.
func nests() [][3]string {
	return [][3]string{
		{"select 1", "+1", ""},
		{"select 1", "::a", ""},
		{"select a", "+-1", ""},
		{"select a", " is null", ""},
		{"select a", " isnull", ""},
		{"select a", " collate a", ""},
		{"select a", "->'a'", ""},
		{"select a", "[1]", ""},
		{"select a", " at time zone a", ""},
		{"select a", " in (1)", ""},
		{"select a", " operator(a.+) a", ""},
		{"select 1", " union select 1", ""},
		{"select 1", " union all select a, b from c", ""},
		{"select 1", " except values (1)", ""},
		{"select from a", " join a on a", ""},
		{"select from a", " join lateral (select 1) a on a", ""},
		{"select from a", " natural join a", ""},
		{"values (1)", " union values (1)", ""},
		{"select ", "- ", "1"},
		{"select ", "! ", "1"},
		{"select ", "not ", "a"},
	}
}

// groups are forms that nest as parentheses do: what opens, what stands within all, what closes.
func groups() [][3]string {
	return [][3]string{
		{"(", "1", ")"},
		{"(select ", "1", ")"},
		{"(select 1 from (select ", "1", ") a)"},
		{"(select 1 where exists (select ", "1", "))"},
		{"(with a as (select ", "1", ") select 1)"},
		{"(with recursive a as (insert into a select ", "1", " returning 1) select 1)"},
		{"(select 1 union select ", "1", ")"},
		{"f(", "1", ")"},
		{"f(a => ", "1", ")"},
		{"f(distinct 1 order by ", "1", ")"},
		{"f(1) over (partition by ", "1", ")"},
		{"f(1) filter (where ", "a", ")"},
		{"(1,", "1", ")"},
		{"row(", "1", ")"},
		{"array[", "1", "]"},
		{"a[", "1", "]"},
		{"(a).b[", "1", "]"},
		{"array(select ", "1", ")"},
		{"a in (select ", "1", ")"},
		{"a = any (select ", "1", ")"},
		{"case when ", "a", " then 1 end"},
		{"case ", "1", " when 1 then 1 end"},
		{"case when 1 then 2 else ", "1", " end"},
		{"coalesce(", "1", ")"},
		{"greatest(", "1", ")"},
		{"nullif(1, ", "1", ")"},
		{"cast(", "1", " as a)"},
		{"extract(a from ", "1", ")"},
		{"substring(", "1", " from 1 for 1)"},
		{"overlay(a placing ", "1", " from 1)"},
		{"trim(both a from ", "1", ")"},
		{"xmlelement(name a, ", "1", ")"},
		{"xmlelement(name a, xmlattributes(", "1", " as a))"},
		{"xmlforest(", "1", " as a)"},
		{"xmlconcat(", "1", ")"},
		{"xmlparse(content ", "1", ")"},
		{"xmlserialize(content ", "1", " as a)"},
		{"xmlpi(name a, ", "1", ")"},
		{"xmlexists(a passing ", "1", ")"},
		{"(select 1 from xmltable(a passing ", "1", " columns a int))"},
		{"json_object(a: ", "1", ")"},
		{"json_array(", "1", ")"},
		{"json_arrayagg(", "1", ")"},
		{"json_objectagg(a: ", "1", ")"},
		{"json_value(a, 'a' passing ", "1", " as a)"},
		{"json_query(a, 'a' default ", "1", " on empty)"},
		{"(select 1 from json_table(a, 'a' passing ", "1", " as a columns (a int path 'a')))"},
		{"json_serialize(", "1", ")"},
		{"((a, b) = ", "1", ")"},
		{"(select 1 from a tablesample a(", "1", "))"},
		{"(select 1 group by grouping sets((", "1", ")))"},
		{"(select 1 order by ", "1", ")"},
		{"(select 1 limit ", "1", ")"},
		{"(select 1 window a as (order by ", "1", "))"},
	}
}

// nested is a form n times.
func nested(form [3]string, n int) string {
	if form[2] == "" {
		return form[0] + strings.Repeat(form[1], n)
	}
	if !strings.HasPrefix(form[0], "select") {
		return "select " + strings.Repeat(form[0], n) + form[1] + strings.Repeat(form[2], n)
	}
	return form[0] + strings.Repeat(form[1], n) + form[2]
}

// deepestOf is the form as deep as the bounds allow.
func deepestOf(form [3]string) string {
	lo, hi := 1, MaxDepth
	for lo < hi {
		mid := (lo + hi + 1) / 2
		if text := nested(form, mid); len(text) > MaxText || sqltext.Depth([]byte(text)) > MaxDepth {
			hi = mid - 1
		} else {
			lo = mid
		}
	}
	return nested(form, lo)
}

// TestDepth parses what is nested as deep as it may be, in a process whose threads have half of the least stack that they may have.
func TestDepth(t *testing.T) {
	t.Parallel()
	const child = "SQLPARSE_DEEPEST"
	if os.Getenv(child) == "" {
		cmd := exec.Command("sh", "-c", `ulimit -s 1024 && exec "$0" -test.run '^TestDepth$' -test.v`, os.Args[0])
		cmd.Env = append(os.Environ(), child+"=1")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		return
	}
	for _, form := range append(nests(), groups()...) {
		text := deepestOf(form)
		if _, err := Parse(text); err != nil {
			t.Errorf("%q: %v", form, err)
		}
		t.Logf("%q: %d bytes, depth %d", form, len(text), sqltext.Depth([]byte(text)))
	}
}

// TestTooBig refuses what might overflow the stack of a thread.
func TestTooBig(t *testing.T) {
	for _, form := range append(nests(), groups()...) {
		if _, err := Parse(nested(form, 20_000)); !errors.Is(err, ErrTooBig) {
			t.Errorf("%q: %v", form, err)
		}
		if sqltext.Depth([]byte(nested(form, 3000))) <= MaxDepth && !strings.HasPrefix(form[1], "[") {
			t.Errorf("%q: is not found to be deep", form)
		}
	}
}

func BenchmarkParse(b *testing.B) {
	for _, bb := range []struct{ name, text string }{
		{"one", "SELECT 1"},
		{"pgbench", "SELECT abalance FROM pgbench_accounts WHERE aid = 1;"},
		{"orm", `SELECT "u"."id", "u"."name", "u"."created_at" FROM "users" AS "u" WHERE "u"."email" = $1 AND "u"."state" IN ('', '') ORDER BY "u"."id" LIMIT 1`},
		{"4 KiB of rows", "insert into t (a, b, c) values " + strings.Repeat("(1, '', 1), ", 341) + "(1, '', 1)"},
		{"64 KiB of rows", "insert into t (a, b, c) values " + strings.Repeat("(1, '', 1), ", 5400) + "(1, '', 1)"},
		{"64 KiB of numbers", "select * from t where a in (" + strings.Repeat("1,", 32700) + "1)"},
		{"deep", nested([3]string{"select 1", "+1", ""}, 990)},
	} {
		b.Run(bb.name, func(b *testing.B) {
			b.SetBytes(int64(len(bb.text)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Parse(bb.text); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
