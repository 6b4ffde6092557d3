package lookup

import (
	_ "embed" // the questions
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/heliosproxy/heliosproxy/dataplane/backend"
	"github.com/heliosproxy/heliosproxy/dataplane/reactor"
	"github.com/heliosproxy/heliosproxy/dataplane/state/catalog"
)

var (
	//go:embed reading.sql
	readingSQL string
	//go:embed signature.sql
	signatureSQL string
)

// prepare makes the connection's answers those of the catalogue, whatever the user's own settings are.
const prepare = "SET statement_timeout = '60s'; SET lock_timeout = 0; SET search_path = pg_catalog, pg_temp; SET client_encoding = 'UTF8';" +
	"SET jit = off; SET max_parallel_workers_per_gather = 0; SET quote_all_identifiers = off"

// maxReading bounds what a catalogue may say, in bytes: 100,000 tables say some 20 MiB. While it is worked on, ten times as much
// is used.
const maxReading = 64 << 20

var (
	errClosed   = errors.New("the reader was closed")
	errPanicked = errors.New("internal error")
	errTooBig   = fmt.Errorf("the catalogue says more than %d MiB", maxReading>>20)
)

// read looks whether the catalogue has changed, and reads it if so.
func (r *Reader) read(t *reactor.Task) error {
	began := t.Loop().Now()
	t.SetDeadline(began + int64(limit))
	if err := r.line.dial(t, r.target.Load(), ApplicationName); err != nil {
		return err
	}
	if err := r.ask(t, r.line.conn, began); err != nil {
		r.line.lose()
		return err
	}
	r.line.conn.Retire()
	r.line.conn = nil
	return nil
}

// ask asks on an open connection.
func (r *Reader) ask(t *reactor.Task, c *backend.Conn, began int64) error {
	if err := query(t, c, prepare, nil); err != nil {
		return err
	}
	mark := r.Handle.Mark() // before the snapshots
	var signature string
	if err := query(t, c, signatureSQL, func(_ int, v []byte) { signature = string(v) }); err != nil {
		return err
	}
	r.counts.looks.Add(1)
	if signature == r.signature {
		r.Handle.Confirm(mark)
		return nil
	}
	var raw []byte
	err := query(t, c, question(), func(_ int, v []byte) {
		if len(raw) < maxReading {
			raw = append(binary.AppendUvarint(raw, uint64(len(v))), v...)
		}
	})
	if err != nil {
		return err
	}
	if len(raw) >= maxReading {
		return errTooBig
	}
	safe := r.o.Safe
	facts, err := reactor.Offload(t, func() (*catalog.Facts, error) {
		rows, err := decode(raw)
		if err != nil {
			return nil, err
		}
		return catalog.Compile(rows, safe), nil
	})
	if err != nil {
		return err
	}
	r.Handle.Publish(facts, mark)
	r.signature = signature
	r.counts.readings.Add(1)
	r.counts.took.Store(t.Loop().Now() - began)
	return nil
}

// question is what is asked for a reading.
func question() string {
	return strings.ReplaceAll(readingSQL, "$LISTED$", "ARRAY['"+strings.Join(catalog.Listed(), "','")+"']")
}

// query asks and takes a refusal for an error.
func query(t *reactor.Task, c *backend.Conn, sql string, row func(i int, v []byte)) error {
	refused, err := c.Exchange(t, sql, row)
	if err == nil && refused != nil {
		err = refused
	}
	return err
}

// columns is how many a row of the reading has.
const columns = 6

// decode makes rows of what was received: for each column its length and its bytes.
func decode(raw []byte) ([]catalog.Row, error) {
	var rows []catalog.Row
	var col [columns]string
	whats := map[string]catalog.What{}
	for i := 0; len(raw) > 0; i++ {
		n, k := binary.Uvarint(raw)
		if k <= 0 || n > uint64(len(raw)-k) {
			return nil, errors.New("malformed reading")
		}
		col[i%columns], raw = string(raw[k:k+int(n)]), raw[k+int(n):]
		if i%columns < columns-1 {
			continue
		}
		a, err := strconv.ParseUint(col[1], 10, 32)
		if err != nil {
			return nil, fmt.Errorf("row of the reading: %w", err)
		}
		b, err := strconv.ParseUint(col[2], 10, 32)
		if err != nil {
			return nil, fmt.Errorf("row of the reading: %w", err)
		}
		what, ok := whats[col[0]]
		if !ok {
			what = catalog.What(col[0])
			whats[col[0]] = what
		}
		rows = append(rows, catalog.Row{What: what, A: uint32(a), B: uint32(b), S: col[3], N: col[4], X: col[5]})
	}
	return rows, nil
}
