package sessions

import (
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"google.golang.org/protobuf/proto"

	"github.com/heliosproxy/heliosproxy/dataplane/assembly/stage"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgcluster"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// TestParameters holds clients of a database that has parameters against others, directly at the server, that ask for the same values when
// they log in: each is answered the same, whatever is set and reset, and whoever else has the server connection meanwhile.
func TestParameters(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{}).Primary
	given := []string{"TimeZone", "Asia/Tokyo", "datestyle", "German", "work_mem", "5MB", "app.tenant", "shop's", "search_path", "pg_temp, public", "client_encoding", "LATIN1"}
	shown := []string{"TimeZone", "datestyle", "work_mem", "app.tenant", "search_path", "client_encoding", "statement_timeout"}
	for _, mode := range []heliosv1.PoolMode{heliosv1.PoolMode_POOL_MODE_TRANSACTION, heliosv1.PoolMode_POOL_MODE_SESSION} {
		set := stage.Config(pg, mode, map[bool]uint32{true: 1, false: 9}[mode == heliosv1.PoolMode_POOL_MODE_TRANSACTION])
		parameters := map[string]string{}
		for i := 0; i < len(given); i += 2 {
			parameters[given[i]] = given[i+1]
		}
		set.Databases["*"].Parameters = parameters
		p, addr := stage.Start(t, set)
		type pair struct{ here, there *pgconn.PgConn }
		var clients []pair
		for _, own := range [][]string{
			nil, {"timezone", "America/Lima", "work_mem", "7MB"}, {"options", "-c TIMEZONE=America/Lima -c app.tenant=x"}, {"statement_timeout", "1min", "DateStyle", "ISO, DMY"},
		} {
			clients = append(clients, pair{stage.Connect(t, addr, "postgres", own...), stage.Connect(t, pg.Addr(), "postgres", append(append([]string{}, differ(given, own)...), own...)...)})
		}
		for _, c := range clients {
			for _, name := range []string{"TimeZone", "DateStyle", "client_encoding"} {
				if got, want := c.here.ParameterStatus(name), c.there.ParameterStatus(name); got != want {
					t.Errorf("%s: %s is reported as %q, want %q", mode, name, got, want)
				}
			}
		}
		for _, sql := range []string{
			"SELECT 1", "SET timezone = 'Europe/Vienna'", "RESET timezone", "SET work_mem = '9MB'; SET app.tenant = 'y'", "RESET ALL", "SET app.tenant TO 'z'", "SET app.tenant TO DEFAULT",
			"SET datestyle = 'SQL'", "DISCARD ALL", "BEGIN; SET LOCAL timezone = 'UTC'; SELECT now() = now(); COMMIT", "BEGIN; SET work_mem = '1MB'", "ROLLBACK",
			"SET search_path TO DEFAULT", "SELECT set_config('timezone', 'UTC', false)", "SET timezone TO DEFAULT", "SET client_encoding = 'UTF8'", "RESET client_encoding",
		} {
			for i, c := range clients {
				if got, want := stage.Ask(c.here, sql), stage.Ask(c.there, sql); got != want {
					t.Errorf("%s, client %d: %s: %q, want %q", mode, i, sql, got, want)
				}
				if sql == "BEGIN; SET work_mem = '1MB'" {
					stage.Ask(c.here, "ROLLBACK") // one server connection is for all
					stage.Ask(c.there, "ROLLBACK")
				}
			}
			for i, c := range clients {
				for _, name := range shown {
					if got, want := stage.Ask(c.here, "SHOW "+name), stage.Ask(c.there, "SHOW "+name); got != want {
						t.Errorf("%s, client %d, after %s: %s is %q, want %q", mode, i, sql, name, got, want)
					}
				}
			}
		}
		if got := stage.Ask(stage.ConsoleAt(t, addr), "SHOW TimeZone"); got != "GMT" {
			t.Errorf("the console has %q", got)
		}
		if mode == heliosv1.PoolMode_POOL_MODE_SESSION {
			stage.Want(t, stage.Connect(t, addr, "postgres", "replication", "database"), "SHOW work_mem", "4MB")
		}
		// Those who are there keep what they have, and who comes is told what is wrong.
		set.Databases = map[string]*heliosv1.Database{"*": proto.Clone(set.Databases["*"]).(*heliosv1.Database)}
		set.Databases["*"].Parameters = map[string]string{"timezone": "Mars"}
		if _, err := p.Apply(set, nil); err != nil {
			t.Fatal(err)
		}
		stage.Want(t, clients[0].here, "RESET ALL; SHOW timezone", "Asia/Tokyo")
		if _, err := stage.TryConnect(addr, "postgres"); stage.TurnedDown(err) != `22023 invalid value for parameter "TimeZone": "Mars"` {
			t.Errorf("a value that the server does not take: %v", err)
		}
		stage.Want(t, stage.Connect(t, addr, "postgres", "timezone", "UTC"), "SHOW timezone", "UTC")
	}
}

// differ leaves out of parameters those that a client asks for itself by name; what options say goes after others anyway.
func differ(given, own []string) (rest []string) {
	asked := map[string]bool{}
	for i := 0; i < len(own); i += 2 {
		asked[strings.ToLower(own[i])] = true
		if own[i] == "options" {
			asked["timezone"], asked["app.tenant"] = true, true
		}
	}
	for i := 0; i < len(given); i += 2 {
		if !asked[strings.ToLower(given[i])] {
			rest = append(rest, given[i], given[i+1])
		}
	}
	return rest
}
