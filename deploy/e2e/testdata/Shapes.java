import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.ResultSetMetaData;
import java.sql.SQLException;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import java.util.concurrent.atomic.AtomicLong;
import org.postgresql.util.PSQLException;

/**
 * Clients that read the table shaped while its columns change, for some seconds and until they have had enough rows:
 * java Shapes.java URL SECONDS ROWS CLIENTS.
 */
public class Shapes {
    static final AtomicLong rows = new AtomicLong();
    static final Map<String, Long> seen = new TreeMap<>();
    static long longest; // how often in a row one client was refused, outside of transactions
    static long refused; // how often all were, there

    static synchronized void note(String what) { seen.merge(what, 1L, Long::sum); }

    static synchronized void streak(long n) {
        longest = Math.max(longest, n);
        refused++;
    }

    /** Every value must be what its type makes of the row's id. */
    static void judge(ResultSet rs, int id) throws SQLException {
        ResultSetMetaData columns = rs.getMetaData();
        for (int i = 1; i <= columns.getColumnCount(); i++) {
            String type = columns.getColumnTypeName(i), name = columns.getColumnName(i);
            String want = name.equals("w") ? "7" : type.equals("text") ? "t" + id : type.equals("int8") ? String.valueOf((1L << 40) + id) : String.valueOf(id);
            Object got = rs.getObject(i);
            if (!want.equals(String.valueOf(got))) {
                note("wrong " + name + " of type " + type);
            }
        }
        rows.incrementAndGet();
    }

    static void read(PreparedStatement st, int id) throws SQLException {
        st.setInt(1, id);
        try (ResultSet rs = st.executeQuery()) {
            while (rs.next()) {
                judge(rs, id);
            }
        }
    }

    static void client(String url, long end, long enough, int seed) throws SQLException {
        Random random = new Random(seed);
        long refused = 0;
        try (Connection c = DriverManager.getConnection(url); PreparedStatement st = c.prepareStatement("select * from shaped where id = ?")) {
            while (System.nanoTime() < end || rows.get() < enough) {
                boolean block = random.nextInt(4) == 0;
                try {
                    if (block) {
                        c.setAutoCommit(false);
                        for (int i = 0; i < 3; i++) {
                            read(st, 1 + random.nextInt(100));
                        }
                        c.commit();
                        c.setAutoCommit(true);
                    } else {
                        read(st, 1 + random.nextInt(100));
                        refused = 0;
                    }
                } catch (SQLException e) {
                    boolean server = e instanceof PSQLException p && p.getServerErrorMessage() != null;
                    note((server ? "error " : "wrong ") + e.getSQLState() + " " + e.getMessage().lines().findFirst().orElse(""));
                    if (block) {
                        c.rollback();
                        c.setAutoCommit(true);
                    } else {
                        streak(++refused);
                    }
                }
            }
        }
    }

    public static void main(String[] args) throws Exception {
        long end = System.nanoTime() + Long.parseLong(args[1]) * 1_000_000_000L;
        long enough = Long.parseLong(args[2]);
        Thread[] all = new Thread[Integer.parseInt(args[3])];
        for (int i = 0; i < all.length; i++) {
            int seed = i;
            all[i] = new Thread(() -> {
                try {
                    client(args[0], end, enough, seed);
                } catch (SQLException e) {
                    note("wrong end of a client: " + e.getMessage());
                }
            });
            all[i].start();
        }
        for (Thread t : all) {
            t.join();
        }
        seen.forEach((what, n) -> System.out.println(n + " " + what));
        System.out.println(longest + " longest");
        System.out.println(refused + " refused");
        System.out.println(rows.get() + " rows");
    }
}
