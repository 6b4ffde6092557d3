package stage

import (
	"context"
	"errors"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgscript"
)

// Eventually waits until ok holds, and fails the test where it does not within the limit.
func Eventually(t testing.TB, limit time.Duration, what string, ok func() bool) {
	t.Helper()
	end := time.After(limit)
	for tick := time.NewTicker(10 * time.Millisecond); ; {
		if ok() {
			return
		}
		select {
		case <-end:
			t.Fatalf("not within %s: %s", limit, what)
		case <-tick.C:
		}
	}
}

// Words returns what a client is refused with.
func Words(c *pgscript.Client) string {
	got := c.Until("E")
	return got[len(got)-1].Field('C') + " " + got[len(got)-1].Field('M')
}

// From connects from one of this machine's addresses.
func From(ip, addr, user, database, password string) (*pgconn.PgConn, error) {
	cfg, err := pgconn.ParseConfig(fmt.Sprintf("postgres://%s@%s/%s?sslmode=disable", user, addr, database))
	if err != nil {
		return nil, err
	}
	cfg.Password = password
	cfg.DialFunc = (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(ip)}}).DialContext
	return pgconn.ConnectConfig(context.Background(), cfg)
}

// TurnedDown says with which SQLSTATE and sentence the proxy refuses; empty if it does not.
func TurnedDown(err error) string {
	var pe *pgconn.PgError
	if AsPg(err, &pe) {
		return pe.Code + " " + pe.Message
	}
	if err != nil {
		return err.Error()
	}
	return ""
}

// AsPg finds what the proxy or a server has said in an error.
func AsPg(err error, pe **pgconn.PgError) bool { return errors.As(err, pe) }

// Prepare prepares a statement under a name.
func Prepare(t testing.TB, c *pgconn.PgConn, name, sql string) {
	t.Helper()
	if _, err := c.Prepare(context.Background(), name, sql, nil); err != nil {
		t.Fatal(err)
	}
}

// Execute runs a prepared statement and returns the first column of its first row, or the error.
func Execute(t testing.TB, c *pgconn.PgConn, name string, args ...string) string {
	t.Helper()
	params := make([][]byte, len(args))
	for i, a := range args {
		params[i] = []byte(a)
	}
	r := c.ExecPrepared(context.Background(), name, params, nil, nil).Read()
	if r.Err != nil {
		return r.Err.Error()
	}
	return string(r.Rows[0][0])
}

// Connect opens a client connection; params are start-up parameters.
func Connect(t testing.TB, addr, user string, params ...string) *pgconn.PgConn {
	t.Helper()
	c, err := TryConnect(addr, user, params...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(context.Background()) })
	return c
}

// TryConnect is [Connect] where it may fail, and whose connection the caller closes.
func TryConnect(addr, user string, params ...string) (*pgconn.PgConn, error) {
	cfg, err := pgconn.ParseConfig(fmt.Sprintf("postgres://%s@%s/postgres?sslmode=disable", user, addr))
	if err != nil {
		return nil, err
	}
	for i := 0; i < len(params); i += 2 {
		if params[i] == "password" {
			cfg.Password = params[i+1]
			continue
		}
		cfg.RuntimeParams[params[i]] = params[i+1]
	}
	return pgconn.ConnectConfig(context.Background(), cfg)
}

// Ask runs SQL and returns the first column of the last row, or the error as "SQLSTATE text".
func Ask(c *pgconn.PgConn, sql string) string {
	rs, err := c.Exec(context.Background(), sql).ReadAll()
	if err != nil {
		if pe, ok := err.(*pgconn.PgError); ok {
			return pe.Code + " " + pe.Message
		}
		return err.Error()
	}
	for i := len(rs) - 1; i >= 0; i-- {
		if n := len(rs[i].Rows); n > 0 {
			return string(rs[i].Rows[n-1][0])
		}
	}
	return ""
}

// Want fails the test where SQL has another answer, as [Ask] returns it.
func Want(t testing.TB, c *pgconn.PgConn, sql, answer string) {
	t.Helper()
	if got := Ask(c, sql); got != answer {
		t.Errorf("%s: got %q, want %q", sql, got, answer)
	}
}

// Noticed connects a client that keeps what it is told besides answers.
func Noticed(t testing.TB, addr, user string) (*pgconn.PgConn, *[]string) {
	t.Helper()
	cfg, err := pgconn.ParseConfig(fmt.Sprintf("postgres://%s@%s/postgres?sslmode=disable", user, addr))
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	cfg.OnNotice = func(_ *pgconn.PgConn, n *pgconn.Notice) { all = append(all, n.Severity+" "+n.Code+" "+n.Message) }
	c, err := pgconn.ConnectConfig(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(context.Background()) })
	return c, &all
}
