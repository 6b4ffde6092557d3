package pgcluster

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// queryTimeout bounds what a helper asks a server, so that a frozen one fails the test and does not hang it.
const queryTimeout = 60 * time.Second

// OwnConnections is the application_name of this package's own connections, so that a test that counts connections can leave them
// out.
const OwnConnections = "pgcluster"

// Name returns "primary", "standby1", …; it is also the server's cluster_name and a standby's application_name.
func (s *Server) Name() string { return s.name }

// Host returns the loopback address that the server listens on.
func (s *Server) Host() string { return "127.0.0.1" }

// Port returns the TCP port; it is also part of the unix socket's name.
func (s *Server) Port() int { return s.port.Number }

// Addr returns HOST:PORT.
func (s *Server) Addr() string { return net.JoinHostPort(s.Host(), strconv.Itoa(s.Port())) }

// SocketDir returns the directory of the unix socket, for host= of a connection string.
func (s *Server) SocketDir() string { return s.socketDir }

// DSN returns a connection string over TCP.
func (s *Server) DSN(database, user string) string {
	return fmt.Sprintf("host=%s port=%d dbname=%s user=%s sslmode=disable", s.Host(), s.Port(), database, user)
}

// SocketDSN returns a connection string over the unix socket.
func (s *Server) SocketDSN(database, user string) string {
	return fmt.Sprintf("host=%s port=%d dbname=%s user=%s sslmode=disable", s.socketDir, s.Port(), database, user)
}

// Connect opens a connection over TCP that is closed when the test ends.
func (s *Server) Connect(t testing.TB, database, user string) *pgx.Conn {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), queryTimeout)
	defer cancel()
	conn, err := pgx.Connect(ctx, s.DSN(database, user)+" application_name="+OwnConnections)
	if err != nil {
		t.Fatalf("connect to %s: %v", s.name, err)
	}
	t.Cleanup(func() { conn.Close(context.Background()) })
	return conn
}

// Exec runs statements as the superuser in the database postgres, each text as one simple query.
func (s *Server) Exec(t testing.TB, texts ...string) {
	t.Helper()
	for _, text := range texts {
		s.Query(t, text)
	}
}

// Query runs a text as Exec does and returns the rows of its last statement as PostgreSQL's text format; NULL is "".
func (s *Server) Query(t testing.TB, text string) [][]string {
	t.Helper()
	rows, err := s.query(text)
	if err != nil {
		t.Fatalf("on %s: %s: %v", s.name, text, err)
	}
	return rows
}

// CreateRole makes a role that logs in, its password kept as encryption says: "md5" or "scram-sha-256".
func (s *Server) CreateRole(t testing.TB, name, password, encryption string) {
	t.Helper()
	s.Exec(t, fmt.Sprintf("set password_encryption = %s; create role %s login password %s",
		quote(encryption), pgx.Identifier{name}.Sanitize(), quote(password)))
}

func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

func (s *Server) query(text string) ([][]string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), queryTimeout)
	defer cancel()
	conn, err := pgconn.Connect(ctx, s.SocketDSN("postgres", "postgres")+" application_name="+OwnConnections)
	if err != nil {
		return nil, err
	}
	defer conn.Close(ctx)
	results, err := conn.Exec(ctx, text).ReadAll()
	if err != nil || len(results) == 0 {
		return nil, err
	}
	var rows [][]string
	for _, values := range results[len(results)-1].Rows {
		row := make([]string, len(values))
		for i, v := range values {
			row[i] = string(v)
		}
		rows = append(rows, row)
	}
	return rows, nil
}
