package resolve

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/heliosproxy/heliosproxy/pkg/testkit/dnsserver"
)

// texts are the addresses of an answer.
func texts(a Answer) []string {
	var all []string
	for _, ip := range a.Addresses {
		all = append(all, ip.String())
	}
	return all
}

func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestLookup asks a name server on loopback.
func TestLookup(t *testing.T) {
	s := dnsserver.Start(t)
	s.Set("four.test", dnsserver.Host{Addresses: []string{"10.0.0.1", "10.0.0.2"}, TTL: 60})
	s.Set("six.test", dnsserver.Host{Addresses: []string{"2001:db8::1"}, TTL: 60})
	s.Set("both.test", dnsserver.Host{Addresses: []string{"2001:db8::1", "10.0.0.1"}, TTL: 60})
	s.Set("alias.test", dnsserver.Host{Alias: "four.test", TTL: 5})
	s.Set("circle.test", dnsserver.Host{Alias: "circle.test", TTL: 5})
	s.Set("long.test", dnsserver.Host{Addresses: []string{"10.0.0.3"}, TTL: 60, Long: true})
	s.Set("broken.test", dnsserver.Host{Fails: true})
	s.Set("nothing.test", dnsserver.Host{TTL: 60})
	s.Set("forged.test", dnsserver.Host{Addresses: []string{"10.0.0.4"}, TTL: 60, Forged: true})
	s.Set("db.inner.test", dnsserver.Host{Addresses: []string{"10.0.0.5"}, TTL: 60})
	s.Set("a.b.inner.test", dnsserver.Host{Addresses: []string{"10.0.0.6"}, TTL: 60})
	s.Set("listed.test", dnsserver.Host{Addresses: []string{"10.0.0.7"}, TTL: 60})
	r := &Resolver{
		ResolvConf: s.ResolvConf(t, "search first.test inner.test", "options ndots:1 timeout:10 attempts:1"),
		Hosts:      write(t, "10.9.9.9 listed.test listed # a comment\n::9 listed\n"),
	}
	for _, tt := range []struct {
		host string
		want string
		ttl  time.Duration
		err  string // what it contains
		name string // in full
	}{
		{"four.test", "10.0.0.1 10.0.0.2", time.Minute, "", "four.test."},
		{"FOUR.test.", "10.0.0.1 10.0.0.2", time.Minute, "", "FOUR.test."},
		{"six.test", "2001:db8::1", time.Minute, "", "six.test."},
		{"both.test", "10.0.0.1 2001:db8::1", time.Minute, "", "both.test."}, // IPv4 first
		{"alias.test", "10.0.0.1 10.0.0.2", 5 * time.Second, "", "alias.test."},
		{"circle.test.", "", 0, "names stand for each other", ""},
		{"long.test", "10.0.0.3", time.Minute, "", "long.test."},
		{"broken.test.", "", 0, "ServerFailure", ""},
		{"nothing.test", "", 0, "no such host", ""},
		{"gone.test", "", 0, "no such host", ""},
		{"forged.test", "10.0.0.4", time.Minute, "", "forged.test."},
		{"db", "10.0.0.5", time.Minute, "", "db.inner.test."}, // by the search list
		{"a.b", "10.0.0.6", time.Minute, "", "a.b.inner.test."},
		{"listed.test", "10.9.9.9", Always, "", ""}, // the file goes first
		{"listed", "10.9.9.9 ::9", Always, "", ""},
		{"localhost", "127.0.0.1 ::1", Always, "", ""},
		{strings.Repeat("long.", 50) + "test", "", 0, "no such host", ""},
	} {
		t.Run(tt.host, func(t *testing.T) {
			a, err := r.Lookup(context.Background(), tt.host)
			if got := strings.Join(texts(a), " "); got != tt.want || err == nil && a.TTL != tt.ttl || a.Name != tt.name {
				t.Errorf("%q: got %s for %s, want %q: %s for %s", a.Name, got, a.TTL, tt.name, tt.want, tt.ttl)
			}
			if (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
				t.Errorf("error %v, want %q", err, tt.err)
			}
			if errors.Is(err, ErrNone) != (tt.err == "no such host") {
				t.Errorf("%v: is it said that there is no such host? %v", err, errors.Is(err, ErrNone))
			}
		})
	}
	if n := s.Queries("tcp"); n != 2 { // A and AAAA of the long one
		t.Errorf("%d questions by TCP", n)
	}
}

// TestServers: the next name server is asked where one does not answer, or does not know.
func TestServers(t *testing.T) {
	silent, broken, knows := dnsserver.Start(t), dnsserver.Start(t), dnsserver.Start(t)
	silent.Set("db.test", dnsserver.Host{Silent: true})
	broken.Set("db.test", dnsserver.Host{Fails: true})
	knows.Set("db.test", dnsserver.Host{Addresses: []string{"10.0.0.1"}, TTL: 60})
	r := &Resolver{ResolvConf: write(t, "nameserver "+silent.Addr+"\nnameserver "+broken.Addr+"\nnameserver "+knows.Addr+"\noptions timeout:1 attempts:1\n")}
	a, err := r.Lookup(context.Background(), "db.test")
	if err != nil || len(a.Addresses) != 1 {
		t.Errorf("got %v, %v", a, err)
	}
	knows.Set("db.test", dnsserver.Host{Fails: true})
	if _, err := r.Lookup(context.Background(), "db.test"); err == nil || errors.Is(err, ErrNone) {
		t.Errorf("nobody knows: %v", err)
	}
	ctx, stop := context.WithCancel(context.Background())
	stop()
	if _, err := r.Lookup(ctx, "db.test"); err == nil || errors.Is(err, ErrNone) {
		t.Errorf("nobody waits: %v", err)
	}
}

// TestConf reads a resolv.conf.
func TestConf(t *testing.T) {
	c := readConf(write(t, `# a comment
nameserver 10.0.0.1
nameserver ::1 ; another
nameserver nonsense
nameserver 10.0.0.3
nameserver 10.0.0.4
domain one.test
search two.test three.test.
options ndots:99 timeout:0 attempts:9 use-vc unknown rotate
`))
	want := conf{
		servers: []string{"10.0.0.1:53", "[::1]:53", "10.0.0.3:53"}, search: []string{"two.test.", "three.test."},
		ndots: 15, timeout: time.Second, attempts: 5, tcp: true,
	}
	if !slices.Equal(c.servers, want.servers) || !slices.Equal(c.search, want.search) || c.ndots != want.ndots || c.timeout != want.timeout || c.attempts != want.attempts || c.tcp != want.tcp {
		t.Errorf("got %+v, want %+v", *c, want)
	}
	c = readConf(filepath.Join(t.TempDir(), "none"))
	if !slices.Equal(c.servers, []string{"127.0.0.1:53"}) || c.ndots != 1 || c.timeout != 5*time.Second || c.attempts != 2 {
		t.Errorf("without a file: %+v", *c)
	}
	c = &conf{search: []string{"x."}, ndots: 2}
	for host, want := range map[string][]string{"a": {"a.x.", "a."}, "a.b": {"a.b.x.", "a.b."}, "a.b.c": {"a.b.c.", "a.b.c.x."}, "a.": {"a."}} {
		if got := c.names(host); !slices.Equal(got, want) {
			t.Errorf("%s: got %v, want %v", host, got, want)
		}
	}
}
