package lookup

import (
	"context"
	"maps"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/heliosproxy/heliosproxy/dataplane/state/catalog"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgcluster"
)

// changes are changes of the zoo that another reading has to follow.
var changes = []string{
	"CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'", "DROP FUNCTION inlined()", "ALTER FUNCTION leaked(int) RENAME TO x",
	"ALTER FUNCTION leak() SET SCHEMA other",
	"CREATE TABLE x (id int)", "DROP TABLE plain2", "ALTER TABLE plain2 RENAME TO x", "ALTER TABLE plain SET SCHEMA other",
	"ALTER TABLE plain2 ADD d int DEFAULT leak()", "ALTER TABLE defaulted ALTER id DROP DEFAULT", "ALTER TABLE plain2 ALTER id SET DEFAULT leak()",
	"ALTER TABLE plain2 ADD g int GENERATED ALWAYS AS (leaked(id)) STORED", "ALTER TABLE generated ALTER g DROP EXPRESSION",
	"ALTER TABLE plain2 ADD i int GENERATED ALWAYS AS IDENTITY", "ALTER TABLE identified ALTER id DROP IDENTITY", "ALTER TABLE plain2 ADD s serial",
	"ALTER TABLE plain2 ADD CHECK (leaks(id))", "ALTER TABLE checked DROP CONSTRAINT checked_id_check",
	"CREATE TRIGGER y AFTER INSERT ON plain2 EXECUTE FUNCTION fired()", "DROP TRIGGER z ON triggered", "ALTER TABLE triggered DISABLE TRIGGER z",
	"ALTER TABLE triggered_off ENABLE TRIGGER z",
	"CREATE POLICY y ON plain2 USING (leaks(id))", "DROP POLICY z ON guarded", "ALTER POLICY z ON guarded USING (true)",
	"CREATE VIEW x AS SELECT leak()", "CREATE OR REPLACE VIEW seen_plain AS SELECT id, upper(t) AS u FROM seen s JOIN plain USING (id)", "DROP VIEW seen_through",
	"CREATE RULE y AS ON DELETE TO plain2 DO ALSO SELECT leak()", "DROP RULE z ON ruled",
	"CREATE INDEX ON plain2 (leaked(id))", "DROP INDEX indexed_leaked_idx", "CREATE STATISTICS x ON (leaked(a)), b FROM counted",
	"ALTER TABLE divided DETACH PARTITION divided_2", "ALTER TABLE child NO INHERIT parent", "CREATE TABLE x PARTITION OF divided FOR VALUES FROM (20) TO (30)",
	"ALTER TABLE plain2 ADD FOREIGN KEY (id) REFERENCES plain", "ALTER TABLE owned DROP CONSTRAINT owned_id_fkey",
	"CREATE OPERATOR @@@ (LEFTARG = int, RIGHTARG = int, FUNCTION = leakop)", "DROP OPERATOR ### (int, int)",
	"CREATE AGGREGATE x (int) (SFUNC = leakstep, STYPE = int)", "DROP AGGREGATE total (int)",
	"CREATE TYPE x AS (a int)", "DROP TYPE pair", "CREATE DOMAIN x AS int CHECK (leaks(VALUE))", "ALTER DOMAIN positive ADD CHECK (leaks(VALUE))",
	"CREATE DOMAIN pg_temp.x AS int CHECK (leaks(VALUE))",
	"CREATE CAST (mood AS int) WITH FUNCTION of_mood(mood)", "CREATE ACCESS METHOD m TYPE INDEX HANDLER handler",
	"CREATE CONVERSION c FOR 'LATIN1' TO 'UTF8' FROM converts", "CREATE TEXT SEARCH TEMPLATE t (LEXIZE = lex)",
	"CREATE TEXT SEARCH PARSER p (START = prsd_start, GETTOKEN = prsd_nexttoken, END = parsed, LEXTYPES = prsd_lextype)",
	"ALTER OPERATOR FAMILY integer_ops USING btree ADD FUNCTION 1 (int, mood) compares(int, mood)",
	"ALTER OPERATOR FAMILY plain_ops USING hash ADD OPERATOR 1 <#> (int, int)", "ALTER ROLE boss NOSUPERUSER",
	"CREATE OPERATOR CLASS c FOR TYPE int USING hash AS OPERATOR 1 <#>, FUNCTION 1 hashint4(int)",
	"CREATE EXTENSION ltree", "DROP EXTENSION citext", "ALTER EXTENSION hstore ADD FUNCTION declared(int)", "ALTER EXTENSION hstore DROP FUNCTION hstore_to_json(hstore)",
	"CREATE SCHEMA x", "ALTER SCHEMA other RENAME TO x", "CREATE FOREIGN TABLE x (l text) SERVER files OPTIONS (filename '/x')",
}

// support is what some of them need to be there before.
var support = []string{
	"CREATE FUNCTION of_mood(mood) RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN leak(); END'",
	"CREATE FUNCTION handler(internal) RETURNS index_am_handler LANGUAGE internal AS 'bthandler'",
	"CREATE FUNCTION converts(int, int, cstring, internal, int, bool) RETURNS int LANGUAGE c STRICT AS '$libdir/utf8_and_iso8859_1', 'iso8859_1_to_utf8'",
	"CREATE FUNCTION lex(internal, internal, internal, internal) RETURNS internal LANGUAGE internal AS 'dsimple_lexize'",
	"CREATE FUNCTION parsed(internal) RETURNS void LANGUAGE internal AS 'prsd_end'",
	"CREATE FUNCTION compares(int, mood) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN leak(); END'",
	"CREATE OPERATOR FAMILY plain_ops USING hash",
	"CREATE ROLE boss SUPERUSER; SET ROLE boss; CREATE EXTENSION earthdistance CASCADE",
}

// passing is what needs no other reading.
var passing = []string{
	"INSERT INTO defaulted (t) VALUES ('a')", "SELECT nextval('numbered_id_seq')", "ANALYZE", "SET work_mem = '1MB'",
	"CREATE TEMP TABLE x (id serial PRIMARY KEY, t text DEFAULT upper('a') CHECK (t > ''))", "CREATE TEMP TABLE x AS SELECT 1 AS id; DROP TABLE x",
	"CREATE TEMP VIEW x AS SELECT 1", "CREATE TEMP SEQUENCE x",
}

// lasting counts rows, but for those of temporary relations: they have no names in a reading, and what has no name is suspect.
func lasting(rows []catalog.Row) map[catalog.Row]int {
	relations := map[uint32]bool{}
	for _, r := range rows {
		if r.What == catalog.RelationRow {
			relations[r.A] = true
		}
	}
	counted := map[catalog.Row]int{}
	for _, r := range rows {
		switch r.What {
		case catalog.DefaultRow, catalog.IdentityRow, catalog.RuleRow, catalog.CheckRow, catalog.IndexRow, catalog.TriggerRow, catalog.ReferencesRow:
			if !relations[r.A] {
				continue
			}
		}
		counted[r]++
	}
	return counted
}

// TestSignature makes changes, one by one, and undoes them: where a reading has other rows, the signature is another one. What
// is done all the time and changes no reading leaves it alone.
func TestSignature(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{}).Primary
	pg.Exec(t, append([]string{zoo}, support...)...)
	ctx := context.Background()
	conn, err := pgconn.Connect(ctx, pg.DSN("postgres", "postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	do := func(sql string) string {
		t.Helper()
		results, err := conn.Exec(ctx, sql).ReadAll()
		if err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
		if last := results[len(results)-1]; len(last.Rows) > 0 {
			return string(last.Rows[0][0])
		}
		return ""
	}
	look := func() (string, map[catalog.Row]int) {
		return do(signatureSQL), lasting(rowsOf(t, conn))
	}
	do("CREATE TEMP TABLE first (id int)") // makes the schema
	signature, rows := look()
	needed := map[string]bool{}
	for i, sql := range append(changes, passing...) {
		do("BEGIN; SET search_path = public")
		do(sql)
		now, is := look()
		do("ROLLBACK")
		changed, differs := now != signature, !maps.Equal(is, rows)
		if differs && !changed {
			t.Errorf("%s: the reading is another one, the signature is not", sql)
		}
		if parts := different(signature, now); differs && len(parts) == 1 {
			needed[parts[0]] = true
		}
		if i < len(changes) && !differs && sql != "CREATE SCHEMA x" {
			t.Errorf("%s: the reading is the same", sql)
		}
		if i >= len(changes) && changed {
			t.Errorf("%s: the signature is another one, the reading is not (%v)", sql, differs)
		}
	}
	for _, part := range strings.Fields(signature) {
		if name, _, _ := strings.Cut(part, ":"); !needed[name] {
			t.Errorf("without part %s of the signature no change would go unseen", name)
		}
	}
}

// different are the names of the parts that two signatures do not share.
func different(a, b string) (parts []string) {
	has := map[string]bool{}
	for _, p := range strings.Fields(a) {
		has[p] = true
	}
	for _, p := range strings.Fields(b) {
		if !has[p] {
			name, _, _ := strings.Cut(p, ":")
			parts = append(parts, name)
		}
	}
	return parts
}
