package assembly_test

import (
	"context"
	"crypto/tls"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/heliosproxy/heliosproxy/dataplane/assembly"
	"github.com/heliosproxy/heliosproxy/dataplane/assembly/stage"
	"github.com/heliosproxy/heliosproxy/pkg/resource"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgcluster"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// How a client of [byName] speaks TLS.
const (
	noTLS = iota
	afterRequest
	direct
)

// byName logs ann in at a database by a host name.
func byName(p *stage.PKI, addr, database, server, password string, how int) (*pgconn.PgConn, error) {
	cfg, err := pgconn.ParseConfig("postgres://ann:" + password + "@" + addr + "/" + database + "?sslmode=disable")
	if err != nil {
		return nil, err
	}
	config := &tls.Config{RootCAs: p.Pool(), ServerName: server, NextProtos: []string{"postgresql"}}
	switch how {
	case afterRequest:
		cfg.TLSConfig = config
	case direct:
		cfg.DialFunc = func(ctx context.Context, network, addr string) (net.Conn, error) {
			return (&tls.Dialer{Config: config}).DialContext(ctx, network, addr)
		}
	}
	ctx, stop := context.WithTimeout(context.Background(), 20*time.Second)
	defer stop()
	return pgconn.ConnectConfig(ctx, cfg)
}

// TestServerNames has two servers behind two host names at one port, which have the same database; its users, limits and statements
// are those of the server whose name the client has said.
func TestServerNames(t *testing.T) {
	t.Parallel()
	hba := pgcluster.Options{HBA: []string{"host all postgres 127.0.0.1/32 trust", "host all all 127.0.0.1/32 scram-sha-256"}}
	east, west := pgcluster.Start(t, hba).Primary, pgcluster.Start(t, hba).Primary
	for where, s := range map[string]*pgcluster.Server{"east": east, "west": west} {
		s.CreateRole(t, "ann", where, "scram-sha-256")
		s.Exec(t, "CREATE VIEW place AS SELECT '"+where+" '||current_database() AS name", "GRANT SELECT ON place TO ann")
	}
	east.Exec(t, "CREATE DATABASE plain TEMPLATE postgres")
	p := stage.NewPKI(t)
	cert, key := p.Server("east.example.com", "*.west.example.com", "elsewhere.example.com").Files(t, p.Dir, "names")
	set := stage.Config(east, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 4)
	other := stage.Config(west, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 4)
	set.Clusters["west"] = &heliosv1.Cluster{Name: "west"}
	set.Nodes["n2"] = other.Nodes["n1"]
	set.Nodes["n2"].Name, set.Nodes["n2"].Cluster = "n2", "west"
	set.Listeners["main"].Tls = &heliosv1.ClientTLS{Mode: heliosv1.SSLMode_SSL_MODE_ALLOW, CertFile: cert, KeyFile: key}
	set.Listeners["main"].Hba = "host postgres ann 127.0.0.1/32 scram-sha-256\n"
	database := func(name, cluster, server string, names ...string) *heliosv1.Database {
		return &heliosv1.Database{
			Name: name, KnownAs: "postgres", Cluster: cluster, ServerName: server, ServerNames: names, PoolProfile: "default", AuthQuery: &heliosv1.AuthQuery{User: "postgres"},
		}
	}
	plain := database("plain", "main", "plain")
	set.Databases = map[string]*heliosv1.Database{
		"east": database("east", "main", "", "east.example.com"), "west": database("west", "west", "", "*.west.example.com"), "plain": plain,
	}
	set.Databases["east"].MaxClients = 1
	if err := (&resource.Set{Clusters: set.Clusters, Nodes: set.Nodes, Databases: set.Databases, PoolProfiles: set.PoolProfiles, Limits: set.Limits, Listeners: set.Listeners}).Validate(); err != nil {
		t.Fatal(err)
	}
	core, logs := observer.New(zap.InfoLevel)
	px, addr := stage.Start(t, set, func(o *assembly.Options) { o.Log = zap.New(core) })
	check := func(database, server, password string, how int, want string) {
		t.Helper()
		c, err := byName(p, addr, database, server, password, how)
		got := ""
		if err != nil {
			got = err.Error()
		} else {
			got = stage.Ask(c, "SELECT name FROM place")
			c.Close(context.Background())
		}
		if got != want && (!strings.Contains(want, ":") || !strings.Contains(got, want)) {
			t.Errorf("%s at %q, TLS %d: %s; want %s", database, server, how, got, want)
		}
	}
	gone := func() bool { return px.Hub().Clients.In() == 0 }
	const wrong = `FATAL: password authentication failed for user "ann"`
	for _, how := range []int{afterRequest, direct} {
		check("postgres", "east.example.com", "east", how, "east postgres")
		stage.Eventually(t, 10*time.Second, "the end of the client", gone)
		check("postgres", "A.West.example.com", "west", how, "west postgres")
		check("postgres", "elsewhere.example.com", "east", how, "east plain")
		check("postgres", "east.example.com", "west", how, wrong)
		check("postgres", "a.west.example.com", "east", how, wrong)
		check("east", "east.example.com", "east", how, `FATAL: no pg_hba.conf entry for host "127.0.0.1", user "ann", database "east"`)
	}
	check("postgres", "", "east", noTLS, "east plain")
	if n := logs.FilterMessage("log-in refused").FilterField(zap.String("server_name", "a.west.example.com")).FilterField(zap.String("database", "postgres")).Len(); n != 2 {
		t.Errorf("the log has the client's server name %d times, want 2", n)
	}

	// Each database has its own limit.
	stage.Eventually(t, 10*time.Second, "the end of all clients", gone)
	one, err := byName(p, addr, "postgres", "east.example.com", "east", direct)
	if err != nil {
		t.Fatal(err)
	}
	two, err := byName(p, addr, "postgres", "b.west.example.com", "west", direct)
	if err != nil {
		t.Fatal(err)
	}
	check("postgres", "east.example.com", "east", direct, `FATAL: too many clients in database "postgres": the limit is 1`)

	// A database that comes or goes is that of who is there already.
	set.Databases["nearer"] = database("nearer", "main", "plain", "c.west.example.com")
	delete(set.Databases, "east")
	if _, err := px.Apply(set, nil); err != nil {
		t.Fatal(err)
	}
	if got := stage.Ask(one, "SELECT name FROM place"); got != "east plain" {
		t.Errorf("whose database is gone, and another one fits: %s", got)
	}
	if got := stage.Ask(two, "SELECT name FROM place"); got != "west postgres" {
		t.Errorf("whose database stays: %s", got)
	}
	delete(set.Databases, "plain")
	set.Listeners["main"].Hba = "host postgres ann 127.0.0.1/32 trust\n" // no database has to know her
	if _, err := px.Apply(set, nil); err != nil {
		t.Fatal(err)
	}
	if got := stage.Ask(one, "SELECT name FROM place"); !strings.Contains(got, "database postgres") {
		t.Errorf("whose database is gone: %s", got)
	}
	if got := stage.Ask(two, "SELECT name FROM place"); got != "west postgres" {
		t.Errorf("whose database stays: %s", got)
	}
	two.Close(context.Background())
	check("postgres", "", "east", noTLS, `FATAL: database "postgres" is not known to the proxy`)
	check("postgres", "east.example.com", "east", direct, `FATAL: database "postgres" is not known to the proxy`)
	check("postgres", "c.west.example.com", "east", direct, "east plain")
}
