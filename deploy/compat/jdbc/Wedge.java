import java.sql.Connection;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.Statement;

/**
 * JDBC batches whose answers are as large as they, against full buffers. Arguments: seconds, statements in flight, bytes of each. A batch
 * has a quarter of the statements, for the driver gives no answer before it has all.
 */
public class Wedge {
    public static void main(String[] args) throws Exception {
        int inFlight = Integer.parseInt(args[1]) / 4, size = Integer.parseInt(args[2]);
        try (Connection c = Scenarios.connect(); Statement s = c.createStatement()) {
            s.execute("create unlogged table if not exists wedge(i int, b text)");
            try (PreparedStatement insert = c.prepareStatement("insert into wedge values (?, ?)", Statement.RETURN_GENERATED_KEYS)) {
                System.out.println("connected");
                long until = System.nanoTime() + (long) (Double.parseDouble(args[0]) * 1e9);
                for (int batches = 0; batches < 4 || System.nanoTime() < until; batches++) {
                    for (int i = 0; i < inFlight; i++) {
                        insert.setInt(1, i);
                        insert.setString(2, value(i, size));
                        insert.addBatch();
                    }
                    insert.executeBatch();
                    try (ResultSet r = insert.getGeneratedKeys()) {
                        for (int i = 0; i < inFlight; i++) {
                            if (!r.next() || r.getInt(1) != i || !value(i, size).equals(r.getString(2))) throw new AssertionError("answer " + i + " is that of another statement");
                            System.out.println("answer");
                        }
                    }
                    s.execute("truncate wedge");
                }
            }
        }
    }

    static String value(int i, int size) { return Character.toString('a' + i % 26).repeat(size); }
}
