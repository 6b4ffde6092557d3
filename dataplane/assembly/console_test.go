package assembly_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/heliosproxy/heliosproxy/dataplane/assembly"
	"github.com/heliosproxy/heliosproxy/dataplane/assembly/stage"
	"github.com/heliosproxy/heliosproxy/pkg/resource"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgcluster"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// patient is a configuration whose console waits for so long.
func patient(set *resource.Set, wait time.Duration) *resource.Set {
	set.Consoles = map[string]*heliosv1.Console{resource.ConsoleName: {Name: resource.ConsoleName, WaitTimeout: durationpb.New(wait)}}
	return set
}

// TestConsoleRights lets in whom the configuration names, or who is trusted and near, and nobody else.
func TestConsoleRights(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{})
	set := stage.Config(pg.Primary, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 2)
	set.Listeners["main"].Auth = heliosv1.AuthMethod_AUTH_METHOD_SCRAM
	for _, name := range []string{"ops", "watch", "app"} {
		set.Users[name] = &heliosv1.User{Name: name, Secret: stage.Secret("right")}
	}
	p, addr := stage.Start(t, set)
	try := func(user, database, sql string) string {
		c, err := stage.From("127.0.0.1", addr, user, database, "right")
		if err != nil {
			return stage.TurnedDown(err)
		}
		defer c.Close(context.Background())
		return stage.Tell(c, sql)
	}
	const closed = `42501 user "app" may not use the console`
	if got := try("app", "pgbouncer", "SHOW POOLS"); got != closed { // he has proved who he is: that is not trust
		t.Errorf("nobody is named: %s", got)
	}
	named := *set
	named.Consoles = map[string]*heliosv1.Console{resource.ConsoleName: {Name: resource.ConsoleName, AdminUsers: []string{"ops"}, StatsUsers: []string{"watch"}}}
	if _, err := p.Apply(&named, nil); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ user, database, sql, want string }{
		{"ops", "pgbouncer", "SHOW POOLS", ""},
		{"ops", "heliosproxy", "RECONNECT", ""},
		{"watch", "pgbouncer", "SHOW STATS", ""},
		{"watch", "pgbouncer", "PAUSE", "42501 PAUSE may be used by administrators only"},
		{"app", "pgbouncer", "SHOW POOLS", closed},
		{"nobody", "pgbouncer", "SHOW POOLS", `28P01 password authentication failed for user "nobody"`},
	} {
		if got := try(c.user, c.database, c.sql); got != c.want {
			t.Errorf("%s, %s: %s, want %s", c.user, c.sql, got, c.want)
		}
	}
	// Who is no longer named is sent away.
	c, err := stage.From("127.0.0.1", addr, "ops", "pgbouncer", "right")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(context.Background())
	if _, err := p.Apply(set, nil); err != nil {
		t.Fatal(err)
	}
	if got := stage.Tell(c, "SHOW POOLS"); !strings.HasPrefix(got, "57P01") {
		t.Errorf("somebody who was named: %s", got)
	}
}

// TestConsoleShows agrees with what PostgreSQL says of the connections, and drivers can read it in the extended protocol.
func TestConsoleShows(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{})
	_, addr := stage.Start(t, stage.Config(pg.Primary, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 3), func(o *assembly.Options) { o.Loops = 2 })
	c := stage.ConsoleAt(t, addr)
	busy, idle := stage.Connect(t, addr, "postgres", "application_name", "busy"), stage.Connect(t, addr, "postgres")
	stage.Want(t, idle, "SELECT 1", "1")
	stage.Want(t, busy, "BEGIN", "")
	pid := stage.Ask(busy, "SELECT pg_backend_pid()")
	stage.Prepare(t, busy, "s", "SELECT 1")
	var server, client map[string]string
	for _, s := range stage.Rows(t, c, "SHOW SERVERS") {
		if s["state"] == "active" {
			server = s
		}
	}
	for _, x := range stage.Rows(t, c, "SHOW CLIENTS") {
		if x["state"] == "active" {
			client = x
		}
	}
	if server["remote_pid"] != pid || server["link"] != client["ptr"] || client["link"] != server["ptr"] || server["application_name"] != "busy" ||
		client["application_name"] != "busy" || client["prepared_statements"] != "1" || server["prepared_statements"] != "1" {
		t.Errorf("process %s, server %v, client %v", pid, server, client)
	}
	at, _ := time.Parse("2006-01-02 15:04:05 MST", client["connect_time"])
	if time.Since(at) > time.Minute {
		t.Errorf("it is connected since %s", client["connect_time"])
	}
	var pools []map[string]string
	stage.Eventually(t, 15*time.Second, "a connection that was opened at log-in, for who had found another one meanwhile, is there", func() bool {
		pools = stage.Rows(t, c, "SHOW POOLS")
		return len(pools) == 1 && pools[0]["sv_login"] == "0"
	})
	n := pg.Primary.Query(t, "SELECT count(*) FROM pg_stat_activity WHERE client_port > 0 AND application_name NOT LIKE 'heliosproxy %'")[0][0]
	if len(pools) != 1 || pools[0]["cl_active"] != "2" || pools[0]["sv_active"] != "1" || fmt.Sprint(len(stage.Rows(t, c, "SHOW SERVERS"))) != n {
		t.Errorf("%s connections, pools %v", n, pools)
	}
	waits := make(chan string)
	for range 3 {
		go func() { waits <- stage.Ask(stage.Connect(t, addr, "postgres"), "SELECT pg_sleep(0.5), 1") }()
	}
	stage.Eventually(t, 15*time.Second, "somebody waits", func() bool {
		p := stage.Rows(t, c, "SHOW POOLS")[0]
		return p["cl_waiting"] == "1" && p["sv_active"] == "3" && p["maxwait_us"] != "0"
	})
	for range 3 {
		<-waits
	}
	stage.Want(t, busy, "COMMIT", "")
	for _, s := range stage.Rows(t, c, "SHOW STATS") {
		if s["total_xact_count"] != "5" || s["total_query_count"] != "7" || s["total_client_parse_count"] != "1" || s["total_wait_time"] == "0" || s["total_received"] == "0" {
			t.Errorf("%v", s)
		}
	}
	x, err := pgx.Connect(context.Background(), "postgres://postgres@"+addr+"/pgbouncer?sslmode=disable")
	if err != nil {
		t.Fatal(err)
	}
	defer x.Close(context.Background())
	var database string
	var port, size int
	var queries float64
	if err := x.QueryRow(context.Background(), "SHOW DATABASES").Scan(make([]any, 19)...); err != nil {
		t.Error(err)
	}
	all, err := x.Query(context.Background(), "SHOW DATABASES")
	for all.Next() {
		if err := all.Scan(append([]any{&database, nil, &port, nil, nil, &size}, make([]any, 13)...)...); err != nil {
			t.Error(err)
		}
	}
	if err != nil || database != "postgres" || port != pg.Primary.Port() || size != 3 {
		t.Errorf("%s, %d, %d, %v", database, port, size, err)
	}
	stats, err := x.Query(context.Background(), "SHOW STATS_TOTALS")
	for stats.Next() {
		if err := stats.Scan(&database, nil, nil, &queries, nil, nil, nil, nil, nil, nil, nil, nil); err != nil {
			t.Error(err)
		}
	}
	if err != nil || queries != 7 {
		t.Errorf("%v queries, %v", queries, err)
	}
}

// TestConsoleRefusals refuses what is not there.
func TestConsoleRefusals(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{})
	set := stage.Config(pg.Primary, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 2)
	set.Databases = map[string]*heliosv1.Database{"postgres": {Name: "postgres", Cluster: "main", PoolProfile: "default"}}
	_, addr := stage.Start(t, set)
	c := stage.ConsoleAt(t, addr)
	for sql, want := range map[string]string{
		"PAUSE moon":                 `3D000 there is no database "moon"`,
		"RESUME moon":                `3D000 there is no database "moon"`,
		"KILL moon":                  `3D000 there is no database "moon"`,
		"DISABLE pgbouncer":          `3D000 there is no database "pgbouncer"`,
		"KILL_CLIENT 1000":           "42704 there is no client 1000",
		"SET moon = 1":               "22023 cannot set moon: SHOW CONFIG lists what can be set here; the rest is said by the configuration",
		"SET query_wait_timeout = 0": `22023 cannot set query_wait_timeout: "0" is not a number from 1 on`,
		"SET log_level = debug":      "22023 cannot set log_level: the log is another program's",
		"RELOAD":                     "0A000 RELOAD is not for this proxy to do: a control plane sends it what is new",
		"SHUTDOWN":                   "0A000 SHUTDOWN is not for this proxy to do: it is part of another program",
	} {
		if got := stage.Tell(c, sql); got != want {
			t.Errorf("%s: %s\nwant %s", sql, got, want)
		}
	}
}

// TestConsoleDisable lets nobody new into a database, and those go on who are in.
func TestConsoleDisable(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{})
	_, addr := stage.Start(t, stage.Config(pg.Primary, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 2))
	c, in := stage.ConsoleAt(t, addr), stage.Connect(t, addr, "postgres")
	if got := stage.Tell(c, "DISABLE postgres"); got != "" {
		t.Fatal(got)
	}
	_, err := stage.From("127.0.0.1", addr, "postgres", "postgres", "")
	if got := stage.TurnedDown(err); got != `55000 database "postgres" is not currently accepting connections` {
		t.Errorf("somebody new: %s", got)
	}
	stage.Want(t, in, "SELECT 1", "1")
	if got := stage.Rows(t, c, "SHOW DATABASES")[1]; got["disabled"] != "1" {
		t.Errorf("%v", got)
	}
	if got := stage.Tell(c, "ENABLE postgres"); got != "" {
		t.Fatal(got)
	}
	stage.Want(t, stage.Connect(t, addr, "postgres"), "SELECT 1", "1")
}

// TestConsoleSet changes a setting until a configuration comes in force.
func TestConsoleSet(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{})
	set := stage.Config(pg.Primary, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 1)
	set.PoolProfiles["wide"] = proto.Clone(set.PoolProfiles["default"]).(*heliosv1.PoolProfile)
	set.PoolProfiles["wide"].Name, set.PoolProfiles["wide"].MaxConnections = "wide", 7
	set.Databases["own"] = &heliosv1.Database{Name: "own", Cluster: "main", PoolProfile: "wide"}
	p, addr := stage.Start(t, set)
	c := stage.ConsoleAt(t, addr)
	value := func(key string) string {
		for _, r := range stage.Rows(t, c, "SHOW CONFIG") {
			if r["key"] == key {
				return r["value"] + " " + r["changeable"]
			}
		}
		return ""
	}
	for _, sql := range []string{"SET default_pool_size = 2", "SET query_wait_timeout = '3 s'", "SET query_wait_timeout TO 3s"} {
		if got := stage.Tell(c, sql); got != "" && !strings.Contains(sql, "3 s") {
			t.Error(got)
		}
	}
	a, b := stage.Connect(t, addr, "postgres"), stage.Connect(t, addr, "postgres")
	stage.Want(t, a, "BEGIN", "")
	stage.Want(t, b, "SELECT 1", "1") // there is room for two
	if value("default_pool_size") != "2 yes" || value("query_wait_timeout") != "3 yes" || value("pool_mode") != "transaction no" {
		t.Errorf("%s, %s", value("default_pool_size"), value("query_wait_timeout"))
	}
	for _, db := range stage.Rows(t, c, "SHOW DATABASES") {
		if want := map[string]string{"own": "7", "postgres": "2"}[db["name"]]; want != "" && db["pool_size"] != want {
			t.Errorf("the pools of %s have %s, want %s", db["name"], db["pool_size"], want)
		}
	}
	for name, again := range map[string]func() error{
		"a new configuration":   func() error { _, err := p.Apply(set, nil); return err },
		"the configuration has": p.Unset,
	} {
		if got := stage.Tell(c, "SET default_pool_size = 2"); got != "" || value("default_pool_size") != "2 yes" {
			t.Errorf("%s, %s", got, value("default_pool_size"))
		}
		if err := again(); err != nil {
			t.Fatal(err)
		}
		if value("default_pool_size") != "1 yes" {
			t.Errorf("%s: %s", name, value("default_pool_size"))
		}
	}
}

// TestConsoleKill ends the clients of a database, or one, and holds who comes next until RESUME.
func TestConsoleKill(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{})
	pg.Primary.Exec(t, "CREATE DATABASE other")
	_, addr := stage.Start(t, stage.Config(pg.Primary, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 2))
	c := stage.ConsoleAt(t, addr)
	idle, busy := stage.Connect(t, addr, "postgres"), stage.Connect(t, addr, "postgres")
	other, err := stage.From("127.0.0.1", addr, "postgres", "other", "")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close(context.Background())
	runs := make(chan string, 1)
	go func() { runs <- stage.Ask(busy, "SELECT pg_sleep(60)") }()
	stage.Eventually(t, 15*time.Second, "the statement runs", func() bool { return stage.Rows(t, c, "SHOW POOLS")[1]["sv_active"] == "1" })
	if got := stage.Tell(c, "KILL postgres"); got != "" {
		t.Fatal(got)
	}
	const ended = "57P01 terminating connection due to administrator command"
	if got := <-runs; got != ended {
		t.Errorf("who has a statement under way: %s", got)
	}
	if got := stage.Ask(idle, "SELECT 1"); got != ended {
		t.Errorf("who is idle: %s", got)
	}
	stage.Want(t, other, "SELECT 1", "1")
	if n := pg.Primary.Query(t, "SELECT count(*) FROM pg_stat_activity WHERE datname = 'postgres' AND client_port > 0 AND application_name NOT LIKE 'heliosproxy %'")[0][0]; n != "0" {
		t.Errorf("%s server connections are left", n)
	}
	next := make(chan string, 1)
	go func() {
		x, err := stage.From("127.0.0.1", addr, "postgres", "postgres", "")
		if err != nil {
			next <- err.Error()
			return
		}
		defer x.Close(context.Background())
		next <- stage.Ask(x, "SELECT 7")
	}()
	stage.Eventually(t, 15*time.Second, "the next one waits", func() bool {
		all := stage.Rows(t, c, "SHOW CLIENTS")
		return len(all) == 2 && all[1]["state"] == "waiting"
	})
	if got := stage.Tell(c, "RESUME postgres"); got != "" {
		t.Error(got)
	}
	if got := <-next; got != "7" {
		t.Errorf("who has come next: %s", got)
	}
	stage.Eventually(t, 15*time.Second, "that one has left", func() bool { return len(stage.Rows(t, c, "SHOW CLIENTS")) == 1 })
	if got := stage.Tell(c, "KILL_CLIENT "+stage.Rows(t, c, "SHOW CLIENTS")[0]["id"]); got != "" {
		t.Error(got)
	}
	if got := stage.Ask(other, "SELECT 1"); got != ended {
		t.Errorf("KILL_CLIENT: %s", got)
	}
}
