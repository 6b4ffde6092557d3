package lookup

import (
	"context"
	_ "embed"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/heliosproxy/heliosproxy/dataplane/state/catalog"
	"github.com/heliosproxy/heliosproxy/pkg/sqlparse"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgcluster"
)

//go:embed testdata/zoo.sql
var zoo string

const (
	harmless  = catalog.Reach(0)
	suspect   = catalog.Suspect
	sequences = catalog.Sequences
	sessions  = catalog.Sessions
)

// statements of the zoo, what they reach, and what of the reading says so, where taking that out makes the answer wrong.
var statements = []struct {
	sql   string
	want  catalog.Reach
	needs catalog.What
}{
	{"SELECT 1", harmless, ""},
	{"SELECT upper('a') || lower2('b')", suspect, ""},
	{"SELECT id, t FROM plain WHERE id = 1 AND t LIKE 'a%' AND at BETWEEN now() - interval '1 day' AND now() ORDER BY id", harmless, ""},
	{"SELECT count(*), max(id), row_number() OVER () FROM plain p WHERE p.id IN (1, 2) GROUP BY p.id", harmless, catalog.FunctionRow},
	{"SELECT extract(epoch FROM at), 'a' SIMILAR TO 'b', at AT TIME ZONE 'UTC' FROM plain", harmless, ""},
	{"INSERT INTO plain VALUES (1, 'x') ON CONFLICT (id) DO UPDATE SET t = excluded.t RETURNING id", harmless, catalog.RelationRow},
	{"UPDATE plain SET t = 'y'; DELETE FROM plain; TRUNCATE plain", harmless, ""},
	{"SELECT * FROM pg_class JOIN pg_catalog.pg_namespace n ON n.oid = relnamespace", harmless, ""},
	{"SELECT * FROM information_schema.columns", harmless, ""},
	{"SELECT name, setting FROM pg_settings", harmless, ""},
	{"SELECT pg_advisory_xact_lock(7), pg_notify('a', 'b'), pg_sleep(0), random()", harmless, ""},
	{"SET work_mem = '1MB'; LISTEN x; SHOW work_mem; BEGIN; COMMIT", harmless, ""},
	{"SELECT 1 FROM nowhere", suspect, ""},
	{"SELECT 'a'::nothing", suspect, ""},
	{"SELECT 1 @@@@ 2", suspect, ""},

	{"DO $$BEGIN END$$", suspect, ""},
	{"CALL proc()", suspect, ""},
	{"EXECUTE x", suspect, ""},
	{"LOAD 'x'", suspect, ""},
	{"CREATE TABLE x ()", suspect, ""},

	{"SELECT set_config('work_mem', '1MB', true)", suspect, ""},
	{"SELECT pg_catalog.pg_advisory_lock(1)", suspect, ""},
	{"SELECT pg_try_advisory_lock_shared(1)", suspect, ""},
	{"SELECT setseed(1)", suspect, ""},
	{"SELECT query_to_xml('SELECT leak()', true, true, '')", suspect, ""},
	{"SELECT nextval('numbered_id_seq')", sequences, ""},
	{"SELECT currval('numbered_id_seq'), lastval()", sessions, ""},
	{"SELECT pg_listening_channels()", sessions, ""},

	{"SELECT leak()", suspect, ""},
	{"SELECT inlined()", suspect, ""},
	{"SELECT declared(1), public.declared(2)", harmless, ""},
	{"SELECT other.declared(1)", suspect, ""},
	{"SELECT lower('a')", suspect, ""}, // any schema's
	{"SELECT pg_catalog.lower('a')", harmless, ""},
	{"SELECT total(id) FROM plain", harmless, catalog.AggregateRow},
	{"SELECT leaktotal(id) FROM plain", suspect, ""},
	{"SELECT int4('1'), date('2000-01-01'), uuid('a'), mood('good')", harmless, catalog.TypeRow},
	{"SELECT '1'::int, '{1}'::int[], 'good'::mood, '(1,2)'::pair, 3::positive, row(1, 'x', now())::plain", harmless, catalog.TypeRow},
	{"SELECT span(1, 2), '[1,2)'::span @> 1.5::float8", harmless, ""},
	{"SELECT p.whole FROM plain p", suspect, ""},
	{"SELECT (p).whole FROM plain p", suspect, ""},
	{"SELECT p.leaks, p.whole2 FROM plain p", harmless, ""}, // no function of a row
	{"SELECT 1 ### 2", harmless, catalog.OperatorRow},
	{"SELECT 1 <#> 2", suspect, catalog.OperatesRow},
	{"SELECT 1 >#< 2", suspect, catalog.TwinRow}, // NOT of which is the other
	{"SELECT 'a=>1'::hstore -> 'a', hstore('a', 'b'), 'a'::citext = 'A', similarity('a', 'b')", harmless, ""},
	{"SELECT set_limit(0.1)", suspect, ""},
	{"SELECT dblink_connect('x')", suspect, ""},

	{"INSERT INTO numbered (t) VALUES ('a')", sequences, catalog.DefaultRow},
	{"SELECT * FROM numbered", harmless, ""},
	{"DELETE FROM numbered", harmless, ""},
	{"INSERT INTO identified (t) VALUES ('a')", sequences, catalog.IdentityRow},
	{"COPY numbered (t) FROM STDIN", sequences, catalog.DefaultRow},

	{"INSERT INTO triggered VALUES (1)", suspect, catalog.TriggerRow},
	{"UPDATE triggered SET id = 1", suspect, catalog.TriggerRow},
	{"DELETE FROM triggered", harmless, ""},
	{"SELECT * FROM triggered", harmless, ""},
	{"SELECT * FROM triggered FOR UPDATE", harmless, ""},
	{"COPY triggered FROM STDIN", suspect, catalog.TriggerRow},
	{"COPY triggered TO STDOUT", harmless, ""},
	{"MERGE INTO triggered t USING plain p ON t.id = p.id WHEN NOT MATCHED THEN INSERT VALUES (1, 'a')", suspect, catalog.TriggerRow},
	{"WITH w AS (INSERT INTO triggered VALUES (1) RETURNING id) SELECT * FROM w", suspect, catalog.TriggerRow},
	{"DELETE FROM triggered_d", suspect, catalog.TriggerRow},
	{"TRUNCATE triggered_t", suspect, catalog.TriggerRow},
	{"INSERT INTO triggered_off VALUES (1)", harmless, ""},
	{"UPDATE conditional SET id = 1", suspect, catalog.ConditionRow},
	{"UPDATE conditional_b SET id = 1", suspect, catalog.ConditionRow},
	{"INSERT INTO conditional VALUES (1)", harmless, ""},

	{"INSERT INTO defaulted (t) VALUES ('a')", suspect, catalog.DefaultRow},
	{"UPDATE defaulted SET id = DEFAULT", suspect, catalog.DefaultRow},
	{"SELECT * FROM defaulted", harmless, ""},
	{"INSERT INTO defaulted_b (t) VALUES ('a')", suspect, catalog.DefaultRow},
	{"INSERT INTO generated VALUES (1)", suspect, catalog.DefaultRow},
	{"SELECT * FROM generated", harmless, ""},
	{"INSERT INTO checked VALUES (1)", suspect, catalog.CheckRow},
	{"SELECT * FROM checked", suspect, catalog.CheckRow}, // the planner may evaluate it
	{"INSERT INTO checked_b VALUES (1)", suspect, catalog.CheckRow},
	{"INSERT INTO operated VALUES (1)", suspect, catalog.CheckRow},
	{"INSERT INTO indexed VALUES (1)", suspect, catalog.IndexRow},
	{"SELECT * FROM indexed", suspect, catalog.IndexRow},
	{"UPDATE indexed_p SET t = 'a'", suspect, catalog.IndexRow},
	{"ANALYZE indexed", suspect, ""},
	{"ANALYZE", suspect, ""},

	{"SELECT * FROM guarded", suspect, catalog.PolicyRow},
	{"SELECT * FROM guarded_b", suspect, catalog.PolicyRow},
	{"SELECT * FROM guarded_r", suspect, catalog.PolicyRow},

	{"SELECT id FROM seen", suspect, catalog.RuleRow},
	{"SELECT id FROM seen_b", suspect, catalog.RuleRow},
	{"SELECT id FROM seen_through", suspect, catalog.RuleRow},
	{"SELECT id FROM seen_plain", harmless, ""},
	{"SELECT * FROM seen_current", sessions, catalog.RuleRow},
	{"SELECT * FROM seen_prepared", sessions, catalog.RuleRow},
	{"SELECT * FROM pg_prepared_statements", sessions, ""},
	{"SELECT id FROM updatable", harmless, ""},
	{"INSERT INTO updatable VALUES (1)", suspect, catalog.RuleRow},
	{"DELETE FROM instead", suspect, catalog.TriggerRow},
	{"SELECT * FROM instead", harmless, ""},
	{"SELECT * FROM stored", harmless, ""},
	{"REFRESH MATERIALIZED VIEW stored", suspect, ""},
	{"INSERT INTO ruled VALUES (1)", suspect, catalog.RuleRow},
	{"SELECT * FROM ruled", harmless, ""},
	{"DELETE FROM ruled_w", suspect, catalog.RuleRow},
	{"UPDATE ruled_s SET id = 1", suspect, catalog.RuleRow},
	{"UPDATE pg_settings SET setting = '1MB' WHERE name = 'work_mem'", suspect, ""},

	{"INSERT INTO divided VALUES (1)", suspect, catalog.InheritsRow},
	{"INSERT INTO divided_1 VALUES (1)", harmless, ""},
	{"INSERT INTO divided_2 VALUES (1)", suspect, catalog.TriggerRow},
	{"UPDATE divided SET id = 11", suspect, catalog.InheritsRow},
	{"DELETE FROM divided", harmless, ""},
	{"INSERT INTO keyed VALUES (1)", suspect, catalog.PartitionRow},
	{"INSERT INTO keyed_1 VALUES (1)", suspect, catalog.PartitionRow},
	{"SELECT * FROM parent", harmless, ""},
	{"DELETE FROM parent", suspect, catalog.InheritsRow},

	{"DELETE FROM owner", suspect, catalog.ReferencesRow},
	{"INSERT INTO owner VALUES (1)", harmless, ""},
	{"DELETE FROM owner_n", suspect, catalog.ReferencesRow},
	{"UPDATE owner_p SET id = 2", suspect, catalog.ReferencesRow},
	{"DELETE FROM owner_p", harmless, ""},

	{"INSERT INTO plain2 VALUES (1)", suspect, ""}, // any schema's
	{"INSERT INTO public.plain2 VALUES (1)", harmless, ""},
	{"SELECT * FROM foreign_t", suspect, ""},
}

// read asks a server for its catalogue as a Reader does.
func read(t testing.TB, dsn string) []catalog.Row {
	t.Helper()
	conn, err := pgconn.Connect(context.Background(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	return rowsOf(t, conn)
}

// rowsOf is the reading as a connection sees it.
func rowsOf(t testing.TB, conn *pgconn.PgConn) []catalog.Row {
	t.Helper()
	results, err := conn.Exec(context.Background(), prepare+";"+question()).ReadAll()
	if err != nil {
		t.Fatalf("read the catalogue: %v", err)
	}
	var rows []catalog.Row
	for _, v := range results[len(results)-1].Rows {
		rows = append(rows, catalog.Row{What: catalog.What(v[0]), A: oid(t, v[1]), B: oid(t, v[2]), S: string(v[3]), N: string(v[4]), X: string(v[5])})
	}
	return rows
}

func oid(t testing.TB, v []byte) uint32 {
	n, err := strconv.ParseUint(string(v), 10, 32)
	if err != nil {
		t.Fatalf("object identifier: %v", err)
	}
	return uint32(n)
}

// judge is what a text reaches by the rows.
func judge(t testing.TB, rows []catalog.Row) func(sql string) (catalog.Reach, string) {
	t.Helper()
	h := catalog.NewHandle(nil)
	h.Publish(catalog.Compile(rows, []string{"declared"}), h.Mark())
	return func(sql string) (catalog.Reach, string) {
		f, err := sqlparse.Parse(sql)
		if err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
		reach, _ := h.Judge(f)
		return reach, h.Why(f)
	}
}

// without leaves a kind of rows out.
func without(rows []catalog.Row, what catalog.What) []catalog.Row {
	var out []catalog.Row
	for _, r := range rows {
		if r.What != what {
			out = append(out, r)
		}
	}
	return out
}

// zoos makes the zoo in a database of its own and returns how to reach it: on a server of the test's own, and on those whose
// connection strings, as the superuser postgres, HELIOS_TEST_SERVERS has, separated by commas.
func zoos(t *testing.T) []string {
	t.Helper()
	dsns := []string{pgcluster.Start(t, pgcluster.Options{}).Primary.DSN("postgres", "postgres")}
	if more := os.Getenv("HELIOS_TEST_SERVERS"); more != "" {
		dsns = append(dsns, strings.Split(more, ",")...)
	}
	name := "zoo_" + strings.ToLower(t.Name())
	for i, dsn := range dsns {
		dsns[i] = dsn + " dbname=" + name
		exec(t, dsn, "DROP DATABASE IF EXISTS "+name, "CREATE DATABASE "+name)
		exec(t, dsns[i], zoo)
	}
	return dsns
}

func exec(t testing.TB, dsn string, texts ...string) {
	t.Helper()
	conn, err := pgconn.Connect(context.Background(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	for _, text := range texts {
		if _, err := conn.Exec(context.Background(), text).ReadAll(); err != nil {
			t.Fatalf("%.60s: %v", text, err)
		}
	}
}

// TestZoo compares what statements are said to reach with what they do. Each part of a reading is then left out: every
// statement that needs it must be judged wrongly, or the case proves nothing.
func TestZoo(t *testing.T) {
	t.Parallel()
	for _, dsn := range zoos(t) {
		testZoo(t, dsn)
	}
}

func testZoo(t *testing.T, dsn string) {
	rows := read(t, dsn)
	ask := judge(t, rows)
	left := map[catalog.What]func(string) (catalog.Reach, string){}
	for _, s := range statements {
		got, why := ask(s.sql)
		if got != s.want {
			t.Errorf("%s: reaches %s (%s), want %s", s.sql, words(got), why, words(s.want))
		}
		if (why != "") != (got&suspect != 0) {
			t.Errorf("%s: reaches %s, and the reason is %q", s.sql, words(got), why)
		}
		if s.needs == "" {
			continue
		}
		if left[s.needs] == nil {
			left[s.needs] = judge(t, without(rows, s.needs))
		}
		if blind, _ := left[s.needs](s.sql); blind == s.want {
			t.Errorf("%s: reaches %s also without the rows %q", s.sql, words(blind), s.needs)
		}
	}
}

func words(r catalog.Reach) string {
	var s []string
	for i, w := range []string{"suspect", "sequences", "sessions"} {
		if r&(1<<i) != 0 {
			s = append(s, w)
		}
	}
	return fmt.Sprintf("[%s]", strings.Join(s, " "))
}
