package snapshot

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/heliosproxy/heliosproxy/dataplane/state/hosts"
	"github.com/heliosproxy/heliosproxy/pkg/resource"
	"github.com/heliosproxy/heliosproxy/pkg/scram"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

var update = flag.Bool("update", false, "write the golden file anew")

const (
	md5Hash  = "md553f48b7c4b76a86ce72276c5755f217d"
	verifier = "SCRAM-SHA-256$4096:QUJDREVGR0hJSktMTU5PUA==$QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUE=:QkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkI="
)

func secret(v string) *heliosv1.Secret { return &heliosv1.Secret{Value: v} }

// example has something of everything.
func example() *resource.Set {
	node := func(name, cluster string, role heliosv1.NodeRole, enabled *bool) *heliosv1.Node {
		return &heliosv1.Node{Name: name, Cluster: cluster, Host: name + ".example", Port: 5432, Role: role, Enabled: enabled}
	}
	const primary, standby = heliosv1.NodeRole_NODE_ROLE_PRIMARY, heliosv1.NodeRole_NODE_ROLE_STANDBY
	return &resource.Set{
		Clusters: map[string]*heliosv1.Cluster{"main": {Name: "main"}, "other": {Name: "other"}, "headless": {Name: "headless"}},
		Nodes: map[string]*heliosv1.Node{
			"n1": node("n1", "main", primary, nil), "n2": node("n2", "main", standby, nil), "n3": node("n3", "other", primary, proto.Bool(true)),
			"n4": node("n4", "headless", primary, proto.Bool(false)), "n5": node("n5", "headless", standby, nil),
		},
		PoolProfiles: map[string]*heliosv1.PoolProfile{
			"tx": {
				Name: "tx", Mode: heliosv1.PoolMode_POOL_MODE_TRANSACTION, MaxConnections: 20, IdleTimeout: durationpb.New(time.Minute),
				AcquireTimeout: durationpb.New(30 * time.Second), ConnectTimeout: durationpb.New(5 * time.Second),
			},
			"session": {Name: "session", Mode: heliosv1.PoolMode_POOL_MODE_SESSION, MaxConnections: 3},
		},
		Listeners: map[string]*heliosv1.Listener{
			"tcp":  {Name: "tcp", Address: "0.0.0.0:6432", Auth: heliosv1.AuthMethod_AUTH_METHOD_SCRAM},
			"unix": {Name: "unix", Address: "unix:/run/s", Auth: heliosv1.AuthMethod_AUTH_METHOD_TRUST},
			"none": {Name: "none", Address: "[::]:6432"},
			"asks": {Name: "asks", Address: "[::]:6433", Auth: heliosv1.AuthMethod_AUTH_METHOD_PROGRAM, Program: &heliosv1.Program{Command: []string{"check", "a"}}},
		},
		Databases: map[string]*heliosv1.Database{
			"*":     {Name: "*", Cluster: "main", PoolProfile: "tx"},
			"shop":  {Name: "shop", Cluster: "other", PoolProfile: "session", ServerName: "shop_v2"},
			"ghost": {Name: "ghost", Cluster: "headless", PoolProfile: "tx"},
		},
		Users: map[string]*heliosv1.User{
			"clear":      {Name: "clear", Secret: secret("pw")},
			"hashed":     {Name: "hashed", Secret: secret(md5Hash)},
			"stored":     {Name: "stored", Secret: secret(verifier)},
			"stored2":    {Name: "stored2", Secret: secret(verifier), ServerPassword: secret("server-pw")},
			"alias":      {Name: "alias", Secret: secret("pw"), ServerUser: "app"},
			"aliashash":  {Name: "aliashash", Secret: secret(md5Hash), ServerUser: "app"},
			"aliashash2": {Name: "aliashash2", Secret: secret(md5Hash), ServerUser: "app", ServerPassword: secret("server-pw")},
			"empty":      {Name: "empty"},
		},
		Limits: map[string]*heliosv1.Limits{"default": {Name: "default", MaxPreparedStatements: 8192, MaxPreparedPerServer: 100, MaxPreparedBytes: 64 << 20, MaxStatementBytes: 4 << 20}},
	}
}

// describe writes down what a snapshot says to those who use it.
func describe(s *Snapshot) string {
	var b strings.Builder
	s.Equip(Machine{})
	fmt.Fprintf(&b, "generation %d, limits %+v\n", s.Generation, s.Limits)
	for _, name := range slices.Sorted(maps.Keys(s.Listeners)) {
		l := s.Listeners[name]
		fmt.Fprintf(&b, "listener %s: %s, method %d, needs a user %v\n", l.Name, l.Address, l.Door.Method, l.Door.Method.NeedsUser())
		if l.Program != nil {
			fmt.Fprintf(&b, "  judged by %v within %s\n", l.Program.Command, l.Program.Timeout)
		}
	}
	var primaries []string
	s.Primaries(func(name string, at *hosts.Server) { primaries = append(primaries, name+" "+at.String()) })
	slices.Sort(primaries)
	fmt.Fprintf(&b, "primaries: %s\n", strings.Join(primaries, ", "))
	users := append(slices.Sorted(maps.Keys(s.users)), "nobody")
	for _, db := range []string{"anything", "shop", "ghost"} {
		r, ok := s.Route(Asked{Database: db}, "nobody")
		if !ok {
			fmt.Fprintf(&b, "database %s: known %v, no route\n", db, s.Database(Asked{Database: db}))
			continue
		}
		fmt.Fprintf(&b, "database %s: known %v, at %s %s:%d as %s, %+v, keeps %v, timeout %s, %d statements of %d bytes\n", db, s.Database(Asked{Database: db}),
			r.Target.Node, r.Target.Host, r.Target.Port, r.Target.Database, *r.Profile, r.Keeps, r.Target.Timeout, r.Target.MaxStatements, r.Target.MaxStatementBytes)
	}
	for _, name := range users {
		r, _ := s.Route(Asked{Database: "shop"}, name)
		opens := "?"
		for _, pw := range []string{"", "pw", "server-pw", md5Hash, verifier} {
			if r.Target.Secret.Is(pw) {
				opens = fmt.Sprintf("%q", pw)
			}
		}
		fmt.Fprintf(&b, "user %s: may log in %v, at the server %s with %s, which is %s's\n", name, s.User(name) != nil, r.Target.User, opens, r.Target.Secret.For)
	}
	return b.String()
}

// TestCompile compares what an example compiles to with what a person has approved of.
func TestCompile(t *testing.T) {
	s, err := Compile(example(), 7)
	if err != nil {
		t.Fatal(err)
	}
	got, golden := describe(s), filepath.Join("testdata", "example.txt")
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

// TestCompileIsPure compiles a set twice: it is not changed, and routes are interchangeable.
func TestCompileIsPure(t *testing.T) {
	set := example()
	one, err := Compile(set, 1)
	if err != nil {
		t.Fatal(err)
	}
	two, err := Compile(set, 2)
	if err != nil {
		t.Fatal(err)
	}
	for name, u := range example().Users {
		if !proto.Equal(u, set.Users[name]) {
			t.Errorf("user %s was changed", name)
		}
		a, _ := one.Route(Asked{Database: "shop"}, name)
		b, _ := two.Route(Asked{Database: "shop"}, name)
		if !a.Target.Same(b.Target) || *a.Profile != *b.Profile {
			t.Errorf("user %s: connections of one generation are of no use to the next", name)
		}
	}
}

// TestCompileRefuses names the object of what cannot be compiled.
func TestCompileRefuses(t *testing.T) {
	set := example()
	set.Databases["shop"].PoolProfile = "nowhere"
	if _, err := Compile(set, 1); err == nil || !strings.Contains(err.Error(), `Database "shop": there is no PoolProfile "nowhere"`) {
		t.Errorf("a profile that is not there: %v", err)
	}
	if !scram.IsVerifier(verifier) {
		t.Fatal("the example's verifier is none")
	}
}

// TestNoDatabase finds nothing where no database is configured.
func TestNoDatabase(t *testing.T) {
	set := example()
	delete(set.Databases, "*")
	s, err := Compile(set, 1)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := s.Route(Asked{Database: "anything"}, "clear"); ok || s.Database(Asked{Database: "anything"}) || !s.Database(Asked{Database: "shop"}) {
		t.Error("a database that nobody has configured is there")
	}
}
