package leaks

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
)

// mark is what ends a pipe, so that it is known when everything is answered: what an error skips has no answer.
const mark = "end of the pipe"

// pipe is what messages in one packet are answered with. They stand with " | " between them: Q TEXT is a Query, X TEXT a Parse, Bind and
// Execute, N NAME TEXT a Parse, E NAME a Bind and Execute, S a Sync, M a Query with something behind its text, which is refused. No transaction is
// open behind them.
func pipe(ctx context.Context, c *pgconn.PgConn, what string) string {
	for one := range strings.SplitSeq(what, " | ") {
		kind, text, _ := strings.Cut(one, " ")
		switch f := c.Frontend(); kind {
		case "Q":
			f.Send(&pgproto3.Query{String: text})
		case "X":
			f.Send(&pgproto3.Parse{Query: text})
			f.Send(&pgproto3.Bind{})
			f.Send(&pgproto3.Execute{})
		case "N":
			name, text, _ := strings.Cut(text, " ")
			f.Send(&pgproto3.Parse{Name: name, Query: text})
		case "E":
			f.Send(&pgproto3.Bind{PreparedStatement: text})
			f.Send(&pgproto3.Execute{})
		case "S":
			f.Send(&pgproto3.Sync{})
		case "M":
			f.Send(&pgproto3.Query{String: "SELECT 1\x00more"})
		}
	}
	c.Frontend().Send(&pgproto3.Sync{})
	c.Frontend().Send(&pgproto3.Query{String: "SELECT '" + mark + "'"})
	if err := c.Frontend().Flush(); err != nil {
		return err.Error()
	}
	var b strings.Builder
	for over := false; ; {
		m, err := c.ReceiveMessage(ctx)
		if err != nil {
			return err.Error()
		}
		switch m := m.(type) {
		case *pgproto3.DataRow:
			over = over || string(m.Values[0]) == mark
			fmt.Fprintf(&b, "%q ", m.Values)
		case *pgproto3.CommandComplete:
			fmt.Fprintf(&b, "%s ", m.CommandTag)
		case *pgproto3.ErrorResponse:
			fmt.Fprintf(&b, "%s ", m.Code)
		case *pgproto3.ReadyForQuery:
			if fmt.Fprintf(&b, "%c ", m.TxStatus); over {
				return b.String()
			}
		}
	}
}
