package trial

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"

	"github.com/heliosproxy/heliosproxy/dataplane/assembly"
	"github.com/heliosproxy/heliosproxy/pkg/pgwire"
)

// inquiries asks the databases that say who may log in for somebody whom nobody is.
func (a *attempt) inquiries(ctx context.Context) {
	nobody := "heliosproxy check " + rand.Text()
	all, err := assembly.TryInquiries(ctx, a.set, nobody, func(node string) bool { return a.bad[node] })
	if err != nil {
		a.warn("auth_query", "not tried: %s", err)
	}
	for _, q := range all {
		what := fmt.Sprintf("auth_query as %s at node %s", q.As, q.Node)
		where := fmt.Sprintf("in database %q", q.Database)
		if q.Guessed {
			where += ", as auth_dbname names none"
		}
		var server *pgwire.ServerError
		switch {
		case q.Err == nil:
			a.ok(what, "answered %s", where)
		case q.Guessed && errors.As(q.Err, &server) && server.SQLState == "3D000":
			a.warn(what, "not tried: %s: %s", where, q.Err)
		default:
			a.fail(what, "%s: %s", where, q.Err)
		}
	}
}
