package wedge

import (
	"context"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
)

// statement answers what it is given.
const statement = "select $1::int4, $2::text"

// value is the text of the i-th statement: no two neighbours have the same.
func value(i int) string { return strings.Repeat(letter(i), Bytes) }

// values are those of a batch, made once: that takes long enough on a busy machine to look like a pause.
func values(moved func(answers int)) []string {
	out := make([]string, InFlight)
	for i := range out {
		out[i] = value(i)
		moved(0)
	}
	return out
}

func letter(i int) string { return string(rune('a' + i%26)) }

// is says whether a text is the value of the i-th statement.
func is(text string, i int) bool {
	return len(text) == Bytes && strings.Count(text, letter(i)) == Bytes
}

// moving is a connection that says when bytes have moved.
type moving struct {
	net.Conn
	moved func(answers int)
}

func (m moving) Read(p []byte) (int, error) {
	n, err := m.Conn.Read(p)
	m.moved(0)
	return n, err
}

// Write writes piece by piece.
func (m moving) Write(p []byte) (int, error) {
	written := 0
	for written < len(p) {
		n, err := m.Conn.Write(p[written:min(len(p), written+1<<18)])
		written += n
		if err != nil {
			return written, err
		}
		m.moved(0)
	}
	return written, nil
}

// Batches is pgx's SendBatch.
type Batches struct{}

// Name returns the load's name.
func (Batches) Name() string { return "pgx batches" }

// Run sends a batch, reads its answers, and begins again.
func (Batches) Run(ctx context.Context, t Target, length time.Duration, moved func(answers int)) error {
	watching, stop := context.WithCancel(ctx)
	defer stop()
	go working(watching, os.Getpid(), moved)
	config, err := pgx.ParseConfig(t.DSN)
	if err != nil {
		return err
	}
	config.AfterNetConnect = func(_ context.Context, _ *pgconn.Config, c net.Conn) (net.Conn, error) { return moving{c, moved}, nil }
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	texts := values(moved)
	for until, batches := time.Now().Add(length), 0; batches == 0 || time.Now().Before(until); batches++ {
		b := &pgx.Batch{}
		for i := range InFlight {
			b.Queue(statement, i, texts[i]).QueryRow(func(row pgx.Row) error {
				var n int
				var text string
				if err := row.Scan(&n, &text); err != nil {
					return err
				}
				if n != i || !is(text, i) {
					return fmt.Errorf("answer %d is that of another statement", i)
				}
				moved(1)
				return nil
			})
		}
		if err := conn.SendBatch(ctx, b).Close(); err != nil {
			return err
		}
	}
	return nil
}

// Deaf is a client of the bare protocol that writes everything and does not read for a while: every buffer on the way is full
// before it begins.
type Deaf struct {
	// For is how long it does not read.
	For time.Duration
}

// Name returns the load's name.
func (d Deaf) Name() string { return fmt.Sprintf("bare protocol, deaf for %v", d.For) }

// Run writes a batch, each statement with a Sync, reads nothing for a while and then everything, and begins again.
func (d Deaf) Run(ctx context.Context, t Target, length time.Duration, moved func(answers int)) error {
	watching, stop := context.WithCancel(ctx)
	defer stop()
	go working(watching, os.Getpid(), moved)
	pg, err := pgconn.Connect(ctx, t.DSN)
	if err != nil {
		return err
	}
	conn, err := pg.Hijack()
	if err != nil {
		return err
	}
	defer conn.Conn.Close()
	if tcp, ok := conn.Conn.(*net.TCPConn); ok { // so that the kernel does not take in for us what we do not read
		if err := tcp.SetReadBuffer(1 << 16); err != nil {
			return err
		}
	}
	defer context.AfterFunc(ctx, func() { conn.Conn.Close() })()
	bytes := batch(values(moved))
	for until, batches := time.Now().Add(length), 0; batches == 0 || time.Now().Before(until); batches++ {
		written := make(chan error, 1)
		go func() {
			_, err := moving{conn.Conn, moved}.Write(bytes)
			written <- err
		}()
		select {
		case <-time.After(d.For):
		case <-ctx.Done():
		}
		for i := range InFlight {
			if err := readAnswer(conn.Frontend, i); err != nil {
				return err
			}
			moved(1)
		}
		if err := <-written; err != nil {
			return err
		}
	}
	_, err = conn.Conn.Write([]byte{'X', 0, 0, 0, 4})
	return err
}

func batch(texts []string) []byte {
	out := make([]byte, 0, len(texts)*(Bytes+1000))
	for i, text := range texts {
		for _, m := range []pgproto3.FrontendMessage{
			&pgproto3.Parse{Query: statement},
			&pgproto3.Bind{Parameters: [][]byte{fmt.Append(nil, i), []byte(text)}},
			&pgproto3.Execute{},
			&pgproto3.Sync{},
		} {
			out, _ = m.Encode(out) // it fails for messages of a gigabyte
		}
	}
	return out
}

func readAnswer(in *pgproto3.Frontend, i int) error {
	rows := 0
	for {
		m, err := in.Receive()
		if err != nil {
			return err
		}
		switch m := m.(type) {
		case *pgproto3.DataRow:
			if rows++; string(m.Values[0]) != fmt.Sprint(i) || !is(string(m.Values[1]), i) {
				return fmt.Errorf("answer %d is that of another statement", i)
			}
		case *pgproto3.ErrorResponse:
			return pgconn.ErrorResponseToPgError(m)
		case *pgproto3.ReadyForQuery:
			if rows != 1 {
				return fmt.Errorf("answer %d has %d rows", i, rows)
			}
			return nil
		}
	}
}
