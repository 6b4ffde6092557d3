package stage

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/heliosproxy/heliosproxy/dataplane/listen"
	"github.com/heliosproxy/heliosproxy/pkg/resource"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgcluster"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// Ear is a client that notes its notifications, as CHANNEL:PAYLOAD, and warnings, as their SQLSTATE.
type Ear struct {
	*pgconn.PgConn
	Heard []string
}

// NewEar opens the connection of one; params are start-up parameters.
func NewEar(t testing.TB, addr string, params ...string) *Ear {
	t.Helper()
	cfg, err := pgconn.ParseConfig(fmt.Sprintf("postgres://postgres@%s/postgres?sslmode=disable", addr))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(params); i += 2 {
		cfg.RuntimeParams[params[i]] = params[i+1]
	}
	e := &Ear{}
	cfg.OnNotification = func(_ *pgconn.PgConn, n *pgconn.Notification) { e.Heard = append(e.Heard, n.Channel+":"+n.Payload) }
	cfg.OnNotice = func(_ *pgconn.PgConn, n *pgconn.Notice) { e.Heard = append(e.Heard, n.Code) }
	if e.PgConn, err = pgconn.ConnectConfig(context.Background(), cfg); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close(context.Background()) })
	return e
}

// Until waits for one notification and returns everything that was heard up to it, which it forgets.
func (e *Ear) Until(t testing.TB, last string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for len(e.Heard) == 0 || e.Heard[len(e.Heard)-1] != last {
		if err := e.WaitForNotification(ctx); err != nil {
			t.Fatalf("waiting for %s behind %v: %v", last, e.Heard[max(0, len(e.Heard)-10):], err)
		}
	}
	all := strings.Join(e.Heard, " ")
	e.Heard = nil
	return all
}

// Sharing is a configuration whose sessions listen by the shared listener.
func Sharing(srv *pgcluster.Server, max uint32) *resource.Set {
	set := Config(srv, heliosv1.PoolMode_POOL_MODE_TRANSACTION, max)
	set.PoolProfiles["default"].Listen = heliosv1.Listen_LISTEN_SHARED
	return set
}

// ListeningPIDs asks a server for the connections that listen for all sessions.
const ListeningPIDs = "SELECT pid FROM pg_stat_activity WHERE application_name = '" + listen.ApplicationName + "'"

// Listens asks for those that listen by now: a connection that is open need not yet.
const Listens = ListeningPIDs + " AND query LIKE 'LISTEN %' AND state = 'idle'"
