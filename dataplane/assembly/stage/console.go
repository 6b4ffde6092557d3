package stage

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
)

// ConsoleAt connects to the admin console, as an administrator.
func ConsoleAt(t testing.TB, addr string) *pgconn.PgConn {
	t.Helper()
	c, err := From("127.0.0.1", addr, "postgres", "pgbouncer", "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(context.Background()) })
	return c
}

// Tell runs a command and returns the SQLSTATE and the words of a refusal, or nothing.
func Tell(c *pgconn.PgConn, sql string) string {
	_, err := c.Exec(context.Background(), sql).ReadAll()
	return TurnedDown(err)
}

// Rows runs a command and returns its rows by column.
func Rows(t testing.TB, c *pgconn.PgConn, sql string) (all []map[string]string) {
	t.Helper()
	results, err := c.Exec(context.Background(), sql).ReadAll()
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	for _, r := range results {
		for _, row := range r.Rows {
			m := map[string]string{}
			for i, f := range r.FieldDescriptions {
				m[f.Name] = string(row[i])
			}
			all = append(all, m)
		}
	}
	return all
}
