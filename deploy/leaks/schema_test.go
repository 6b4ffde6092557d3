// Package leaks looks for what one session of the proxy leaves to another: sessions that share server connections do what twins of theirs do that have PostgreSQL for themselves, and must see the same. It never knows how the proxy keeps sessions apart.
package leaks

// schema is what the units use. Two databases have it: one is asked through the proxy, one directly.
const schema = `
CREATE TABLE plain (a int);
CREATE TABLE once (a int PRIMARY KEY);
INSERT INTO once VALUES (0);
CREATE SEQUENCE s;
CREATE TABLE numbered (id serial, a int);
CREATE TABLE identified (id int GENERATED ALWAYS AS IDENTITY, a int);

CREATE FUNCTION f_volatile(v text) RETURNS text LANGUAGE plpgsql AS $$BEGIN PERFORM set_config('app.owner', v, false); RETURN v; END$$;
CREATE FUNCTION f_stable(v text) RETURNS text LANGUAGE plpgsql STABLE AS $$BEGIN PERFORM set_config('work_mem', v, false); RETURN v; END$$;
CREATE FUNCTION f_sql(v text) RETURNS text LANGUAGE sql AS $$SELECT set_config('app.owner', v, false)$$;
CREATE FUNCTION f_local(v text) RETURNS text LANGUAGE plpgsql AS $$BEGIN PERFORM set_config('app.owner', v, true); RETURN v; END$$;
CREATE FUNCTION f_lock(k int) RETURNS void LANGUAGE plpgsql AS $$BEGIN PERFORM pg_advisory_lock(k); END$$;
CREATE FUNCTION f_temp() RETURNS void LANGUAGE plpgsql AS $$BEGIN CREATE TEMP TABLE IF NOT EXISTS kept (a int); END$$;
CREATE FUNCTION f_listen() RETURNS void LANGUAGE plpgsql AS $$BEGIN LISTEN inner_channel; END$$;
CREATE FUNCTION f_prepare() RETURNS void LANGUAGE plpgsql AS $$BEGIN EXECUTE 'PREPARE made AS SELECT 1'; EXCEPTION WHEN duplicate_prepared_statement THEN END$$;
CREATE FUNCTION f_hold() RETURNS void LANGUAGE plpgsql AS $$BEGIN EXECUTE 'DECLARE inner_cursor CURSOR WITH HOLD FOR SELECT 1'; EXCEPTION WHEN duplicate_cursor THEN END$$;
CREATE FUNCTION f_next() RETURNS bigint LANGUAGE plpgsql AS $$BEGIN RETURN nextval('s'); END$$;
CREATE FUNCTION f_role() RETURNS void LANGUAGE plpgsql AS $$BEGIN SET ROLE keeper; END$$;
CREATE FUNCTION f_safe(v text) RETURNS text LANGUAGE sql IMMUTABLE AS $$SELECT upper(v)$$;
CREATE PROCEDURE p_set(v text) LANGUAGE plpgsql AS $$BEGIN PERFORM set_config('app.owner', v, false); COMMIT; END$$;

CREATE FUNCTION t_set() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN PERFORM set_config('app.owner', 'trigger ' || NEW.a, false); RETURN NEW; END$$;
CREATE TABLE triggered (a int);
CREATE TRIGGER t BEFORE INSERT OR UPDATE ON triggered FOR EACH ROW EXECUTE FUNCTION t_set();
CREATE TABLE parted (a int) PARTITION BY RANGE (a);
CREATE TABLE parted_all PARTITION OF parted FOR VALUES FROM (MINVALUE) TO (MAXVALUE);
CREATE TRIGGER t BEFORE INSERT ON parted_all FOR EACH ROW EXECUTE FUNCTION t_set();
CREATE TABLE defaulted (a int, b text DEFAULT f_volatile('default'));
CREATE TABLE checked (a int, CHECK (f_volatile('check ' || a) IS NOT NULL));
CREATE VIEW viewed AS SELECT f_volatile('view') AS v;
CREATE TABLE guarded (a int);
INSERT INTO guarded VALUES (1);
ALTER TABLE guarded ENABLE ROW LEVEL SECURITY;
CREATE POLICY p ON guarded USING (f_volatile('policy') IS NOT NULL);
CREATE TABLE ruled (a int);
CREATE RULE r AS ON INSERT TO ruled DO ALSO SELECT f_volatile('rule');
CREATE FUNCTION f_both(a text, b text) RETURNS text LANGUAGE plpgsql AS $$BEGIN RETURN f_volatile(a || b); END$$;
CREATE OPERATOR ### (LEFTARG = text, RIGHTARG = text, FUNCTION = f_both);

GRANT ALL ON ALL TABLES IN SCHEMA public TO PUBLIC;
GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO PUBLIC;
`

// roles are made once for both databases. Sessions log in as worker, for whom row security holds.
const roles = `
CREATE ROLE keeper;
CREATE ROLE worker LOGIN;
GRANT keeper TO worker;
`

// kind is what the proxy has to see so that nothing of a unit leaks. Each is taken out once, by TestTaken.
type kind string

// unit is what a session does in one go: statements, one after the other. In them %d is a number that no other unit has, $s one that
// is the session's, $big a comment by which a text is too large for the proxy to look at.
type unit struct {
	kind kind
	sql  []string
}

func units() []unit {
	return []unit{
		{"", []string{"SELECT %d"}},
		{"", []string{"INSERT INTO plain VALUES (%d)"}},
		{"", []string{"BEGIN", "UPDATE plain SET a = a + 1 WHERE a = %d", "COMMIT"}},
		{"", []string{"SELECT f_safe('x%d')"}},
		{"", []string{"SELECT a FROM plain ORDER BY a LIMIT 1"}},

		{"set", []string{"SET work_mem = '%dkB'"}},
		{"set", []string{"SET app.owner = 'set %d'"}},
		{"set", []string{"SET search_path = public, x%d"}},
		{"set", []string{"BEGIN", "SET work_mem = '%dkB'", "COMMIT"}},
		{"set", []string{"RESET work_mem"}},
		{"set", []string{"SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY", "SHOW transaction_read_only", "SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE"}},
		{"rollback", []string{"BEGIN", "SET work_mem = '%dkB'", "ROLLBACK"}},
		{"rollback", []string{"BEGIN", "SAVEPOINT a", "SET app.owner = 'point %d'", "ROLLBACK TO a", "COMMIT"}},
		{"rollback", []string{"BEGIN", "SAVEPOINT a", "SET work_mem = '%dkB'", "RELEASE a", "SELECT 1/0", "COMMIT"}},
		{"rollback", []string{"BEGIN", "SET LOCAL work_mem = '%dkB'", "COMMIT"}},
		{"set_config", []string{"SELECT set_config('app.owner', 'called %d', false)"}},
		{"set_config", []string{"BEGIN", "SELECT set_config('work_mem', '%dkB', false)", "ROLLBACK"}},
		{"set_config", []string{"SELECT set_config('seed', '0.5', false)"}},
		{"called", []string{"FUNCTION set_config(text,text,bool) app.owner|by number %d|f"}},
		{"called", []string{"FUNCTION set_config(text,text,bool) work_mem|%dkB|f"}},
		{"called", []string{"BEGIN", "FUNCTION set_config(text,text,bool) work_mem|%dkB|f", "ROLLBACK"}},
		{"called", []string{"FUNCTION set_config(text,text,bool) role|keeper|f"}},
		{"called", []string{"FUNCTION pg_advisory_lock(bigint) $s"}},
		{"called", []string{"FUNCTION f_volatile(text) volatile by number %d"}},
		{"called", []string{"FUNCTION f_lock(int) $s"}},
		{"called", []string{"FUNCTION setseed(float8) 0.5"}},
		{"piped", []string{"PIPE M | Q SET app.owner = 'malformed %d'"}},
		{"piped", []string{"PIPE M | Q SELECT set_config('work_mem', '%dkB', false)"}},
		{"piped", []string{"PIPE M | Q SET ROLE keeper"}},
		{"piped", []string{"PIPE N n%d SELECT 1 | S | X SELECT nope | Q DEALLOCATE n%d | S | Q SET app.owner = 'skipped %d' | Q DEALLOCATE n%d"}},
		{"piped", []string{"PIPE N n%d SELECT 1 | S | X SELECT nope | N o%d EXECUTE n%d | S | Q SET work_mem = '%dkB' | Q DEALLOCATE n%d"}},
		{"piped", []string{"PIPE X SET work_mem = '%dkB' | X SELECT 1/0 | X SET app.owner = 'behind %d' | S | Q SELECT 1"}},
		{"piped", []string{"PIPE X SET app.owner = 'first %d' | S | X SELECT 1/0 | X SET work_mem = '%dkB' | S | X SET work_mem = '%dkB' | S"}},
		{"piped", []string{"PIPE Q BEGIN | Q SET ROLE keeper | Q SELECT 1/0 | Q SET app.owner = 'refused %d' | Q ROLLBACK | Q SET app.owner = 'after %d'"}},
		{"piped", []string{"PIPE Q BEGIN | Q SET work_mem = '%dkB' | Q SAVEPOINT a | Q SET app.owner = 'point %d' | Q SELECT 1/0 | Q ROLLBACK TO a | Q COMMIT"}},
		{"piped", []string{"PIPE X BEGIN | X SET app.owner = 'begun %d' | S | X SELECT nope | X COMMIT | S | Q ROLLBACK"}},
		{"piped", []string{"PIPE N n%d SET app.owner = 'named %d' | E n%d | S | E n%d | X SELECT 1/0 | S | Q DEALLOCATE n%d"}},
		{"piped", []string{"PIPE X SELECT f_volatile('piped %d') | X SELECT 1/0 | S | X SELECT f_lock($s) | S"}},
		{"piped", []string{"PIPE Q SET app.owner = 'two %d'; SELECT 1/0; SET work_mem = '%dkB' | Q SET work_mem = '%dkB'; SELECT 1"}},
		{"piped", []string{"PIPE Q BEGIN; SET app.owner = 'chained %d'; COMMIT AND CHAIN; SET work_mem = '%dkB'; ROLLBACK"}},
		{"unseen", []string{"$big SET work_mem = '%dkB'"}},
		{"unseen", []string{"$big SET ROLE keeper"}},
		{"unseen", []string{"$big SELECT set_config('work_mem', '%dkB', false)"}},
		{"unseen", []string{"$big SELECT pg_advisory_lock($s)"}},
		{"unseen", []string{"BEGIN", "$big SET search_path = public, x%d", "ROLLBACK"}},
		{"unseen", []string{"PIPE X $big SET ROLE keeper | S | X SELECT 1 | S"}},
		{"role", []string{"SET ROLE keeper"}},
		{"role", []string{"RESET ROLE"}},
		{"function", []string{"SELECT f_role()"}},

		{"do", []string{"DO $$BEGIN PERFORM set_config('app.owner', 'do %d', false); END$$"}},
		{"do", []string{"DO $$BEGIN SET work_mem = '%dkB'; END$$"}},
		{"do", []string{"BEGIN", "DO $$BEGIN EXECUTE 'SET app.owner = ''do %d'''; END$$", "ROLLBACK"}},
		{"do", []string{"DO $$BEGIN PERFORM pg_advisory_lock($s); END$$"}},
		{"do", []string{"DO $$BEGIN CREATE TEMP TABLE IF NOT EXISTS kept (a int); END$$"}},
		{"do", []string{"DO $$BEGIN LISTEN done_channel; END$$"}},
		{"call", []string{"CALL p_set('call %d')"}},
		{"execute", []string{"PREPARE e AS SELECT f_volatile('execute %d')", "EXECUTE e", "DEALLOCATE e"}},
		{"function", []string{"SELECT f_volatile('volatile %d')"}},
		{"function", []string{"BEGIN", "SELECT f_volatile('volatile %d')", "ROLLBACK"}},
		{"function", []string{"SELECT f_stable('%dkB')"}},
		{"function", []string{"SELECT f_sql('sql %d')"}},
		{"function", []string{"SELECT f_local('local %d')"}},
		{"function", []string{"SELECT f_lock($s)"}},
		{"function", []string{"SELECT f_temp()"}},
		{"function", []string{"SELECT f_listen()"}},
		{"function", []string{"SELECT f_prepare()"}},
		{"function", []string{"SELECT f_hold()"}},
		{"function", []string{"WITH x AS (SELECT f_volatile('cte %d')) SELECT * FROM x"}},
		{"function", []string{"COPY (SELECT f_volatile('copy %d')) TO STDOUT"}},
		{"function", []string{"EXPLAIN (ANALYZE, TIMING off, SUMMARY off, COSTS off) SELECT f_volatile('explain %d')"}},
		{"function", []string{"SELECT query_to_xml('SELECT set_config(''app.owner'', ''xml %d'', false)', true, true, '')"}},
		{"operator", []string{"SELECT 'operator '::text ### '%d'::text"}},
		{"trigger", []string{"INSERT INTO triggered VALUES (%d)"}},
		{"trigger", []string{"INSERT INTO parted VALUES (%d)"}},
		{"default", []string{"INSERT INTO defaulted (a) VALUES (%d)"}},
		{"check", []string{"INSERT INTO checked VALUES (%d)"}},
		{"view", []string{"SELECT v FROM viewed"}},
		{"policy", []string{"SELECT count(*) FROM guarded"}},
		{"rule", []string{"INSERT INTO ruled VALUES (%d)"}},

		{"temporary", []string{"CREATE TEMP TABLE IF NOT EXISTS kept (a int)"}},
		{"temporary", []string{"BEGIN", "CREATE TEMP TABLE dropped (a int) ON COMMIT DROP", "COMMIT"}},
		{"temporary", []string{"DROP TABLE IF EXISTS pg_temp.kept"}},
		{"cursor", []string{"DECLARE held CURSOR WITH HOLD FOR SELECT %d"}},
		{"cursor", []string{"CLOSE ALL"}},
		{"lock", []string{"SELECT pg_advisory_lock($s)"}},
		{"lock", []string{"SELECT pg_advisory_unlock_all()"}},
		{"lock", []string{"SELECT pg_advisory_xact_lock($s)"}},
		{"listen", []string{"LISTEN channel_$s"}},
		{"listen", []string{"BEGIN", "LISTEN channel", "ROLLBACK"}},
		{"listen", []string{"UNLISTEN *"}},
		{"listen", []string{"BEGIN", "SAVEPOINT s", "LISTEN channel_a", "ROLLBACK TO s", "LISTEN channel_b", "COMMIT"}},
		{"listen", []string{"BEGIN", "LISTEN channel_c", "SAVEPOINT s", "UNLISTEN *", "LISTEN channel_d", "ROLLBACK TO s", "COMMIT"}},
		{"listen", []string{"BEGIN", "LISTEN channel_e", "COMMIT AND CHAIN", "LISTEN channel_f", "ROLLBACK"}},
		{"listen", []string{"BEGIN", "UNLISTEN channel_c", "LISTEN channel_g", "SELECT 1/0", "COMMIT"}},
		{"prepared", []string{"PREPARE p AS SELECT %d"}},
		{"prepared", []string{"DEALLOCATE ALL"}},
		{"sequence", []string{"SELECT nextval('s') > 0"}},
		{"sequence", []string{"INSERT INTO numbered (a) VALUES (%d)"}},
		{"sequence", []string{"INSERT INTO identified (a) VALUES (%d)"}},
		{"sequence", []string{"SELECT f_next() > 0"}},
		{"seed", []string{"SELECT setseed(0.5)"}},
		{"", []string{"DISCARD ALL"}},
	}
}
