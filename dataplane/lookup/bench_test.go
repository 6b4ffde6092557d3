package lookup

import (
	"testing"

	"github.com/heliosproxy/heliosproxy/dataplane/state/catalog"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgcluster"
)

// large is 10,000 tables with a key, a default, a serial column and a check each, 1,000 of them triggered, 5,000 functions, 500
// views and 2,000 foreign keys.
var large = []string{
	`CREATE FUNCTION fired() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'`,
	`DO $$BEGIN
	FOR i IN 1..5000 LOOP
		EXECUTE format('CREATE FUNCTION computes_something_%s(int) RETURNS int LANGUAGE plpgsql AS ''BEGIN RETURN $1; END''', i);
	END LOOP;
END$$`,
	`DO $$
DECLARE like_all text := '(id serial PRIMARY KEY, t text DEFAULT upper(''a''), at timestamptz DEFAULT now() CHECK (at > ''2000-01-01''))';
BEGIN
	FOR i IN 1..2500 LOOP
		FOR k IN 0..3 LOOP
			EXECUTE format('CREATE TABLE a_table_of_rows_%s ', 4 * i + k) || like_all;
		END LOOP;
		IF i % 5 < 4 THEN
			EXECUTE format('ALTER TABLE a_table_of_rows_%s ADD FOREIGN KEY (id) REFERENCES a_table_of_rows_%s', 4 * i, 4 * i + 1);
		END IF;
		IF i % 5 < 2 THEN
			EXECUTE format('CREATE TRIGGER z AFTER INSERT ON a_table_of_rows_%s FOR EACH ROW EXECUTE FUNCTION fired()', 4 * i + 2);
		END IF;
		IF i % 5 = 0 THEN
			EXECUTE format('CREATE VIEW a_view_%s AS SELECT a.id, b.t FROM a_table_of_rows_%s a JOIN a_table_of_rows_%s b USING (id)', i, 4 * i, 4 * i + 1);
		END IF;
		IF i % 100 = 0 THEN COMMIT; END IF;
	END LOOP;
END$$`,
	"VACUUM ANALYZE",
}

// BenchmarkReading reads a large catalogue: what the server and the connection take, and what is done with it here.
func BenchmarkReading(b *testing.B) {
	pg := pgcluster.Start(b, pgcluster.Options{}).Primary
	pg.Exec(b, large...)
	dsn := pg.DSN("postgres", "postgres")
	rows := read(b, dsn)
	b.Run("server", func(b *testing.B) {
		for b.Loop() {
			read(b, dsn)
		}
	})
	b.Run("signature", func(b *testing.B) {
		for b.Loop() {
			exec(b, dsn, prepare, signatureSQL)
		}
	})
	b.Run("compile", func(b *testing.B) {
		b.ReportAllocs()
		var f *catalog.Facts
		for b.Loop() {
			f = catalog.Compile(rows, nil)
		}
		b.ReportMetric(float64(len(rows)), "rows")
		b.ReportMetric(float64(f.Bytes()), "bytes_kept")
	})
}
