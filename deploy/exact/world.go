package exact

import (
	"bytes"
	"strings"

	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgscript"
)

// lastOID is above all OIDs that the objects of the template have.
const lastOID = 17000

// World is the SQL, one Query each, that makes the database that sequences are played in.
func World() []string {
	return []string{
		"CREATE TABLE t (a int PRIMARY KEY, b text)",
		"CREATE TABLE c (a int, b text)",
		"CREATE TABLE d (a int REFERENCES t DEFERRABLE INITIALLY DEFERRED)",
		"CREATE SEQUENCE sq",
		"CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy')",
		"CREATE FUNCTION boom(int) RETURNS int LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION 'boom %', $1 USING ERRCODE = 'P0042', HINT = 'none', DETAIL = 'all'; END$$",
		"CREATE FUNCTION note(text) RETURNS text LANGUAGE plpgsql AS $$BEGIN RAISE NOTICE 'note %', $1; RETURN $1; END$$",
		"CREATE FUNCTION zone(text) RETURNS text LANGUAGE sql AS $$SELECT set_config('TimeZone', $1, false)$$",
		"CREATE PROCEDURE twice() LANGUAGE plpgsql AS $$BEGIN COMMIT; PERFORM 1; END$$",
		"CREATE SCHEMA other",
		"CREATE TABLE other.t (a text, z int)",
		"INSERT INTO other.t VALUES ('other', 1)",
		`CREATE FUNCTION restore() RETURNS void LANGUAGE plpgsql AS $$
DECLARE x record;
BEGIN
	SET LOCAL client_min_messages = 'warning';
	FOR x IN SELECT c.oid::regclass AS name, c.relkind AS kind FROM pg_class c WHERE c.oid >= 17000 AND c.relkind IN ('r', 'p', 'v', 'm', 'S')
		AND c.relnamespace IN (SELECT n.oid FROM pg_namespace n WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema')
		AND NOT EXISTS (SELECT 1 FROM pg_depend i WHERE i.objid = c.oid AND i.deptype IN ('a', 'i') AND i.classid = 'pg_class'::regclass) LOOP
		EXECUTE 'DROP ' || CASE x.kind WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW' WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END || ' IF EXISTS ' || x.name || ' CASCADE';
	END LOOP;
	FOR x IN SELECT p.oid::regprocedure AS name FROM pg_proc p WHERE p.oid >= 17000 AND p.pronamespace = 'public'::regnamespace LOOP
		EXECUTE 'DROP ROUTINE IF EXISTS ' || x.name || ' CASCADE';
	END LOOP;
	FOR x IN SELECT y.oid::regtype AS name FROM pg_type y WHERE y.oid >= 17000 AND y.typnamespace = 'public'::regnamespace AND y.typtype IN ('e', 'd')
		OR y.oid >= 17000 AND y.typnamespace = 'public'::regnamespace AND y.typtype = 'c' AND EXISTS (SELECT 1 FROM pg_class k WHERE k.oid = y.typrelid AND k.relkind = 'c') LOOP
		EXECUTE 'DROP TYPE IF EXISTS ' || x.name || ' CASCADE';
	END LOOP;
	FOR x IN SELECT n.nspname AS name FROM pg_namespace n WHERE n.oid >= 17000 AND n.nspname !~ '^pg_' LOOP
		EXECUTE format('DROP SCHEMA IF EXISTS %I CASCADE', x.name);
	END LOOP;
	DELETE FROM d;
	DELETE FROM c;
	IF (SELECT string_agg(a || coalesce(b, '-'), ',' ORDER BY a) FROM t) IS DISTINCT FROM '1one,2two,3-,4four,5five' THEN
		DELETE FROM t;
		INSERT INTO t VALUES (1, 'one'), (2, 'two'), (3, NULL), (4, 'four'), (5, 'five');
	END IF;
	PERFORM setval('sq', 1, false);
END$$`,
		"SELECT restore()",
		// What is made later has higher OIDs than anything here.
		"DO $$BEGIN WHILE lo_create(0) < 17000 LOOP END LOOP; PERFORM lo_unlink(oid) FROM pg_largeobject_metadata; END$$",
	}
}

// restoreSQL makes the database what the template is.
const restoreSQL = "SET lock_timeout = '10s'; SELECT public.restore()"

// changes says whether a sequence may have changed the database.
func changes(s Sequence, script []transcriptTurn) bool {
	for _, t := range s.Turns {
		for _, raw := range t {
			if text := bytes.ToLower(raw); bytes.Contains(text, []byte("nextval")) || bytes.Contains(text, []byte("setval")) || bytes.Contains(text, []byte("into ")) || bytes.Contains(text, []byte("create ")) || bytes.Contains(text, []byte("update ")) {
				return true
			}
		}
	}
	for _, t := range script {
		for _, m := range t.answers {
			if m.Type == 'C' && !harmless(m) {
				return true
			}
		}
	}
	return false
}

// harmless says whether what has succeeded changes nothing in the database.
func harmless(m pgscript.Message) bool {
	tag, _, _ := strings.Cut(strings.TrimRight(string(m.Body), "\x00"), " ")
	switch tag {
	case "SELECT", "BEGIN", "START", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE", "SET", "RESET", "SHOW", "DEALLOCATE", "DISCARD", "FETCH", "MOVE", "DECLARE",
		"CLOSE", "LISTEN", "UNLISTEN", "NOTIFY", "PREPARE", "LOCK", "EXPLAIN", "VALUES":
		return true
	}
	return false
}
