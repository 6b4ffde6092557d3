package resolve

import (
	"context"
	"strings"
	"testing"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/heliosproxy/heliosproxy/pkg/testkit/dnsserver"
)

// TestSerial asks a name server on loopback for serial numbers of zones.
func TestSerial(t *testing.T) {
	s := dnsserver.Start(t)
	s.Set("test", dnsserver.Host{Serial: 7})
	s.Set("inner.test", dnsserver.Host{Serial: 4294967295, TTL: 60})
	s.Set("long.test", dnsserver.Host{Serial: 8, Long: true})
	s.Set("db.inner.test", dnsserver.Host{Addresses: []string{"10.0.0.5"}, TTL: 60})
	s.Set("alias.inner.test", dnsserver.Host{Alias: "db.inner.test", TTL: 60})
	s.Set("broken.test", dnsserver.Host{Fails: true})
	s.Set("forged.test", dnsserver.Host{Serial: 9, Forged: true})
	s.Set("foreign", dnsserver.Host{TTL: 60})
	r := &Resolver{ResolvConf: s.ResolvConf(t, "search inner.test", "options timeout:10 attempts:1"), Hosts: write(t, "10.9.9.9 inner.test\n")}
	for _, tt := range []struct {
		zone string
		want uint32
		err  string // what it contains
	}{
		{"inner.test", 4294967295, ""},
		{"INNER.test.", 4294967295, ""},
		{"db.inner.test", 4294967295, ""},           // a host, and no zone
		{"alias.inner.test", 0, "no serial number"}, // it stands for another name, of which what is said may be of another zone
		{"a.b.inner.test", 4294967295, ""},          // there is no such name
		{"other.test", 7, ""},
		{"long.test", 8, ""},
		{"forged.test", 9, ""},
		{"broken.test", 0, "ServerFailure"},
		{"foreign", 0, "zone foreign: name server " + s.Addr + ": the answer has no serial number"}, // the search list does not count
		{"gone", 0, "no serial number"},
		{strings.Repeat("long.", 51) + "test", 0, "too long"},
	} {
		t.Run(tt.zone, func(t *testing.T) {
			got, err := r.Serial(context.Background(), tt.zone)
			if got != tt.want || (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
				t.Errorf("got %d, %v, want %d, %q", got, err, tt.want, tt.err)
			}
		})
	}
	if n := s.Queries("tcp"); n != 1 {
		t.Errorf("%d questions by TCP", n)
	}
}

// TestSerialServers: the next name server is asked where one does not answer, does not know, or does not say.
func TestSerialServers(t *testing.T) {
	silent, broken, mute := dnsserver.Start(t), dnsserver.Start(t), dnsserver.Start(t)
	silent.Set("test", dnsserver.Host{Silent: true})
	broken.Set("test", dnsserver.Host{Fails: true})
	for _, first := range []*dnsserver.Server{silent, broken, mute} {
		knows := dnsserver.Start(t)
		knows.Set("test", dnsserver.Host{Serial: 7})
		r := &Resolver{ResolvConf: write(t, "nameserver "+first.Addr+"\nnameserver "+knows.Addr+"\noptions timeout:1 attempts:1\n")}
		if got, err := r.Serial(context.Background(), "test"); got != 7 || err != nil {
			t.Errorf("got %d, %v", got, err)
		}
		if first.Queries("udp") != 1 {
			t.Error("the first one was not asked")
		}
	}
}

func TestWithin(t *testing.T) {
	for _, tt := range []struct {
		name, zone string
		want       bool
	}{
		{"a.test.", "a.test.", true},
		{"a.TEST.", "Test.", true},
		{"a.test.", ".", true},
		{"a.test.", "est.", false},
		{"a.test.", "b.test.", false},
		{"test.", "a.test.", false},
	} {
		if got := within(dnsmessage.MustNewName(tt.name), dnsmessage.MustNewName(tt.zone)); got != tt.want {
			t.Errorf("%s within %s: %t", tt.name, tt.zone, got)
		}
	}
}
