package snapshot

import (
	"strings"
	"testing"

	"github.com/heliosproxy/heliosproxy/pkg/resource"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// TestChoose gives clients their database by the name that they ask for and the host name by which they come.
func TestChoose(t *testing.T) {
	set := example()
	db := func(name, known string, servers ...string) {
		set.Databases[name] = &heliosv1.Database{Name: name, KnownAs: known, ServerNames: servers, Cluster: "main", PoolProfile: "tx", MaxClients: uint32(len(set.Databases)) + 1}
	}
	set.Databases = map[string]*heliosv1.Database{}
	db("plain", "shop")
	db("exact", "shop", "a.example.com", "B.Example.com")
	db("wild", "shop", "*.example.com", "*.b.example.com")
	db("bound", "", "a.example.com")
	db("any", "*")
	db("any at c", "*", "c.example.com")
	s := compile(t, set)
	for _, c := range []struct{ database, server, want, by string }{
		{"shop", "", "plain", ""},
		{"shop", "a.example.org", "plain", ""},
		{"shop", "example.com", "plain", ""},
		{"shop", "a.example.com", "exact", "a.example.com"},
		{"shop", "b.example.com", "exact", "b.example.com"},
		{"shop", "c.example.com", "wild", "*.example.com"},
		{"shop", "c.b.example.com", "wild", "*.b.example.com"},
		{"shop", "c.a.example.com", "plain", ""},
		{"shop", "localhost", "plain", ""},
		{"bound", "a.example.com", "bound", "a.example.com"},
		{"bound", "", "any", ""},
		{"bound", "b.example.com", "any", ""},
		{"bound", "c.example.com", "any at c", "c.example.com"},
		{"plain", "a.example.com", "any", ""},
		{"exact", "", "any", ""},
	} {
		asked := Asked{c.database, c.server}
		r, ok := s.Route(asked, "clear")
		if !ok || r.Counts.Resource != c.want || r.Counts.Name != c.database || r.Alias.Server != c.by || r.Target.Database != c.database {
			t.Errorf("%q at %q: %+v at %s by %q; want %q by %q", c.database, c.server, r.Counts, r.Target.Database, r.Alias.Server, c.want, c.by)
		}
		if again, ok := s.Route(Asked{r.Alias.Database, r.Alias.Server}, "clear"); !ok || again.Counts != r.Counts {
			t.Errorf("%q at %q: its pool is found by %+v, which leads to %+v", c.database, c.server, r.Alias, again.Counts)
		}
		if got := s.Bounds(asked, "clear").Database; got != int(set.Databases[c.want].GetMaxClients()) {
			t.Errorf("%q at %q: the limit is %d", c.database, c.server, got)
		}
	}
	delete(set.Databases, "any")
	delete(set.Databases, "plain")
	fewer := compile(t, set)
	for _, asked := range []Asked{{"shop", ""}, {"shop", "a.example.org"}, {"bound", "b.example.com"}, {"other", ""}} {
		if fewer.Database(asked) {
			t.Errorf("%+v: a database that nobody has configured is there", asked)
		}
	}
	if !fewer.Lacks(s) || s.Lacks(fewer) {
		t.Error("it is not seen which databases are gone")
	}
	if !fewer.Database(Asked{resource.AnyDatabase, "c.example.com"}) {
		t.Error("any database at a host name is not there")
	}
}

// TestAuthQueryByServerName looks users up where the database leads that a client gets.
func TestAuthQueryByServerName(t *testing.T) {
	set := example()
	set.Databases["shop2"] = &heliosv1.Database{
		Name: "shop2", KnownAs: "shop", ServerNames: []string{"two.example.com"}, Cluster: "main", PoolProfile: "tx", AuthQuery: &heliosv1.AuthQuery{User: "asker"},
	}
	s := compile(t, set)
	if _, ok := s.Inquiry(Asked{Database: "shop"}, "somebody"); ok {
		t.Error("users are looked up for a database that does not say so")
	}
	q, ok := s.Inquiry(Asked{"shop", "two.example.com"}, "somebody")
	if !ok || q.Place.Cluster != "main" || q.Place.Database != "shop" || q.Target.Node != "n1" {
		t.Errorf("asked is %+v at %+v", q.Place, q.Target)
	}
	if o, ok := s.Owner(Asked{"shop", "two.example.com"}, "somebody"); !ok || o.Cluster != "main" {
		t.Errorf("the key is of %+v", o)
	}
}

// TestReady has connections opened before a client has come where all clients are one user at the server, and for nobody else.
func TestReady(t *testing.T) {
	set := example()
	set.PoolProfiles["kept"] = &heliosv1.PoolProfile{Name: "kept", Mode: heliosv1.PoolMode_POOL_MODE_TRANSACTION, MaxConnections: 3, MinConnections: 2}
	for _, d := range []*heliosv1.Database{
		{Name: "*", Cluster: "main", PoolProfile: "kept", ServerUser: "app"},
		{Name: "each", Cluster: "main", PoolProfile: "kept"},
		{Name: "forced", Cluster: "main", PoolProfile: "kept", ServerUser: "app"},
		{Name: "bound", Cluster: "main", PoolProfile: "kept", ServerUser: "other", ServerNames: []string{"a.example.com"}},
		{Name: "none", Cluster: "main", PoolProfile: "tx", ServerUser: "app"},
		{Name: "headless", Cluster: "headless", PoolProfile: "kept", ServerUser: "app"},
	} {
		set.Databases[d.GetName()] = d
	}
	var got []string
	for asked, user := range compile(t, set).Ready {
		got = append(got, asked.Database+"/"+asked.Server+"/"+user)
	}
	if want := "bound/a.example.com/other forced//app"; strings.Join(got, " ") != want {
		t.Errorf("ready are %v, want %s", got, want)
	}
}
