package e2e

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgcluster"
)

// judge holds a row of shaped against the columns that the client was told: every value must be what its type makes of the row's id.
func judge(columns []pgconn.FieldDescription, row [][]byte, id int) error {
	if len(columns) != len(row) {
		return fmt.Errorf("%d values in %d columns", len(row), len(columns))
	}
	for i, c := range columns {
		want := id
		switch {
		case c.Name == "w":
			want = 7
		case c.DataTypeOID == pgtype.Int8OID:
			want += 1 << 40
		}
		if err := value(c, row[i], want); err != nil {
			return fmt.Errorf("column %s of row %d: %w", c.Name, id, err)
		}
	}
	return nil
}

// value says whether a value is n in the type and format of its column.
func value(c pgconn.FieldDescription, v []byte, n int) error {
	var want []byte
	switch {
	case c.DataTypeOID == pgtype.TextOID:
		want = fmt.Appendf(nil, "t%d", n)
	case c.Format == pgx.TextFormatCode:
		want = strconv.AppendInt(nil, int64(n), 10)
	case c.DataTypeOID == pgtype.Int4OID:
		want = binary.BigEndian.AppendUint32(nil, uint32(n))
	case c.DataTypeOID == pgtype.Int8OID:
		want = binary.BigEndian.AppendUint64(nil, uint64(n))
	default:
		return fmt.Errorf("type %d, which it never has", c.DataTypeOID)
	}
	if string(v) != string(want) {
		return fmt.Errorf("%q is not the value of type %d in format %d, which is %q", v, c.DataTypeOID, c.Format, want)
	}
	return nil
}

// TestShapeJudgeSees gives the judge rows that were made by another type than the client was told, in either format.
func TestShapeJudgeSees(t *testing.T) {
	columns := func(types ...uint32) (all []pgconn.FieldDescription) {
		for i, oid := range types {
			all = append(all, pgconn.FieldDescription{Name: []string{"id", "v", "w"}[i], DataTypeOID: oid, Format: pgx.BinaryFormatCode})
		}
		return all
	}
	four := func(n int) []byte { return binary.BigEndian.AppendUint32(nil, uint32(n)) }
	eight := func(n int) []byte { return binary.BigEndian.AppendUint64(nil, uint64(n)) }
	const int4, int8, text = pgtype.Int4OID, pgtype.Int8OID, pgtype.TextOID
	for _, good := range []struct {
		columns []pgconn.FieldDescription
		row     [][]byte
	}{
		{columns(int4, int4), [][]byte{four(17), four(17)}},
		{columns(int4, text), [][]byte{four(17), []byte("t17")}},
		{columns(int4, int8, int4), [][]byte{four(17), eight(1<<40 + 17), four(7)}},
	} {
		if err := judge(good.columns, good.row, 17); err != nil {
			t.Error(err)
		}
		for i, bad := range [][][]byte{
			{four(17), []byte("t17"), four(7)},
			{four(17), four(17), four(7)},
			{four(17), eight(1<<40 + 17), four(7)},
			{four(17), []byte("t17")},
			{four(17), four(17)},
			{four(17), eight(1<<40 + 17)},
			{four(17), eight(17)},
			{four(17), []byte("17")},
			{four(17), []byte(strconv.Itoa(1<<40 + 17))},
			{four(17)},
		} {
			if slices.EqualFunc(bad, good.row, func(a, b []byte) bool { return string(a) == string(b) }) {
				continue
			}
			if judge(good.columns, bad, 17) == nil {
				t.Errorf("row %d is taken for one of %v", i, good.columns)
			}
		}
	}
}

// A shapeLoad is what clients have seen who read shaped while it changes.
type shapeLoad struct {
	mu    sync.Mutex
	rows  int
	kinds map[string]int // of errors
	wrong []string       // rows that are not what the client was told
}

// enough says whether there were so many rows that the errors that there are have been seen.
func (l *shapeLoad) enough() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.rows >= 500
}

func (l *shapeLoad) add(rows int, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rows += rows
	var pe *pgconn.PgError
	var wrong *wrongRow
	switch {
	case err == nil:
	case errors.As(err, &wrong):
		l.wrong = append(l.wrong, err.Error())
	case errors.As(err, &pe):
		l.kinds[pe.Code+" "+pe.Message]++
	default:
		l.kinds[err.Error()]++
	}
}

type wrongRow struct{ error }

// read reads a row of shaped as an application does, and holds it against what it was told.
func read(ctx context.Context, q interface {
	Query(context.Context, string, ...any) (pgx.Rows, error)
}, id int,
) (n int, err error) {
	rows, err := q.Query(ctx, "select * from shaped where id = $1", id)
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	for rows.Next() {
		if err := judge(rows.FieldDescriptions(), rows.RawValues(), id); err != nil {
			return n, &wrongRow{err}
		}
		if _, err := rows.Values(); err != nil {
			return n, &wrongRow{err}
		}
		n++
	}
	return n, rows.Err()
}

// runShapes lets eight clients read at dsn while the table is changed over changer, until it has changed often enough and they have had enough rows.
func runShapes(t *testing.T, server *pgcluster.Server, changer, dsn string, mode pgx.QueryExecMode, changes int64) *shapeLoad {
	t.Helper()
	s := reshape(t, server, changer)
	l := &shapeLoad{kinds: map[string]int{}}
	ctx, cancel := context.WithTimeout(t.Context(), 6*patience)
	defer cancel()
	var clients sync.WaitGroup
	for i := range 8 {
		clients.Go(func() {
			config, err := pgx.ParseConfig(dsn)
			if err != nil {
				t.Error(err)
				return
			}
			config.DefaultQueryExecMode = mode
			conn, err := pgx.ConnectConfig(ctx, config)
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Close(context.WithoutCancel(ctx))
			r := rand.New(rand.NewPCG(4, uint64(i)))
			for (s.changes.Load() < changes || !l.enough()) && ctx.Err() == nil {
				if r.IntN(4) > 0 {
					l.add(read(ctx, conn, 1+r.IntN(100)))
					continue
				}
				n := 0
				err := pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
					for range 3 {
						k, err := read(ctx, tx, 1+r.IntN(100))
						if n += k; err != nil {
							return err
						}
					}
					return nil
				})
				l.add(n, err)
			}
		})
	}
	clients.Wait()
	s.stop()
	if got := s.changes.Load(); got < changes || !l.enough() {
		t.Errorf("%d changes and %d rows only", got, l.rows)
	}
	return l
}

// TestShapesPgx: pgx, in each of its ways to execute, gets the errors through the proxy that it gets directly and no others, and never a
// row of another shape than it was told.
func TestShapesPgx(t *testing.T) {
	server := pgcluster.Start(t, pgcluster.Options{}).Primary
	proxy := StartProxy(t, server, Options{MaxConnections: 4})
	directly, through := server.DSN("postgres", "postgres"), proxy.DSN("postgres", "postgres")
	changes := full[int64](500, 40)
	for _, mode := range []pgx.QueryExecMode{
		pgx.QueryExecModeCacheStatement, pgx.QueryExecModeCacheDescribe, pgx.QueryExecModeDescribeExec, pgx.QueryExecModeExec, pgx.QueryExecModeSimpleProtocol,
	} {
		t.Run(mode.String(), func(t *testing.T) {
			want := runShapes(t, server, directly, directly, mode, changes)
			for changer, by := range map[string]string{directly: "changed directly", through: "changed through the proxy"} {
				began := time.Now()
				got := runShapes(t, server, changer, through, mode, changes)
				t.Logf("%s: %d rows in %v, errors %v; directly %d rows, errors %v", by, got.rows, time.Since(began), got.kinds, want.rows, want.kinds)
				if len(got.wrong) > 0 {
					t.Errorf("%s: %d rows are not what the client was told, the first: %s", by, len(got.wrong), got.wrong[0])
				}
				if got, want := slices.Sorted(maps.Keys(got.kinds)), slices.Sorted(maps.Keys(want.kinds)); !slices.Equal(want, got) {
					t.Errorf("%s: errors directly %q, through the proxy %q", by, want, got)
				}
			}
			if len(want.wrong) > 0 {
				t.Errorf("directly: %s", want.wrong[0])
			}
		})
	}
}
