package assembly

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgcluster"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgscript"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

var (
	scriptSeed  = flag.Uint64("script-seed", 1, "seed of the random scripts")
	scriptCount = flag.Int("scripts", 30, "number of random scripts")
)

// texts are what random scripts prepare and query: every one answers the same on any server connection.
var texts = []string{
	"SELECT 1", "SELECT 'a'::text, 2", "SELECT $1::int + 1", "SELECT $1::text", "SELEC", "SELECT nothing", "SELECT 1/0", "", ";",
	"BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT s", "ROLLBACK TO s", "RELEASE s", "BEGIN", "COMMIT",
	"SET TimeZone = 'Asia/Tokyo'", "SET LOCAL TimeZone = 'UTC'", "RESET TimeZone", "SHOW TimeZone", "SET search_path = pg_catalog, public", "SHOW search_path",
	"SET work_mem = 'nonsense'", "SET DateStyle = 'German, DMY'", "SELECT date '2020-02-01'::text", "SET statement_timeout = 0", "RESET ALL",
	"DEALLOCATE a", "DEALLOCATE nope", "DEALLOCATE ALL", "DISCARD ALL", "DISCARD PLANS",
	"SELECT 1; SELECT 2", "SELECT 1; SELECT 1/0; SELECT 3", "BEGIN; SELECT 1", "SET TimeZone = 'UTC'; SELECT 1/0", "COMMIT; SELECT 1", "SELECT generate_series(1, 5)",
	"/* hint */ SET TimeZone TO 'UTC'", "SELECT ';' -- x", "VALUES (1), (2)", "SELECT set_config('TimeZone', 'Asia/Tokyo', false)",
	"SELECT timestamptz '2020-01-01 12:00' = timestamptz '2020-01-01 03:00+00'",
}

// randomScript makes a script of units that each end in one ReadyForQuery.
func randomScript(r *rand.Rand) script {
	pick := func(s ...string) string { return s[r.IntN(len(s))] }
	text := func() string { return texts[r.IntN(len(texts))] }
	s := script{name: "random"}
	for range 4 + r.IntN(12) {
		if r.IntN(3) == 0 {
			s.units = append(s.units, unit(pgscript.Query(text())))
			continue
		}
		var u [][]byte
		for range 1 + r.IntN(6) {
			name, portal := pick("", "", "a", "b"), pick("", "", "", "p")
			switch r.IntN(12) {
			case 0, 1, 2:
				sql := text()
				for strings.HasPrefix(sql, "DEALLOCATE a") { // see the table of differences
					sql = text()
				}
				u = append(u, pgscript.Parse(name, sql))
			case 3, 4:
				u = append(u, pgscript.Bind(portal, name))
			case 5:
				u = append(u, pgscript.Bind(portal, name, "7"))
			case 6, 7:
				u = append(u, pgscript.Execute(portal, r.IntN(3)))
			case 8:
				u = append(u, pgscript.DescribeStatement(name))
			case 9:
				u = append(u, pgscript.DescribePortal(portal))
			case 10:
				u = append(u, pgscript.CloseStatement(name))
			default:
				u = append(u, pgscript.Flush())
			}
		}
		s.units = append(s.units, append(u, pgscript.Sync()))
	}
	return s
}

// TestRandomScripts plays random scripts against PostgreSQL and against the proxy, whose server
// connections another session takes away between units.
func TestRandomScripts(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{})
	_, trans := start(t, config(pg.Primary, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 2))
	_, session := start(t, config(pg.Primary, heliosv1.PoolMode_POOL_MODE_SESSION, 3))
	left := connect(t, trans, "postgres")
	for i := range *scriptCount {
		seed := *scriptSeed + uint64(i)
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			s := randomScript(rand.New(rand.NewPCG(seed, 0)))
			answers := s.play(t, pg.Primary.Addr(), nil)
			noise := connect(t, trans, "postgres")
			busy := false
			got := s.play(t, trans, func(n int) {
				if (int(seed)+n)%3 == 0 {
					ask(noise, map[bool]string{false: "BEGIN", true: "COMMIT"}[busy])
					busy = !busy
				}
			})
			noise.Close(context.Background())
			s.compare(t, seed, "transaction", got, answers)
			s.compare(t, seed, "session", s.play(t, session, nil), answers)
			want(t, left, "SELECT string_agg(name, ',') FROM pg_prepared_statements WHERE name NOT LIKE 'helios%'", "")
		})
		if t.Failed() {
			return
		}
	}
}

// unknownInFailed says whether unit n uses a statement in a failed transaction and was told so. The server
// connection may not have the statement, and cannot parse it then: see the table of differences.
func (s script) unknownInFailed(n int, got []string) bool {
	uses := slices.ContainsFunc(s.units[n], func(m []byte) bool { return m[0] == 'D' && m[5] == 'S' || m[0] == 'B' })
	return uses && len(got) >= 2 && strings.HasPrefix(got[len(got)-2], "E 25P02") && got[len(got)-1] == "Z E"
}

// play plays the script and returns the answers unit by unit.
func (s script) play(t *testing.T, addr string, between func(n int)) (got [][]string) {
	c := pgscript.Dial(t, "tcp", addr)
	c.Login(pgscript.Login{User: "postgres", Database: "postgres"})
	for n, u := range s.units {
		if between != nil {
			between(n)
		}
		c.Send(u...)
		got = append(got, c.Ready())
	}
	c.Send(pgscript.Terminate())
	c.Close()
	return got
}

func (s script) compare(t *testing.T, seed uint64, mode string, got, want [][]string) {
	t.Helper()
	for n := range want {
		if n < len(got) && (slices.Equal(got[n], want[n]) || s.unknownInFailed(n, got[n])) {
			continue
		}
		var before strings.Builder
		for i, u := range s.units[:n+1] {
			fmt.Fprintf(&before, "\n\tunit %d:", i)
			for _, m := range u {
				fmt.Fprintf(&before, "\n\t\t%s", pgscript.Message{Type: m[0], Body: m[5:]}.Frontend())
			}
			fmt.Fprintf(&before, "\n\t\t-> %s", strings.Join(want[i], " | "))
		}
		t.Fatalf("%s, -script-seed=%d -scripts=1: unit %d: got %s%s", mode, seed, n, strings.Join(got[n], " | "), before.String())
	}
}
