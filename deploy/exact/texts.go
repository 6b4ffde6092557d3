package exact

// texts are what generated sequences prepare and query. Each answers the same on every server connection, and
// leaves alone what another sequence may be looking at.
func texts() []string {
	return []string{
		"SELECT 1", "SELECT 'a'::text, 2", "SELECT $1::int + 1", "SELECT $1::text", "SELECT $1::int, $2::text", "VALUES (1), (2)", "SELECT generate_series(1, 5)",
		"SELECT a, b FROM t ORDER BY a", "SELECT b FROM t WHERE a = $1::int", "SELECT WHERE false", "SELECT ';' -- x", "SELECT repeat('x', 9000)", "TABLE t ORDER BY 1",
		"", ";", "-- nothing",
		"SELEC", "SELECT nothing", "SELECT 1/0", "SELECT 10 / (3 - g) FROM generate_series(1, 5) g", "SELECT boom(1)", "SELECT * FROM nothing_there", "SELECT $1::int / 0",
		"BEGIN", "BEGIN", "BEGIN", "COMMIT", "COMMIT", "ROLLBACK", "ROLLBACK", "SAVEPOINT s", "ROLLBACK TO s", "RELEASE s", "COMMIT AND CHAIN", "BEGIN READ ONLY",
		"BEGIN ISOLATION LEVEL SERIALIZABLE", "SHOW transaction_isolation", "SET TRANSACTION READ ONLY",
		"SELECT 1; SELECT 2", "SELECT 1; SELECT 1/0; SELECT 3", "BEGIN; SELECT 1", "COMMIT; SELECT 1", "BEGIN; SELECT 1/0", "SELECT 1; COMMIT; SELECT 2",
		"INSERT INTO c VALUES (1, 'x')", "INSERT INTO c VALUES ($1::int, 'y') RETURNING a", "SELECT count(*) FROM c", "DELETE FROM c", "INSERT INTO d VALUES (99)",
		"INSERT INTO c VALUES (2); SELECT 1/0", "UPDATE t SET b = 'x' WHERE a = 1 RETURNING a",
		"SET TimeZone = 'Asia/Tokyo'", "SET LOCAL TimeZone = 'Europe/Berlin'", "RESET TimeZone", "SHOW TimeZone", "SET search_path = other, public", "SELECT * FROM t WHERE a::text = '1'",
		"RESET search_path", "SHOW search_path", "SET work_mem = 'nonsense'", "SET DateStyle = 'German, DMY'", "SELECT date '2020-02-01'", "SET statement_timeout = 0", "RESET ALL",
		"SET TimeZone = 'UTC'; SELECT 1/0", "/* hint */ SET TimeZone TO 'UTC'", "SELECT set_config('TimeZone', 'Asia/Tokyo', false)", "SELECT zone('Europe/Berlin')",
		"SELECT set_config('TimeZone', $1::text, true)", "SET ROLE r1", "RESET ROLE", "SELECT current_user", "SET SESSION AUTHORIZATION r2", "RESET SESSION AUTHORIZATION",
		"SET application_name = 'exact'", "SELECT current_setting('application_name')", "DO $$BEGIN SET DateStyle = 'SQL'; END$$",
		"DEALLOCATE a", "DEALLOCATE nope", "DEALLOCATE ALL", "DISCARD ALL", "DISCARD PLANS", "DISCARD TEMP",
		"PREPARE z AS SELECT 'z'", "EXECUTE z", "DEALLOCATE z",
		"DECLARE k CURSOR FOR SELECT generate_series(1, 9)", "FETCH 2 FROM k", "MOVE 1 FROM k", "CLOSE k", "FETCH 1 FROM p", "DECLARE h CURSOR WITH HOLD FOR SELECT 1", "CLOSE h", // a FETCH from one that is held ends PostgreSQL 15 now and then
		"CREATE TEMP TABLE tt (a int)", "INSERT INTO tt VALUES (1)", "SELECT count(*) FROM tt", "DROP TABLE tt",
		"SELECT pg_try_advisory_lock(7)", "SELECT pg_advisory_unlock(7)", "SELECT pg_advisory_unlock_all()",
		"LISTEN ch", "NOTIFY ch, 'x'", "UNLISTEN *",
		"SELECT note('x')", "DO $$BEGIN RAISE NOTICE 'hear'; END$$", "DROP TABLE IF EXISTS nothing_there",
		"COPY (TABLE t ORDER BY 1) TO STDOUT", "COPY (SELECT generate_series(1, 3)) TO STDOUT",
		"CREATE TABLE made (a int)", "ALTER TABLE made ADD b int", "SELECT count(*) FROM made", "DROP TABLE made",
		"CREATE TABLE made AS SELECT 1 AS a", "SELECT * FROM made", "TABLE made", "ALTER TABLE made ALTER a TYPE text USING 'x'", "ALTER TABLE made DROP b", "SELECT * FROM made WHERE a::text = $1::text",
		"EXPLAIN (COSTS off) SELECT 1", "VACUUM c", "CALL twice()", "LOCK TABLE c",
	}
}
