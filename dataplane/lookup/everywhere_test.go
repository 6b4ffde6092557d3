package lookup

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/heliosproxy/heliosproxy/dataplane/state/catalog"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgcluster"
)

// everywhere are objects of which no text says when they are reached: what every statement reaches with them, and what of the
// reading says so.
var everywhere = []struct {
	make  string
	want  catalog.Reach
	needs catalog.What
}{
	{"CREATE FUNCTION f(mood) RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN leak(); END'; CREATE CAST (mood AS int) WITH FUNCTION f(mood) AS IMPLICIT", suspect, catalog.CastRow},
	{"CREATE FUNCTION f(mood) RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN leak(); END'; CREATE CAST (mood AS int) WITH FUNCTION f(mood)", suspect, catalog.CastRow},
	{"CREATE CAST (bigint AS boolean) WITH FUNCTION pg_try_advisory_lock(bigint)", suspect, catalog.CastRow},
	{"CREATE CAST (mood AS int) WITH INOUT AS IMPLICIT", harmless, ""},

	{"CREATE DOMAIN d AS int CHECK (leaks(VALUE))", suspect, catalog.DomainRow},
	{"CREATE DOMAIN d AS int CHECK (set_config('a.b', 'c', false) = 'c')", suspect, catalog.DomainRow},
	{"CREATE DOMAIN d AS int DEFAULT leak()", suspect, ""},
	{"CREATE DOMAIN d AS text DEFAULT set_config('a.b', 'c', false)", suspect, catalog.DomainRow},
	{"CREATE DOMAIN d AS int DEFAULT nextval('numbered_id_seq')", sequences, catalog.DomainRow},
	{"CREATE DOMAIN d AS text DEFAULT upper('a') CHECK (length(VALUE) > 0)", harmless, ""},

	{"CREATE TYPE t; CREATE FUNCTION i(cstring) RETURNS t LANGUAGE internal IMMUTABLE STRICT AS 'int4in';" +
		"CREATE FUNCTION o(t) RETURNS cstring LANGUAGE internal IMMUTABLE STRICT AS 'int4out';" +
		"CREATE TYPE t (INPUT = i, OUTPUT = o, LIKE = int4)", suspect, catalog.TypeNeedsRow},
	{"CREATE FUNCTION f(float8, float8) RETURNS float8 LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN leak(); END';" +
		"CREATE TYPE t AS RANGE (SUBTYPE = float8, SUBTYPE_DIFF = f)", suspect, catalog.TypeNeedsRow},
	{"CREATE TYPE t AS RANGE (SUBTYPE = float8, SUBTYPE_DIFF = float8mi); CREATE TYPE e AS ENUM ('a'); CREATE TYPE c AS (a t, b e[])", harmless, ""},

	{"CREATE FUNCTION f(int, int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN leak(); END'; CREATE OPERATOR CLASS c FOR TYPE int USING btree AS " +
		"OPERATOR 1 <, OPERATOR 2 <=, OPERATOR 3 =, OPERATOR 4 >=, OPERATOR 5 >, FUNCTION 1 f(int, int)", suspect, catalog.ClassRow},
	{"CREATE OPERATOR CLASS c FOR TYPE int USING hash AS OPERATOR 1 <#>, FUNCTION 1 hashint4(int)", suspect, catalog.ClassRow},
	{"CREATE OPERATOR CLASS c FOR TYPE int USING hash AS OPERATOR 1 =, FUNCTION 1 hashint4(int)", harmless, ""},

	{"CREATE FUNCTION f(internal) RETURNS index_am_handler LANGUAGE internal AS 'bthandler'; CREATE ACCESS METHOD m TYPE INDEX HANDLER f", suspect, catalog.NeedsRow},
	{"CREATE FUNCTION f(internal, internal, internal, internal) RETURNS internal LANGUAGE internal AS 'dsimple_lexize'; CREATE TEXT SEARCH TEMPLATE t (LEXIZE = f)", suspect, catalog.NeedsRow},
	{"CREATE EXTENSION unaccent; CREATE EXTENSION bloom; CREATE EXTENSION btree_gist; CREATE EXTENSION ltree; CREATE EXTENSION isn; CREATE EXTENSION cube;" +
		"CREATE EXTENSION intarray; CREATE EXTENSION seg; CREATE EXTENSION btree_gin; CREATE EXTENSION dict_int; CREATE EXTENSION pg_stat_statements", harmless, ""},
	{"CREATE FUNCTION f() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN PERFORM leak(); END'; CREATE EVENT TRIGGER e ON ddl_command_end EXECUTE FUNCTION f()", harmless, ""},
}

// TestEverywhere makes each of the objects and undoes that.
func TestEverywhere(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{}).Primary
	pg.Exec(t, zoo)
	ctx := context.Background()
	conn, err := pgconn.Connect(ctx, pg.DSN("postgres", "postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	const anything = "SELECT 1"
	for _, e := range everywhere {
		if _, err := conn.Exec(ctx, "BEGIN;"+e.make).ReadAll(); err != nil {
			t.Errorf("%s: %v", e.make, err)
		} else {
			rows := rowsOf(t, conn)
			if got, why := judge(t, rows)(anything); got != e.want {
				t.Errorf("%s: everything reaches %s (%s), want %s", e.make, words(got), why, words(e.want))
			}
			if e.needs != "" {
				if got, _ := judge(t, without(rows, e.needs))(anything); got == e.want {
					t.Errorf("%s: everything reaches %s also without the rows %q", e.make, words(got), e.needs)
				}
			}
		}
		if _, err := conn.Exec(ctx, "ROLLBACK").ReadAll(); err != nil {
			t.Fatal(err)
		}
	}
}
