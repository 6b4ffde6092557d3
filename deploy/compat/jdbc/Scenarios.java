import java.io.ByteArrayOutputStream;
import java.io.StringReader;
import java.math.BigDecimal;
import java.nio.charset.StandardCharsets;
import java.sql.BatchUpdateException;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.sql.Types;
import java.time.LocalDate;
import java.time.OffsetDateTime;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.Set;
import java.util.UUID;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import org.postgresql.PGConnection;
import org.postgresql.PGNotification;
import org.postgresql.copy.CopyManager;
import org.postgresql.util.PSQLException;

/** The scenarios of scenarios.txt with JDBC. Prints "ok NAME" or "not ok NAME: WHY" for each; arguments are names to leave out. */
public class Scenarios {
    interface Scenario { void play(Connection c) throws Exception; }
    interface Action { void run() throws Exception; }

    static final int SECONDS = 60;
    static final Map<String, Scenario> scenarios = new LinkedHashMap<>();

    /** Connects; options come in pairs. A statement is prepared by name from its second execution on, unless they say else. */
    static Connection connect(String... options) throws SQLException {
        Properties p = new Properties();
        p.setProperty("user", System.getenv("PGUSER"));
        p.setProperty("sslmode", "disable");
        p.setProperty("prepareThreshold", "2");
        for (int i = 0; i < options.length; i += 2) p.setProperty(options[i], options[i + 1]);
        return DriverManager.getConnection("jdbc:postgresql://" + System.getenv("PGHOST") + ":" + System.getenv("PGPORT") + "/" + System.getenv("PGDATABASE"), p);
    }

    static void want(Object got, Object wanted) {
        if (!wanted.equals(got)) throw new AssertionError("got " + got + ", want " + wanted);
    }

    static PSQLException fails(String sqlstate, Action a) throws Exception {
        try {
            a.run();
        } catch (BatchUpdateException e) {
            want(e.getSQLState(), sqlstate);
            return (PSQLException) e.getCause();
        } catch (PSQLException e) {
            want(e.getSQLState() + " of " + e.getMessage(), sqlstate + " of " + e.getMessage());
            return e;
        }
        throw new AssertionError("no error, want " + sqlstate);
    }

    static PreparedStatement prepare(Connection c, String text, Object... values) throws SQLException {
        PreparedStatement s = c.prepareStatement(text);
        for (int i = 0; i < values.length; i++) s.setObject(i + 1, values[i]);
        return s;
    }

    static int exec(Connection c, String text, Object... values) throws SQLException {
        try (PreparedStatement s = prepare(c, text, values)) {
            s.execute();
            return s.getUpdateCount();
        }
    }

    /** Reads all rows; a row is a list. */
    static List<List<Object>> rows(PreparedStatement s) throws SQLException {
        List<List<Object>> out = new ArrayList<>();
        try (ResultSet r = s.executeQuery()) {
            while (r.next()) {
                List<Object> row = new ArrayList<>();
                for (int i = 1; i <= r.getMetaData().getColumnCount(); i++) row.add(r.getObject(i));
                out.add(row);
            }
        }
        return out;
    }

    static Object one(Connection c, String text, Object... values) throws SQLException {
        try (PreparedStatement s = prepare(c, text, values)) {
            return rows(s).get(0).get(0);
        }
    }

    static Object again(PreparedStatement s, Object... values) throws SQLException {
        for (int i = 0; i < values.length; i++) s.setObject(i + 1, values[i]);
        return rows(s).get(0).get(0);
    }

    static CopyManager copy(Connection c) throws SQLException { return c.unwrap(PGConnection.class).getCopyAPI(); }

    static void transactions() {
        scenarios.put("commit", c -> {
            c.setAutoCommit(false);
            exec(c, "create table committed(a int)");
            exec(c, "insert into committed values (1), (2)");
            c.commit();
            try (Connection other = connect()) { want(one(other, "select count(*) from committed"), 2L); }
        });
        scenarios.put("rollback", c -> {
            exec(c, "create table kept(a int)");
            c.setAutoCommit(false);
            exec(c, "insert into kept values (?)", 1);
            c.rollback();
            want(one(c, "select count(*) from kept"), 0L);
        });
        scenarios.put("savepoint", c -> {
            c.setAutoCommit(false);
            exec(c, "create temporary table points(a int) on commit drop");
            exec(c, "insert into points values (1)");
            var s = c.setSavepoint("s");
            exec(c, "insert into points values (2)");
            fails("22012", () -> exec(c, "select 1/0"));
            c.rollback(s);
            exec(c, "insert into points values (3)");
            want(one(c, "select string_agg(a::text, ' ' order by a) from points"), "1 3");
            c.commit();
        });
        scenarios.put("error-in-transaction", c -> {
            c.setAutoCommit(false);
            fails("22012", () -> exec(c, "select 1/?", 0));
            fails("25P02", () -> exec(c, "select ?::int", 2));
            c.rollback();
            want(one(c, "select 3"), 3);
        });
        scenarios.put("set-local", c -> {
            Object before = one(c, "show work_mem");
            c.setAutoCommit(false);
            exec(c, "set local work_mem = '5MB'");
            want(one(c, "show work_mem"), "5MB");
            c.commit();
            want(one(c, "show work_mem"), before);
            c.commit();
        });
        scenarios.put("cursor", c -> {
            c.setAutoCommit(false);
            try (PreparedStatement s = prepare(c, "select i from generate_series(1, ?) i", 1000)) { // a portal, 100 rows at a time
                s.setFetchSize(100);
                long sum = 0;
                try (ResultSet r = s.executeQuery()) {
                    while (r.next()) {
                        sum += r.getInt(1);
                        if (r.getRow() % 250 == 0) want(one(c, "select 7"), 7); // another statement in between
                    }
                }
                want(sum, 500500L);
            }
            exec(c, "declare walk scroll cursor for select i from generate_series(1, 100) i");
            want(one(c, "fetch absolute 10 from walk"), 10);
            c.commit();
            fails("34000", () -> exec(c, "fetch walk"));
            c.rollback();
        });
        scenarios.put("transfers", c -> {
            exec(c, "create table accounts(id int primary key, balance int)");
            exec(c, "insert into accounts select i, 100 from generate_series(0, 9) i");
            ExecutorService pool = Executors.newFixedThreadPool(20);
            List<java.util.concurrent.Future<?>> all = new ArrayList<>();
            for (int n = 0; n < 20; n++) {
                int seed = n;
                all.add(pool.submit(() -> {
                    try (Connection mine = connect()) {
                        mine.setAutoCommit(false);
                        for (int i = 0; i < 30; i++) {
                            int a = (seed + i) % 10, b = (seed + 3 * i + 1) % 10;
                            exec(mine, "update accounts set balance = balance - 1 where id = ?", Math.min(a, b));
                            exec(mine, "update accounts set balance = balance + 1 where id = ?", Math.max(a, b));
                            if (i % 7 == 6) mine.rollback(); else mine.commit();
                        }
                    }
                    return null;
                }));
            }
            for (var f : all) f.get();
            pool.shutdown();
            want(one(c, "select sum(balance) from accounts"), 1000L);
        });
    }

    static void errors() {
        scenarios.put("error-outside", c -> {
            String[][] bad = {{"selec 1", "42601"}, {"select nothing", "42703"}, {"select * from nowhere", "42P01"}};
            for (String[] b : bad) {
                fails(b[1], () -> exec(c, b[0]));
                fails(b[1], () -> exec(c, b[0] + " where 1 = ?", 1));
                want(one(c, "select 1"), 1);
            }
            fails("22P02", () -> exec(c, "select ?::int", "x"));
            want(one(c, "select ?::int", "7"), 7);
        });
        scenarios.put("error-fields", c -> {
            exec(c, "create temporary table fields(a int constraint positive check (a > 0), b text primary key)");
            var e = fails("23514", () -> exec(c, "insert into fields values (?, 'x')", -1)).getServerErrorMessage();
            want(List.of(e.getConstraint(), e.getTable(), e.getSeverity()), List.of("positive", "fields", "ERROR"));
            exec(c, "insert into fields values (1, 'x')");
            e = fails("23505", () -> exec(c, "insert into fields values (1, 'x')")).getServerErrorMessage();
            want(List.of(e.getConstraint(), e.getDetail()), List.of("fields_pkey", "Key (b)=(x) already exists."));
            want(fails("42601", () -> exec(c, "select 1 +")).getServerErrorMessage().getPosition(), 11);
        });
        scenarios.put("cancel", c -> {
            for (int i = 0; i < 3; i++) {
                try (Statement s = c.createStatement()) {
                    Thread t = new Thread(() -> {
                        try {
                            Thread.sleep(300);
                            s.cancel();
                        } catch (Exception e) {
                            e.printStackTrace();
                        }
                    });
                    t.start();
                    fails("57014", () -> s.execute("select pg_sleep(50)"));
                    t.join();
                }
                want(one(c, "select 1"), 1);
            }
            try (Connection other = connect()) { want(one(other, "select 2 from pg_sleep(0.2)"), 2); }
        });
        scenarios.put("statement-timeout", c -> {
            c.setAutoCommit(false);
            exec(c, "set local statement_timeout = '100ms'");
            fails("57014", () -> exec(c, "select pg_sleep(50)"));
            c.rollback();
            want(one(c, "select 1 from pg_sleep(0.3)"), 1);
            try (Statement s = c.createStatement()) {
                s.setQueryTimeout(1); // the driver cancels
                fails("57014", () -> s.execute("select pg_sleep(50)"));
            }
            c.rollback();
        });
        scenarios.put("notices", c -> {
            try (Statement s = c.createStatement()) {
                s.execute("do $$ begin raise notice 'hello %', 1; raise warning 'mind'; end $$");
                var w = s.getWarnings();
                want(List.of(w.getMessage(), w.getSQLState(), w.getNextWarning().getMessage()), List.of("hello 1", "00000", "mind"));
            }
        });
    }

    static void statements() {
        scenarios.put("unnamed-statements", x -> {
            try (Connection c = connect("prepareThreshold", "0"); PreparedStatement s = c.prepareStatement("select ? + 1 || ?")) {
                for (int i = 0; i < 500; i++) want(again(s, i, "é".repeat(i % 50)), (i + 1) + "é".repeat(i % 50));
            }
        });
        scenarios.put("named-statements", c -> {
            try (PreparedStatement s = c.prepareStatement("select ?::int * 2")) {
                for (int i = 0; i < 300; i++) want(again(s, i), i * 2);
                c.setAutoCommit(false);
                want(again(s, 5), 10);
                c.commit();
            }
        });
        scenarios.put("many-named-statements", x -> {
            try (Connection c = connect("prepareThreshold", "1", "preparedStatementCacheQueries", "400")) {
                for (int round = 0; round < 3; round++)
                    for (int i = 0; i < 300; i++) want(one(c, "select ?::int + " + i, 1), i + 1);
            }
        });
        scenarios.put("same-name-two-clients", c -> { // both call it S_1
            try (Connection other = connect()) {
                for (int i = 0; i < 50; i++) {
                    want(one(c, "select 'one' || ?::int", i), "one" + i);
                    want(one(other, "select 'two' || ?::int", i), "two" + i);
                }
            }
        });
        scenarios.put("changed-table", c -> {
            exec(c, "create table changed(a int)");
            exec(c, "insert into changed values (1)");
            try (PreparedStatement s = c.prepareStatement("select * from changed")) {
                for (int i = 0; i < 4; i++) want(again(s), 1);
                try (Connection other = connect()) { exec(other, "alter table changed alter a type text using 'number ' || a"); }
                want(again(s), "number 1"); // the driver prepares anew after 0A000
            }
        });
        scenarios.put("pipeline", c -> {
            exec(c, "create table batched(a int, b text)");
            try (PreparedStatement s = c.prepareStatement("insert into batched values (?, repeat('x', 1000))")) {
                for (int i = 0; i < 1000; i++) {
                    s.setInt(1, i);
                    s.addBatch();
                }
                int[] counts = s.executeBatch();
                want(List.of(counts.length, Arrays.stream(counts).sum()), List.of(1000, 1000));
            }
            want(one(c, "select sum(a) from batched"), 499500L);
        });
        scenarios.put("pipeline-error", c -> {
            exec(c, "create table pipelined(a int primary key)");
            c.setAutoCommit(false);
            try (PreparedStatement s = c.prepareStatement("insert into pipelined values (?)")) {
                for (int a : new int[] {1, 1, 2}) {
                    s.setInt(1, a);
                    s.addBatch();
                }
                fails("23505", s::executeBatch);
            }
            fails("25P02", () -> exec(c, "select 1"));
            c.rollback();
            want(one(c, "select count(*) from pipelined"), 0L);
        });
        scenarios.put("several-statements", c -> {
            try (Statement s = c.createStatement()) {
                want(s.execute("select 1; create temporary table several(a int) on commit drop; insert into several values (1), (2); select 4"), true);
                s.getResultSet().next();
                want(s.getResultSet().getInt(1), 1);
                want(s.getMoreResults(), false);
                want(s.getUpdateCount(), 0);
                want(s.getMoreResults(), false);
                want(s.getUpdateCount(), 2);
                want(s.getMoreResults(), true);
                s.getResultSet().next();
                want(s.getResultSet().getInt(1), 4);
            }
        });
        scenarios.put("empty-query", c -> {
            want(exec(c, ""), 0);
            try (Connection simple = connect("preferQueryMode", "simple")) { want(exec(simple, ""), 0); }
            want(one(c, "select 1"), 1);
        });
        scenarios.put("row-counts", c -> {
            exec(c, "create temporary table counted(a int)");
            want(exec(c, "insert into counted select generate_series(1, 10)"), 10);
            want(exec(c, "update counted set a = a + 1 where a > ?", 4), 6);
            want(exec(c, "delete from counted where a > 5"), 6);
        });
    }

    static void values() {
        scenarios.put("types", c -> {
            Object[][] all = {
                {"int2", -32768}, {"int4", 2147483647}, {"int8", Long.MIN_VALUE}, {"float4", 1.5f}, {"float8", 1e-300},
                {"numeric", new BigDecimal("12345678901234567890.0123456789")}, {"text", "größer ☃ '\"\\"}, {"bool", true},
                {"uuid", UUID.fromString("12345678-1234-5678-1234-567812345678")},
            };
            for (Object[] v : all) {
                try (PreparedStatement s = c.prepareStatement("select ?::" + v[0])) {
                    for (int i = 0; i < 8; i++) want(v[0] + " " + again(s, v[1]), v[0] + " " + v[1]); // text, then binary
                }
            }
            byte[] bytes = new byte[256];
            for (int i = 0; i < 256; i++) bytes[i] = (byte) i;
            OffsetDateTime at = OffsetDateTime.parse("2024-02-29T23:59:59.123456Z");
            try (PreparedStatement s = c.prepareStatement("select ?::bytea, ?::timestamptz, ?::date, ?::int4[], ?::text[], ?::jsonb")) {
                for (int i = 0; i < 8; i++) {
                    s.setBytes(1, bytes);
                    s.setObject(2, at);
                    s.setObject(3, LocalDate.of(2024, 2, 29));
                    s.setArray(4, c.createArrayOf("int4", new Integer[] {1, null, 3}));
                    s.setArray(5, c.createArrayOf("text", new String[] {"a", "b\"c", "{}", ""}));
                    s.setString(6, "{\"a\": [1, null, \"ü\"]}");
                    try (ResultSet r = s.executeQuery()) {
                        r.next();
                        want(Arrays.equals(r.getBytes(1), bytes), true);
                        want(r.getObject(2, OffsetDateTime.class).toInstant(), at.toInstant());
                        want(r.getObject(3, LocalDate.class), LocalDate.of(2024, 2, 29));
                        want(Arrays.toString((Object[]) r.getArray(4).getArray()), "[1, null, 3]");
                        want(Arrays.toString((Object[]) r.getArray(5).getArray()), "[a, b\"c, {}, ]");
                        want(r.getString(6), "{\"a\": [1, null, \"ü\"]}");
                    }
                }
            }
        });
        scenarios.put("null", c -> {
            try (PreparedStatement s = c.prepareStatement("select ?::text, ?::int, null")) {
                s.setNull(1, Types.VARCHAR);
                s.setNull(2, Types.INTEGER);
                want(rows(s).toString(), "[[null, null, null]]");
            }
        });
        scenarios.put("large-values", c -> {
            String text = "0123456789abcdef".repeat(8 << 16); // 8 MiB
            byte[] bytes = text.getBytes(StandardCharsets.UTF_8);
            for (int i = 0; i < 3; i++) { // unnamed, then named
                want(one(c, "select length(?::text)", text), text.length());
                want(text.equals(one(c, "select ?::text", text)), true);
                want(Arrays.equals((byte[]) one(c, "select ?::bytea", bytes), bytes), true);
            }
        });
        scenarios.put("many-rows", c -> {
            long sum = 0;
            try (PreparedStatement s = c.prepareStatement("select i, repeat('z', 50) from generate_series(1, 200000) i"); ResultSet r = s.executeQuery()) {
                while (r.next()) sum += r.getInt(1);
            }
            want(sum, 20000100000L);
        });
        scenarios.put("copy-in", c -> {
            exec(c, "create table copied(a int, b text)");
            StringBuilder b = new StringBuilder();
            for (int i = 0; i < 20000; i++) b.append(i).append("\tline\\tof\\\\text\n");
            want(copy(c).copyIn("copy copied from stdin", new StringReader(b.toString())), 20000L);
            want(one(c, "select count(*) || ' ' || sum(a) || ' ' || min(b) from copied"), "20000 199990000 line\tof\\text");
        });
        scenarios.put("copy-out", c -> {
            var out = new ByteArrayOutputStream();
            want(copy(c).copyOut("copy (select i, repeat('y', 100) from generate_series(1, 20000) i) to stdout", out), 20000L);
            String[] lines = out.toString(StandardCharsets.UTF_8).split("\n");
            want(List.of(lines.length, lines[0], lines[19999].substring(0, 7)), List.of(20000, "1\t" + "y".repeat(100), "20000\ty"));
            want(one(c, "select 1"), 1);
        });
        scenarios.put("copy-fail", c -> {
            exec(c, "create table uncopied(a int)");
            var in = copy(c).copyIn("copy uncopied from stdin");
            in.writeToCopy("1\n".getBytes(), 0, 2);
            in.cancelCopy();
            want(one(c, "select count(*) from uncopied"), 0L);
            fails("22P02", () -> copy(c).copyIn("copy uncopied from stdin", new StringReader("1\nx\n")));
            want(one(c, "select count(*) from uncopied"), 0L);
        });
    }

    static void sessions() {
        scenarios.put("set-session", c -> {
            exec(c, "create schema if not exists elsewhere");
            exec(c, "set search_path = elsewhere, public");
            exec(c, "select set_config('compat.name', ?, false)", "mine");
            try (Connection other = connect()) {
                for (int i = 0; i < 20; i++) {
                    want(one(other, "select coalesce(current_setting('compat.name', true), '')"), "");
                    want(one(other, "show search_path"), "\"$user\", public");
                    want(one(c, "select current_setting('compat.name') || ' ' || current_schema"), "mine elsewhere");
                }
            }
        });
        scenarios.put("listen", c -> {
            exec(c, "listen compat_channel");
            List<String> got = new ArrayList<>();
            try (Connection other = connect()) {
                exec(other, "notify compat_channel, 'first'");
                exec(other, "select pg_notify('compat_channel', ?)", "second");
                while (got.size() < 2)
                    for (PGNotification n : c.unwrap(PGConnection.class).getNotifications(1000)) got.add(n.getName() + " " + n.getParameter());
            }
            want(got, List.of("compat_channel first", "compat_channel second"));
            exec(c, "unlisten *");
        });
        scenarios.put("advisory-lock", c -> {
            try (Connection other = connect()) {
                exec(c, "select pg_advisory_lock(4711)");
                for (int i = 0; i < 10; i++) {
                    want(one(c, "select 1"), 1);
                    want(one(other, "select pg_try_advisory_lock(4711)"), false);
                }
                want(one(c, "select pg_advisory_unlock(4711)"), true);
                want(one(other, "select pg_try_advisory_lock(4711)"), true);
            }
        });
        scenarios.put("temporary-table", c -> {
            try (Connection other = connect()) {
                exec(c, "create temporary table mine(a int)");
                for (int i = 0; i < 10; i++) {
                    exec(c, "insert into mine values (?)", i);
                    fails("42P01", () -> exec(other, "select * from mine"));
                }
                want(one(c, "select count(*) from mine"), 10L);
            }
        });
    }

    static String reason(Throwable e) {
        return e.getClass().getSimpleName() + ": " + String.valueOf(e.getMessage()).replaceAll("\\s+", " ");
    }

    public static void main(String[] args) throws Exception {
        transactions();
        errors();
        statements();
        values();
        sessions();
        ExecutorService player = Executors.newCachedThreadPool();
        for (var s : scenarios.entrySet()) {
            if (Set.of(args).contains(s.getKey())) continue;
            Connection c = null;
            try {
                Connection mine = c = connect();
                player.submit(() -> {
                    s.getValue().play(mine);
                    return null;
                }).get(SECONDS, TimeUnit.SECONDS);
                System.out.println("ok " + s.getKey());
            } catch (TimeoutException e) {
                System.out.println("not ok " + s.getKey() + ": not done after " + SECONDS + " s");
            } catch (ExecutionException e) {
                System.out.println("not ok " + s.getKey() + ": " + reason(e.getCause()));
            } catch (SQLException e) {
                System.out.println("not ok " + s.getKey() + ": " + reason(e));
            }
            if (c != null) c.abort(player);
        }
        System.exit(0);
    }
}
