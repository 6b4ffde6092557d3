package resource_test

import (
	"testing"

	"github.com/heliosproxy/heliosproxy/pkg/resource"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// TestKnownTwice refuses databases that nothing tells apart.
func TestKnownTwice(t *testing.T) {
	db := func(name, known string, servers ...string) *heliosv1.Database {
		return &heliosv1.Database{Name: name, KnownAs: known, ServerNames: servers, Cluster: "c", PoolProfile: "p"}
	}
	for _, c := range []struct {
		name string
		all  []*heliosv1.Database
		want string // empty: valid
	}{
		{"told apart", []*heliosv1.Database{db("a", "shop", "a.example.com"), db("b", "shop", "b.example.com"), db("shop", "")}, ""},
		{"an exact name and one that fits it", []*heliosv1.Database{db("a", "shop", "*.example.com"), db("b", "shop", "b.example.com")}, ""},
		{"one host name, two names", []*heliosv1.Database{db("a", "", "example.com"), db("b", "", "example.com")}, ""},
		{"any", []*heliosv1.Database{db("*", ""), db("a", "*", "a.example.com")}, ""},
		{"known by the other's name", []*heliosv1.Database{db("a", "shop"), db("shop", "")}, `Database "shop": known_as: database "a" is known as "shop" too, and neither has server_names to tell them apart`},
		{
			"one host name",
			[]*heliosv1.Database{db("a", "shop", "x.example.com", "Example.com"), db("b", "shop", "example.COM.")},
			`Database "b": server_names: database "a" is known as "shop" at "example.COM." too`,
		},
		{
			"one wildcard",
			[]*heliosv1.Database{db("a", "shop", "*.example.com"), db("b", "shop", "*.example.com")},
			`Database "b": server_names: database "a" is known as "shop" at "*.example.com" too`,
		},
		{"twice in one", []*heliosv1.Database{db("a", "", "x", "X")}, `Database "a": server_names: "X" is there twice`},
	} {
		s := valid()
		s.Databases = map[string]*heliosv1.Database{}
		for _, d := range c.all {
			s.Databases[d.GetName()] = d
		}
		got := ""
		if err := s.Validate(); err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

func TestServerName(t *testing.T) {
	for name, want := range map[string][2]string{
		"Shop.Example.COM.": {"shop.example.com", "*.example.com"}, "shop.example.com": {"shop.example.com", "*.example.com"},
		"a.b.example.com": {"a.b.example.com", "*.b.example.com"}, "localhost": {"localhost", ""}, "": {"", ""},
	} {
		folded := resource.FoldServerName(name)
		if got := [2]string{folded, resource.WildcardOf(folded)}; got != want {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
}
