package access

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/heliosproxy/heliosproxy/dataplane/assembly/stage"
	"github.com/heliosproxy/heliosproxy/pkg/pgmd5"
	"github.com/heliosproxy/heliosproxy/pkg/scram"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgcluster"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgscript"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// TestAuthentication logs in with every method and every form of secret, at servers that ask for a password.
func TestAuthentication(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{HBA: []string{"host all all 127.0.0.1/32 scram-sha-256"}})
	pg.Primary.CreateRole(t, "ann", "ann's", "scram-sha-256")
	keys, _ := scram.NewKeys("ann's")
	for _, c := range []struct {
		method   heliosv1.AuthMethod
		secret   string
		server   string // server_password
		password string
		code     string // of the refusal
	}{
		{heliosv1.AuthMethod_AUTH_METHOD_SCRAM, "ann's", "", "ann's", ""},
		{heliosv1.AuthMethod_AUTH_METHOD_SCRAM, keys.String(), "ann's", "ann's", ""},
		{heliosv1.AuthMethod_AUTH_METHOD_SCRAM, keys.String(), "", "ann's", "28P01"}, // cannot open the server
		{heliosv1.AuthMethod_AUTH_METHOD_SCRAM, "ann's", "", "bob's", "28P01"},
		{heliosv1.AuthMethod_AUTH_METHOD_SCRAM, pgmd5.Hash("ann's", "ann"), "ann's", "ann's", "28P01"}, // nothing that SCRAM could use
		{heliosv1.AuthMethod_AUTH_METHOD_MD5, "ann's", "", "ann's", ""},
		{heliosv1.AuthMethod_AUTH_METHOD_MD5, pgmd5.Hash("ann's", "ann"), "ann's", "ann's", ""},
		{heliosv1.AuthMethod_AUTH_METHOD_MD5, keys.String(), "ann's", "ann's", ""},
		{heliosv1.AuthMethod_AUTH_METHOD_MD5, "ann's", "", "bob's", "28P01"},
		{heliosv1.AuthMethod_AUTH_METHOD_PASSWORD, "ann's", "", "ann's", ""},
		{heliosv1.AuthMethod_AUTH_METHOD_PASSWORD, pgmd5.Hash("ann's", "ann"), "ann's", "ann's", ""},
		{heliosv1.AuthMethod_AUTH_METHOD_PASSWORD, keys.String(), "ann's", "ann's", ""},
		{heliosv1.AuthMethod_AUTH_METHOD_PASSWORD, keys.String(), "ann's", "bob's", "28P01"},
		{heliosv1.AuthMethod_AUTH_METHOD_TRUST, "ann's", "", "", ""},
		{heliosv1.AuthMethod_AUTH_METHOD_UNSPECIFIED, "ann's", "", "ann's", ""},
		{heliosv1.AuthMethod_AUTH_METHOD_UNSPECIFIED, "ann's", "", "", "28P01"},
	} {
		t.Run(fmt.Sprintf("%s/%.3s/%s", c.method, c.secret, c.password), func(t *testing.T) {
			set := stage.Config(pg.Primary, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 2)
			set.Listeners["main"].Auth = c.method
			set.Users["ann"] = &heliosv1.User{Name: "ann", Secret: stage.Secret(c.secret), ServerPassword: stage.Secret(c.server)}
			_, addr := stage.Start(t, set)
			conn, err := stage.TryConnect(addr, "ann", "password", c.password)
			if c.code != "" {
				var pe *pgconn.PgError
				if !stage.AsPg(err, &pe) || pe.Code != c.code {
					t.Fatalf("%v, want %s", err, c.code)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close(context.Background())
			stage.Want(t, conn, "SELECT current_user", "ann")
			if c.method != heliosv1.AuthMethod_AUTH_METHOD_TRUST {
				_, err := stage.TryConnect(addr, "eve", "password", c.password)
				var pe *pgconn.PgError
				if !stage.AsPg(err, &pe) || pe.Code != "28P01" || pe.Message != `password authentication failed for user "eve"` {
					t.Errorf("a user that is not there: %v", err)
				}
			}
		})
	}
}

// TestServerAuthentication logs in at servers in every way they ask for.
func TestServerAuthentication(t *testing.T) {
	t.Parallel()
	for method, encryption := range map[string]string{"password": "scram-sha-256", "md5": "md5", "scram-sha-256": "scram-sha-256", "trust": "md5"} {
		pg := pgcluster.Start(t, pgcluster.Options{HBA: []string{"host all all 127.0.0.1/32 " + method}})
		pg.Primary.CreateRole(t, "ann", "right", encryption)
		for password, code := range map[string]string{"right": "", "wrong": "28P01", "": "28P01"} {
			if method == "trust" {
				code = ""
			}
			set := stage.Config(pg.Primary, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 2)
			set.Users["app"] = &heliosv1.User{Name: "app", ServerUser: "ann", ServerPassword: stage.Secret(password)}
			_, addr := stage.Start(t, set)
			c, err := stage.TryConnect(addr, "app")
			var pe *pgconn.PgError
			switch {
			case code == "" && err != nil:
				t.Errorf("%s, password %q: %v", method, password, err)
			case code == "":
				stage.Want(t, c, "SELECT current_user", "ann")
				c.Close(context.Background())
			case !stage.AsPg(err, &pe) || pe.Code != code:
				t.Errorf("%s, password %q: %v, want %s", method, password, err, code)
			case password == "" && !strings.Contains(pe.Message, "set server_password for app"):
				t.Errorf("%s, no password: %s", method, pe.Message)
			}
		}
	}
}

// TestServerMethod logs in at servers that ask for what the proxy does not have, or cannot prove themselves.
func TestServerMethod(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{})
	for what, ask := range map[string][]byte{
		"method 7":                 pgscript.Auth(7),
		"no SASL mechanism":        pgscript.AuthSASL("FANCY-1"),
		"before it began":          pgscript.Auth(11, []byte("r=x,s=eA==,i=1")),
		"ends before it began":     pgscript.Auth(12, []byte("v=x")),
		"malformed authentication": pgscript.Frame('R', []byte{0}),
	} {
		fake := pgscript.Serve(t, func(c *pgscript.Conn) error {
			if _, err := c.ReceiveOpening(); err != nil {
				return err
			}
			if err := c.Send(ask); err != nil {
				return err
			}
			return c.ExpectEOF()
		})
		set := stage.Config(pg.Primary, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 1)
		set.Users["postgres"] = &heliosv1.User{Name: "postgres", Secret: stage.Secret("x")}
		set.Clusters["main"].Tls = &heliosv1.ServerTLS{Mode: heliosv1.SSLMode_SSL_MODE_DISABLE}
		host, port := stage.Split(fake.Addr())
		set.Nodes["n1"].Host = host
		fmt.Sscan(port, &set.Nodes["n1"].Port)
		_, addr := stage.Start(t, set)
		_, err := stage.TryConnect(addr, "postgres", "password", "x")
		var pe *pgconn.PgError
		if !stage.AsPg(err, &pe) || pe.Code != "28000" || !strings.Contains(pe.Message, what) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// TestUnknownDatabase connects to a database that the configuration does not have.
func TestUnknownDatabase(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{})
	set := stage.Config(pg.Primary, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 2)
	set.Databases = map[string]*heliosv1.Database{"shop": {Name: "shop", Cluster: "main", PoolProfile: "default", ServerName: "postgres"}}
	_, addr := stage.Start(t, set)
	_, err := stage.TryConnect(addr, "postgres")
	var pe *pgconn.PgError
	if !stage.AsPg(err, &pe) || pe.Code != "3D000" {
		t.Errorf("%v, want 3D000", err)
	}
	c, err := pgconn.Connect(context.Background(), "postgres://postgres@"+addr+"/shop?sslmode=disable")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(context.Background())
	stage.Want(t, c, "SELECT current_database()", "postgres")
}

// TestProtocolVersion lets a client speak the newest version that the server behind speaks too, from when that is known.
func TestProtocolVersion(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{})
	length := func(addr string) int {
		cfg, err := pgconn.ParseConfig(fmt.Sprintf("postgres://postgres@%s/postgres?sslmode=disable&max_protocol_version=3.2", addr))
		if err != nil {
			t.Fatal(err)
		}
		c, err := pgconn.ConnectConfig(context.Background(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close(context.Background())
		if err := c.CancelRequest(context.Background()); err != nil {
			t.Errorf("cancel: %v", err)
		}
		return len(c.SecretKey())
	}
	direct := length(pg.Primary.Addr())
	for _, mode := range []heliosv1.PoolMode{heliosv1.PoolMode_POOL_MODE_SESSION, heliosv1.PoolMode_POOL_MODE_TRANSACTION} {
		_, addr := stage.Start(t, stage.Config(pg.Primary, mode, 2))
		if got := length(addr); got != 32 {
			t.Errorf("%v: a key of %d bytes while the server is not known", mode, got)
		}
		if got := length(addr); got != direct {
			t.Errorf("%v: a key of %d bytes, directly %d", mode, got, direct)
		}
	}
}

// TestPasswordAtOnce logs in a client that sends its password together with its first packet.
func TestPasswordAtOnce(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{})
	set := stage.Config(pg.Primary, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 1)
	set.Listeners["main"].Auth = heliosv1.AuthMethod_AUTH_METHOD_PASSWORD
	set.Users["postgres"] = &heliosv1.User{Name: "postgres", Secret: stage.Secret("right")}
	_, addr := stage.Start(t, set)
	for password, want := range map[string]byte{"right": 'Z', "wrong": 'E'} {
		c := pgscript.Dial(t, "tcp", addr)
		c.Send(append(pgscript.Startup(pgscript.Version30, "user", "postgres", "database", "postgres"), pgscript.Frame('p', []byte(password+"\x00"))...))
		if got := c.Until("ZE"); got[len(got)-1].Type != want {
			t.Errorf("%s: %v", password, got)
		}
		c.Close()
	}
}
