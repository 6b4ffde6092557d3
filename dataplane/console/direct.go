package console

import (
	"context"
	"errors"
	"strconv"

	"github.com/heliosproxy/heliosproxy/pkg/pgerr"
)

// Outcome is what a command has come to that nobody asked for over the wire.
type Outcome struct {
	Columns []Column // none: it shows nothing
	Tag     string
	Notice  string
	rows    [][]any
}

// Column is one of a table.
type Column struct {
	Name string
	Type uint32 // pg_type.oid
}

// Rows yields the rows, each as the texts of its values; nil is NULL. A row is the loop's until the next.
func (o *Outcome) Rows(yield func([][]byte) bool) {
	row := make([][]byte, len(o.Columns))
	for _, values := range o.rows {
		for i := range row {
			row[i] = nil
			if values[i] != nil {
				row[i] = append([]byte{}, textOf(values[i])...)
			}
		}
		if !yield(row) {
			return
		}
	}
}

// Do carries out the one command of a text with an administrator's rights. It may take long; ctx ends it early. The error is a
// [*pgerr.Error].
func Do(ctx context.Context, d Desk, text string) (*Outcome, error) {
	commands, err := split(text)
	if err == nil && len(commands) != 1 {
		err = pgerr.New(pgerr.ConsoleSyntax, strconv.Itoa(len(commands))+" commands where there is to be one")
	}
	if err != nil {
		return nil, err
	}
	c, err := read(commands[0])
	if err != nil {
		return nil, err
	}
	j := &Job{command: c, desk: d}
	if j.Run(ctx); j.err != nil {
		var pe *pgerr.Error
		if !errors.As(j.err, &pe) {
			pe = pgerr.New(pgerr.ConsoleFailed, j.err)
		}
		return nil, pe
	}
	o := &Outcome{Tag: c.tag, rows: j.rows}
	for _, col := range c.columns {
		o.Columns = append(o.Columns, Column{col.name, col.oid})
	}
	if c.notice != nil {
		o.Notice = c.notice.Message + c.notice.Detail
	}
	return o, nil
}
