package sqlparse

import (
	"slices"
	"strings"
	"testing"
)

// spell is the facts as the table below has them.
func spell(f *Facts) string {
	var out []string
	add := func(what string, list []string) {
		if len(list) > 0 {
			slices.Sort(list)
			out = append(out, what+" "+strings.Join(list, " "))
		}
	}
	names := func(from []Name) (list []string) {
		for _, n := range from {
			list = append(list, strings.TrimPrefix(n.Schema+"."+n.Name, "."))
		}
		return list
	}
	var relations []string
	for _, r := range f.Relations {
		access := ""
		for i, letter := range "riudtD" {
			if r.Access&(1<<i) != 0 {
				access += string(letter)
			}
		}
		relations = append(relations, names([]Name{r.Name})[0]+":"+access)
	}
	var does []string
	for i, word := range strings.Fields("Writes Changes RunsCode Calls Executes Prepares Listens MakesTemp HoldsCursor Sets Loads Copies Controls Moment Other") {
		if f.Does&(1<<i) != 0 {
			does = append(does, word)
		}
	}
	add("does", does)
	add("on", relations)
	add("calls", names(f.Functions))
	add("by", names(f.Operators))
	add("as", names(f.Types))
	add("dots", slices.Clone(f.Attributes))
	return strings.Join(out, "; ")
}

// known are texts and what they name and do.
func known() [][2]string {
	return [][2]string{
		// What is not there.
		{"", ""},
		{"-- nothing\n;", ""},
		{"select 1", ""},
		{"select $1, 'a', 1.5, null, true, b'0', x'f'", ""},
		{`select E'\'', e'a''\'b'`, ""},
		{`select '\', ''`, ""},
		{"select a/**/b", ""},
		{"table t", "on t:r"},
		{"values (1)", ""},
		{"show work_mem", ""},

		// Relations, and what is done to them.
		{"select * from a, s.b, d.s.c, only e, \"F\" as g, H", "on F:r a:r e:r h:r s.b:r s.c:r"},
		{"select * from a join b using (x) left join c on true natural join d cross join e", "on a:r b:r c:r d:r e:r; by ="},
		{"select (select 1 from a), exists (select from b), array(select 1 from c), 1 in (select 1 from d), 1 < all (select 1 from e)", "on a:r b:r c:r d:r e:r; by < ="},
		{"select * from (select * from a) x, lateral (select * from b where b.z = x.z) y", "on a:r b:r; by =; dots z"},
		{"select 1 from a union select 1 from b except all (select 1 from c order by (select 1 from d))", "on a:r b:r c:r d:r"},
		{"select 1 from a where (select 1 from b) group by (select 1 from c) having (select true from d) window w as (order by (select 1 from e)) limit (select 1 from f) offset (select 1 from g)", "on a:r b:r c:r d:r e:r f:r g:r"},
		{"select 1 from a, b as c for update of a, c", "on a:r b:r"},
		{"insert into a (x, y.z) values ((select 1 from b)) returning (select 1 from c)", "does Writes; on a:i b:r c:r"},
		{"insert into a select * from a", "does Writes; on a:ri"},
		{"insert into a values (1) on conflict (lower(x)) where y > 0 do update set x = (select 1 from b) where a.x <> 2", "does Writes; on a:iu b:r; calls lower; by <> >; dots x"},
		{"insert into a default values on conflict do nothing", "does Writes; on a:i"},
		{"update a set x = f(b.y), (z, w) = (select 1, 2 from c) from b where a.i = b.i returning g(1)", "does Writes; on a:u b:r c:r; calls f g; by =; dots i y"},
		{"update a set x = 1 from a b", "does Writes; on a:ru"},
		{"delete from a using b where a.i = (select 1 from c) returning (select 1 from d)", "does Writes; on a:d b:r c:r d:r; by =; dots i"},
		{"delete from a where current of c", "does Writes; on a:d"},
		{"merge into a using b on a.i = b.i when matched and f(1) then update set x = (select 1 from c) when not matched then insert values (g()) returning merge_action()", "does Writes; on a:riu b:r c:r; calls f g; by =; dots i"},
		{"merge into a using (select * from b) b on true when matched then delete", "does Writes; on a:rd b:r"},
		{"truncate a, only s.b cascade", "does Writes; on a:t s.b:t"},
		{"copy a (x) from stdin where f(x) > 1", "does Copies Writes; on a:i; calls f; by >"},
		{"copy a to stdout", "does Copies; on a:r"},
		{"copy (select f(x) from a) to program 'cat'", "does Copies; on a:r; calls f"},
		{"copy (delete from a returning f(1)) to stdout", "does Copies Writes; on a:d; calls f"},
		{"lock table a, b in share mode", "does Other; on a:r b:r"},
		{"vacuum (analyze) a", "does Other; on a:r"},

		// WITH.
		{"with a as (select * from b) select * from a", "on b:r"},
		{"with a as (select * from a) select * from a", "on a:r"},
		{"with recursive a as (select 1 union all select * from a) select * from a", ""},
		{"with a as (select * from b), b as (select * from a) select * from a, b, c", "on b:r c:r"},
		{"with recursive a as (select * from b), b as (select 1) select * from a", ""},
		{"with a as (select 1) select * from s.a", "on s.a:r"},
		{"with a as (select 1) insert into a select * from a", "does Writes; on a:i"},
		{"with a as (delete from b returning f(1)) select * from a", "does Writes; on b:d; calls f"},
		{"with a as (select 1) select (with b as (select * from a) select * from b), (select 1 from b)", "on b:r"},
		{"select (with a as (select 1) select 1 from a), (select 1 from a)", "on a:r"},
		{"with a as (with b as (with c as (select * from d) select * from c) select * from b) select * from a, b, c", "on b:r c:r d:r"},
		{"with a as (select 1) update b set x = (select 1 from a) from a", "does Writes; on b:u"},
		{"with recursive a as (select f(1) as x) search depth first by x set y cycle x set z to g(1) default 2 using p select 1", "error"},

		// Functions, operators, types.
		{"select f(), s.g(1), d.s.h(2), \"I\"(3), J(4)", "calls I f j s.g s.h"},
		{"select f(g(distinct h(1) order by i(2)) filter (where j(3)) over (partition by k(4) order by l(5) rows between m(6) preceding and n(7) following))", "calls f g h i j k l m n"},
		{"select f(a => g(1), variadic h(2))", "calls f g h"},
		{"select percentile_cont(f(0.5)) within group (order by g(x)) from t", "on t:r; calls f g percentile_cont"},
		{"select * from f(1) with ordinality, rows from (g(2) as (x int), h(3)) y", "calls f g h; as pg_catalog.int4"},
		{"select * from t tablesample m.bernoulli (f(1)) repeatable (g(2))", "on t:r; calls f g m.bernoulli"},
		{"select a + b, c operator(s.@@) d, not - e, f ~ 'x', a is distinct from b", "by + - = s.@@ ~"},
		{"select a between b and c, d not between symmetric e and f", "by < <= > >="},
		{"select a like b, a not ilike b, a similar to b, a in (1), a not in (2), nullif(a, b)", "calls pg_catalog.similar_to_escape; by !~~* <> = ~ ~~"},
		{"select a = any (b), a < some (array[1]), (a, b) > (c, d)", "by < = >"},
		{"select case a when 1 then f(2) else g(3) end, case when h(4) then 1 end", "calls f g h; by ="},
		{"select * from t order by a using operator(s.<), b using >", "on t:r; by > s.<"},
		{"select a::x, cast(b as s.y), z 'c', s.w 'd', int '1', e::numeric(3)[], interval '1' day, timestamptz 'x'", "as pg_catalog.int4 pg_catalog.interval pg_catalog.numeric s.w s.y timestamptz x z"},
		{"select extract(day from a), position(a in b), substring(a from 1), overlay(a placing b from 1), trim(a), a at time zone b, a collate \"C\"", "calls pg_catalog.btrim pg_catalog.extract pg_catalog.overlay pg_catalog.position pg_catalog.substring pg_catalog.timezone"},
		{"select current_user, current_timestamp, coalesce(f(1), 2), greatest(g(3), 4), grouping(a) from t group by cube (h(5))", "on t:r; calls f g h"},
		{"select a.b, (c).d, (f(1)).e, a.b.c, a.*, (c).d.e, g[1].h", "calls f; dots b c d e h"},
		{"select array[f(1)], row(g(2)), (h(3), i(4)), a[j(5):k(6)]", "calls f g h i j k"},
		{"select xmlelement(name a, xmlattributes(f(1) as b), g(2)), xmlforest(h(3) as c), xmlserialize(content i(4) as text), xmlexists(j(5) passing k(6))", "calls f g h i j k pg_catalog.xmlexists; as text"},
		{"select * from xmltable(f(1) passing g(2) columns a int path h(3) default i(4))", "calls f g h i; as pg_catalog.int4"},
		{"select json_object('a': f(1)), json_array(g(2)), json_arrayagg(h(3) order by i(4)), json_value(j(5), 'x' passing k(6) as y default l(7) on empty)", "calls f g h i j k l"},
		{"select * from json_table(f(1), '$' passing g(2) as x columns (a int path '$' default h(3) on error, nested path '$' columns (b s.t)))", "calls f g h; as pg_catalog.int4 s.t"},
		{"select f(x) is json, g(x) is true, h(x) is null", "calls f g h"},

		// Statements.
		{"create table a (b int default f(1) check (g(b) > 0), c s.t collate d references e generated always as (h(b)) stored) partition by range (i(b))", "does Changes; on a:D e:D; calls f g h i; by >; as pg_catalog.int4 s.t"},
		{"create table a (like b including all) inherits (c)", "does Changes; on a:D b:r c:D"},
		{"create table a as select f(1) from b", "does Changes; on a:iD b:r; calls f"},
		{"create table a as execute b(f(1))", "does Changes Executes; on a:iD; calls f"},
		{"select f(1) into a from b", "does Changes; on a:iD b:r; calls f"},
		{"create materialized view a as select f(1) from b", "does Changes; on a:iD b:r; calls f"},
		{"refresh materialized view a", "does Changes; on a:D"},
		{"create view a as with b as (select f(1) from c) select * from b, d", "does Changes; on a:D c:r d:r; calls f"},
		{"create index on a using gist (f(b) s.ops) where g(c)", "does Changes; on a:D; calls f g"},
		{"create rule r as on insert to a where f(1) do also (insert into b values (g(2)); select * from c)", "does Changes Writes; on a:D b:i c:r; calls f g"},
		{"create trigger t after insert on a when (f(new.b)) execute function g()", "does Changes; on a:D; calls f; dots b"},
		{"create policy p on a using (f(1)) with check (g(2) in (select 1 from b))", "does Changes; on a:D b:r; calls f g; by ="},
		{"create function a(b int = f(1)) returns s.c language sql set work_mem = 1 as 'select g(2)'", "does Changes; calls f; as pg_catalog.int4 s.c"},
		{"create function a() returns int begin atomic select f(1); insert into b values (2); end", "does Changes Writes; on b:i; calls f; as pg_catalog.int4"},
		{"create function a() returns int return f(1)", "does Changes; calls f; as pg_catalog.int4"},
		{"create domain a as b default f(1) check (g(value))", "does Changes; calls f g; as b"},
		{"create sequence a owned by b.c", "does Changes; on a:D"},
		{"create schema a create table b (c int) create view d as select * from e", "does Changes; on b:D d:D e:r; as pg_catalog.int4"},
		{"create statistics a on f(b) from c", "does Changes; on c:D; calls f"},
		{"create publication p for table a where (f(b))", "does Changes; on a:D; calls f"},
		{"create extension a", "does Changes"},
		{"alter table a alter b set default f(1), add column c d using_ default 1", "error"},
		{"alter table a alter b type c using f(b), add constraint d foreign key (b) references e", "does Changes; on a:D e:D; calls f; as c"},
		{"alter role a set work_mem = 1", "does Changes"},
		{"alter system set work_mem = 1", "does Changes"},
		{"drop table a, s.b", "does Changes; on a:D s.b:D"},
		{"drop view a; drop sequence b; drop index c; drop materialized view d; drop foreign table e", "does Changes; on a:D b:D c:D d:D e:D"},
		{"drop trigger t on a; drop rule r on s.b; drop policy p on c", "does Changes; on a:D c:D s.b:D"},
		{"drop function f(int)", "does Changes; as pg_catalog.int4"},
		{"grant select on a to b; revoke c from d", "does Changes; on a:D"},
		{"comment on table a is 'b'", "does Changes"},
		{"reindex table a; cluster b", "does Changes; on a:D b:D"},
		{"do 'begin end'", "does RunsCode"},
		{"call f(g(1))", "does Calls; calls f g"},
		{"execute a(f(1))", "does Executes; calls f"},
		{"prepare a (s.t) as select f(1) from b", "does Prepares; on b:r; calls f; as s.t"},
		{"prepare a as insert into b values (1)", "does Prepares Writes; on b:i"},
		{"deallocate a", "does Other"},
		{"explain (analyze) insert into a select f(1)", "does Writes; on a:i; calls f"},
		{"explain execute a", "does Executes"},
		{"explain create table a as execute b", "does Changes Executes; on a:iD"},
		{"declare a cursor for select f(1) from b", "on b:r; calls f"},
		{"declare a binary insensitive scroll cursor with hold for select 1", "does HoldsCursor"},
		{"fetch a", "does Other"},
		{"listen a", "does Listens"},
		{"notify a, 'b'; unlisten a; close b; discard plans; checkpoint", "does Other"},
		{"load 'a'", "does Loads"},
		{"set a = b; set local a.b to default; reset c; set transaction read only; set constraints all deferred", "does Sets"},
		{"begin; start transaction; savepoint a; release a; rollback to a; commit; rollback; prepare transaction 'a'; commit prepared 'a'", "does Controls"},
		{"select f(1); insert into a values (2); listen b", "does Listens Writes; on a:i; calls f"},

		// Temporary relations.
		{"create temp table a (b int)", "does Changes MakesTemp; on a:D; as pg_catalog.int4"},
		{"create local temporary table a as select 1", "does Changes MakesTemp; on a:iD"},
		{"create temporary view a as select 1", "does Changes MakesTemp; on a:D"},
		{"create temp sequence a", "does Changes MakesTemp; on a:D"},
		{"select 1 into temp a", "does Changes MakesTemp; on a:iD"},
		{"with b as (select 1) select * into temporary table a from b", "does Changes MakesTemp; on a:iD"},
		{"create table pg_temp.a (b int)", "does Changes MakesTemp; on pg_temp.a:D; as pg_catalog.int4"},
		{"create table U&\"pg\\005ftemp\".a ()", "does Changes MakesTemp; on pg_temp.a:D"},
		{"create function pg_temp.f() returns int language sql as ''", "does Changes MakesTemp; as pg_catalog.int4"},
		{"create type pg_temp.a as (b int)", "does Changes MakesTemp; on pg_temp.a:D; as pg_catalog.int4"},
		{"create view pg_temp_3.a as select 1", "does Changes MakesTemp; on pg_temp_3.a:D"},
		{"explain analyze select 1 into pg_temp.a", "does Changes MakesTemp; on pg_temp.a:iD"},
		{"select * from pg_temp.a", "on pg_temp.a:r"},
		{"insert into pg_temp.a values (1)", "does Writes; on pg_temp.a:i"},
		{"select temp from temporary", "on temporary:r"},

		// Moments.
		{"select 'now'::timestamptz", "does Moment; as timestamptz"},
		{"select timestamp 'today'", "does Moment; as pg_catalog.timestamp"},
		{"insert into a values ('tomorrow')", "does Moment Writes; on a:i"},
		{`select E'\x6eow', U&'y\0065sterday', $$ now $$`, "does Moment"},
		{"select 'no'\n'w'", "does Moment"},
		{"select now(), 'known', 'nowhere', \"now\", today from now", "on now:r; calls now"},
	}
}

func TestParse(t *testing.T) {
	for _, k := range known() {
		f, err := Parse(k[0])
		got := "error"
		if err == nil {
			got = spell(f)
		}
		if got != k[1] {
			t.Errorf("%s\n got  %s\n want %s (%v)", k[0], got, k[1], err)
		}
	}
}

// TestNotParsed has texts whose facts are not known, and must not be taken for others.
func TestNotParsed(t *testing.T) {
	for _, text := range []string{"selec", "select 1 from", "not sql", "select 'a", "select /*", "select 1\x00; drop table a", "select '\xff'", "select 1); drop table a"} {
		if f, err := Parse(text); err == nil {
			t.Errorf("%q: %s", text, spell(f))
		}
	}
}
