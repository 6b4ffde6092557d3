package servers

import (
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/heliosproxy/heliosproxy/dataplane/assembly/stage"
	"github.com/heliosproxy/heliosproxy/pkg/resource"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/dnsserver"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/freeport"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgcluster"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// gateway is another address of a server: what comes to it goes there.
type gateway struct {
	l    net.Listener
	open atomic.Int32 // connections
}

func newGateway(t *testing.T, at string, server *pgcluster.Server) *gateway {
	t.Helper()
	l, err := net.Listen("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	g := &gateway{l: l}
	t.Cleanup(g.close)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			g.open.Add(1)
			go func() {
				defer g.open.Add(-1)
				defer c.Close()
				s, err := net.Dial("tcp", server.Addr())
				if err != nil {
					return
				}
				defer s.Close()
				go func() {
					_, _ = io.Copy(s, c)
					_ = s.(*net.TCPConn).CloseWrite()
				}()
				_, _ = io.Copy(c, s)
			}()
		}
	}()
	return g
}

func (g *gateway) close() { _ = g.l.Close() }

// await returns when a gateway has so many connections.
func (g *gateway) await(t *testing.T, n int32, what string) {
	t.Helper()
	for limit := time.Now().Add(20 * time.Second); g.open.Load() != n; {
		if time.Now().After(limit) {
			t.Fatalf("%s: %d connections, want %d", what, g.open.Load(), n)
		}
		<-time.After(5 * time.Millisecond)
	}
}

// named is a configuration whose node has such a host, which a name server on loopback knows.
func named(t *testing.T, dns *dnsserver.Server, server *pgcluster.Server, host string, port int) *resource.Set {
	set := stage.Config(server, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 3)
	set.Nodes["n1"].Host, set.Nodes["n1"].Port = host, uint32(port)
	set.PoolProfiles["default"].Listen = heliosv1.Listen_LISTEN_SHARED
	set.Resolvers = map[string]*heliosv1.Resolver{resource.ResolverName: {
		Name: resource.ResolverName, ResolvConf: dns.ResolvConf(t, "options timeout:2 attempts:1"), MaxTtl: durationpb.New(time.Hour), NoneTtl: durationpb.New(time.Second),
	}}
	return set
}

// TestNames follows a name to other addresses: when its time is over, and at once when nobody answers any more.
func TestNames(t *testing.T) {
	t.Parallel()
	pg, dns, port := pgcluster.Start(t, pgcluster.Options{}), dnsserver.Start(t), freeport.For(t)
	at := func(host string) string { return fmt.Sprintf("%s:%d", host, port) }
	one, two := newGateway(t, at("127.0.0.1"), pg.Primary), newGateway(t, at("127.0.0.2"), pg.Primary)
	dns.Set("db.test", dnsserver.Host{Addresses: []string{"127.0.0.1"}, TTL: 1})
	_, addr := stage.Start(t, named(t, dns, pg.Primary, "db.test", port))
	busy, idle := stage.Connect(t, addr, "postgres"), stage.Connect(t, addr, "postgres")
	stage.Want(t, busy, "BEGIN", "")
	stage.Want(t, idle, "SELECT 1", "1")
	stage.Want(t, stage.Connect(t, addr, "postgres"), "LISTEN moves", "")
	one.await(t, 3, "at the first address, the listener among them")

	dns.Set("db.test", dnsserver.Host{Addresses: []string{"127.0.0.2"}, TTL: 3600})
	one.await(t, 1, "when the time is over, what is free is closed")
	stage.Want(t, idle, "SELECT 2", "2")
	stage.Want(t, busy, "SELECT 3", "3")
	two.await(t, 2, "at the second address, with the listener")
	stage.Want(t, busy, "COMMIT", "")
	one.await(t, 0, "what was lent is closed when it comes back")

	// Nobody asks while an answer is good.
	asked := dns.Queries("udp")
	for range 3 {
		stage.Want(t, busy, "BEGIN", "")
		stage.Want(t, idle, "BEGIN", "")
		stage.Want(t, busy, "ROLLBACK", "")
		stage.Want(t, idle, "ROLLBACK", "")
	}
	if n := dns.Queries("udp"); n != asked {
		t.Errorf("%d questions while the answer is good", n-asked)
	}
	c := stage.ConsoleAt(t, addr)
	if hosts := stage.Rows(t, c, "SHOW DNS_HOSTS"); len(hosts) != 1 || hosts[0]["hostname"] != "db.test" || hosts[0]["addrs"] != "127.0.0.2" || len(hosts[0]["ttl"]) != 4 {
		t.Errorf("SHOW DNS_HOSTS: %v", hosts)
	}

	// The address fails long before the answer's time is over.
	two.close()
	dns.Set("db.test", dnsserver.Host{Addresses: []string{"127.0.0.1"}, TTL: 3600})
	if out := stage.Tell(c, "RECONNECT"); out != "" {
		t.Fatal(out)
	}
	for _, l := range []string{"4", "5"} {
		stage.Want(t, idle, "SELECT "+l, l)
	}
	if one.open.Load() == 0 {
		t.Error("after the failure nobody is at the first address")
	}

	// With nobody to ask the last answer counts.
	dns.Set("db.test", dnsserver.Host{Fails: true})
	one.close()
	if out := stage.Tell(c, "RECONNECT"); out != "" {
		t.Fatal(out)
	}
	if got := once(addr, "SELECT 6"); !strings.Contains(got, "refused") {
		t.Errorf("with nobody there: %s", got)
	}
	newGateway(t, at("127.0.0.1"), pg.Primary)
	for limit := time.Now().Add(20 * time.Second); once(addr, "SELECT 7") != "7"; {
		if time.Now().After(limit) {
			t.Fatal("the last address is not used on")
		}
	}
}

// TestZones follows a name whose answer is good for long as soon as its zone has another serial number, and not before.
func TestZones(t *testing.T) {
	t.Parallel()
	pg, dns, port := pgcluster.Start(t, pgcluster.Options{}), dnsserver.Start(t), freeport.For(t)
	one := newGateway(t, fmt.Sprintf("127.0.0.1:%d", port), pg.Primary)
	two := newGateway(t, fmt.Sprintf("127.0.0.2:%d", port), pg.Primary)
	dns.Set("db.zone.test", dnsserver.Host{Addresses: []string{"127.0.0.1"}, TTL: 3600})
	dns.Set("zone.test", dnsserver.Host{Serial: 1})
	set := named(t, dns, pg.Primary, "db.zone.test", port)
	set.Resolvers[resource.ResolverName].ZoneCheckPeriod = durationpb.New(time.Second)
	_, addr := stage.Start(t, set)
	c, console := stage.Connect(t, addr, "postgres"), stage.ConsoleAt(t, addr)
	stage.Want(t, c, "SELECT 1", "1")
	one.await(t, 1, "at the first address")
	asked := func(name string) (n int) {
		for _, x := range dns.Asked() {
			if x == name {
				n++
			}
		}
		return n
	}
	serial := func(want string) func() bool {
		return func() bool {
			zones := stage.Rows(t, console, "SHOW DNS_ZONES")
			return len(zones) == 1 && zones[0]["zonename"] == "zone.test" && zones[0]["serial"] == want && zones[0]["count"] == "1"
		}
	}
	looks := func(what string) {
		n := asked("zone.test") + 2
		stage.Eventually(t, 20*time.Second, what, func() bool { return asked("zone.test") >= n })
	}
	stage.Eventually(t, 20*time.Second, "the serial number is known", serial("1"))
	looks("the name was asked for once more then")
	names := asked("db.zone.test")

	dns.Set("db.zone.test", dnsserver.Host{Addresses: []string{"127.0.0.2"}, TTL: 3600})
	looks("the serial number is the same")
	if n := asked("db.zone.test") - names; n != 0 || one.open.Load() != 1 {
		t.Errorf("while the serial number is the same: %d questions, %d connections", n, one.open.Load())
	}

	dns.Set("zone.test", dnsserver.Host{Serial: 2})
	one.await(t, 0, "with another serial number, what is free is closed")
	stage.Want(t, c, "SELECT 2", "2")
	two.await(t, 1, "at the second address")
	stage.Eventually(t, 20*time.Second, "the other serial number is shown", serial("2"))
	for _, l := range stage.Rows(t, console, "SHOW LISTS") {
		if l["list"] == "dns_zones" && l["items"] != "1" {
			t.Errorf("SHOW LISTS: %s zones", l["items"])
		}
	}
}

// once asks on a connection for it alone.
func once(addr, sql string) string {
	c, err := stage.TryConnect(addr, "postgres")
	if err != nil {
		return err.Error()
	}
	defer c.Close(context.Background())
	return stage.Ask(c, sql)
}

// TestHosts connects to one of several hosts, by the name that its certificate has.
func TestHosts(t *testing.T) {
	t.Parallel()
	pg, dns, port := pgcluster.Start(t, pgcluster.Options{}), dnsserver.Start(t), freeport.For(t)
	p := stage.NewPKI(t)
	pair := p.Server("db.test")
	pg.Primary.SpeakTLS(t, pair.Cert, pair.Key, nil)
	six := newGateway(t, fmt.Sprintf("[::1]:%d", port), pg.Primary)
	dns.Set("db.test", dnsserver.Host{Addresses: []string{"::1"}, TTL: 60})
	dns.Set("other.test", dnsserver.Host{Alias: "db.test", TTL: 60})
	for _, tt := range []struct{ host, want string }{
		{"127.0.0.3:1,gone.test,db.test", "1"},
		{"other.test", `does not match host name "other.test"`},
		{fmt.Sprintf("[::1]:%d", port), `does not match host name "::1"`},
		{"gone.test,gone.test:1", "no such host"},
	} {
		set := named(t, dns, pg.Primary, tt.host, port)
		set.Clusters["main"].Tls = &heliosv1.ServerTLS{Mode: heliosv1.SSLMode_SSL_MODE_VERIFY_FULL, CaFile: p.CA}
		_, addr := stage.Start(t, set)
		if got := once(addr, "SELECT 1"); !strings.Contains(got, tt.want) {
			t.Errorf("%s: %s; want %s", tt.host, got, tt.want)
		}
	}
	six.close()
}
