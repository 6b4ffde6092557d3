package stage

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/heliosproxy/heliosproxy/pkg/resource"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgcluster"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// Asking is a configuration that has no user and no password: a role that may ask is let in by the server without one.
func Asking(pg *pgcluster.Cluster, good time.Duration) *resource.Set {
	set := Config(pg.Primary, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 2)
	set.Listeners["main"].Auth = heliosv1.AuthMethod_AUTH_METHOD_SCRAM
	set.Databases["*"].AuthQuery = &heliosv1.AuthQuery{User: "postgres", CacheTime: durationpb.New(good)}
	return set
}

// check is a program that judges: it knows one password, and what to do for users of some names. What it is told it writes down.
const check = `dir=$1
{ tr '\0' ' ' < /proc/$$/cmdline; echo; tr '\0' '\n' < /proc/$$/environ; } > "$dir/told.$$"
mv "$dir/told.$$" "$dir/told"
case $HELIOS_USER in
hang) sleep 1000 & echo $$ $! >> "$dir/pids"; wait ;;
odd) echo c4n4ry >&2; exit 3 ;;
shot) kill -KILL $$ ;;
esac
IFS= read -r password
test "$password" = "c4n4ry of $HELIOS_USER" || exit 1
`

// Judged is a configuration whose log-ins a program judges, and the directory that it writes to.
func Judged(t *testing.T, s *pgcluster.Server, timeout time.Duration) (set *resource.Set, dir string) {
	t.Helper()
	dir = t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "check"), []byte(check), 0o600); err != nil {
		t.Fatal(err)
	}
	set = Config(s, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 2)
	l := set.Listeners["main"]
	l.Auth = heliosv1.AuthMethod_AUTH_METHOD_PROGRAM
	l.Program = &heliosv1.Program{Command: []string{"sh", filepath.Join(dir, "check"), dir}, Timeout: durationpb.New(timeout)}
	return set, dir
}

// Attempt tries to log in and returns how it is turned down.
func Attempt(addr, user, password string) string {
	c, err := From("127.0.0.1", addr, user, "postgres", password)
	if err == nil {
		c.Close(context.Background())
	}
	return TurnedDown(err)
}
