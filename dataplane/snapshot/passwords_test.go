package snapshot

import (
	"fmt"
	"testing"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/heliosproxy/heliosproxy/pkg/resource"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// elsewhere has passwords in several places: a passfile of the cluster, and a file of one user's.
func elsewhere() *resource.Set {
	set := example()
	set.Clusters["other"].Passwords = &heliosv1.PasswordSource{Passfile: "/pass"}
	set.Users["own"] = &heliosv1.User{Name: "own", Secret: secret("pw"), ServerPasswords: &heliosv1.PasswordSource{File: "/token"}}
	return set
}

func compile(t *testing.T, set *resource.Set) *Snapshot {
	t.Helper()
	s, err := Compile(set, 1)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestElsewhere keeps a pool where its passwords come from the same place after a reload, and renews it where they do not.
func TestElsewhere(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*resource.Set)
		renews []string // the users whose connections are of no more use
	}{
		{name: "nothing", change: func(*resource.Set) {}},
		{
			name: "another passfile", renews: []string{"clear", "empty", "nobody"},
			change: func(s *resource.Set) { s.Clusters["other"].Passwords.Passfile = "/another" },
		},
		{
			name: "none any more", renews: []string{"clear", "empty", "nobody"},
			change: func(s *resource.Set) { s.Clusters["other"].Passwords = nil },
		},
		{
			name: "the node has its own", renews: []string{"clear", "empty", "nobody"},
			change: func(s *resource.Set) {
				s.Nodes["n3"].Passwords = &heliosv1.PasswordSource{Command: []string{"c"}, Lifetime: durationpb.New(1)}
			},
		},
		{name: "a node that is not connected to has its own", change: func(s *resource.Set) { s.Nodes["n1"].Passwords = &heliosv1.PasswordSource{File: "/x"} }},
		{
			name: "what is behind the passfile", renews: []string{"clear"},
			change: func(s *resource.Set) { s.Users["clear"].Secret = secret("another") },
		},
		{name: "what is behind a file", change: func(s *resource.Set) { s.Users["own"].Secret = secret("another") }},
		{
			name: "another file", renews: []string{"own"},
			change: func(s *resource.Set) { s.Users["own"].ServerPasswords.File = "/another" },
		},
		{
			name: "a password that is said", renews: []string{"stored2"},
			change: func(s *resource.Set) { s.Users["stored2"].ServerPassword = secret("another") },
		},
	} {
		set := elsewhere()
		c.change(set)
		one, two := compile(t, elsewhere()), compile(t, set)
		var renewed []string
		for _, user := range []string{"clear", "empty", "nobody", "own", "stored2"} {
			a, _ := one.Route(Asked{Database: "shop"}, user)
			b, _ := two.Route(Asked{Database: "shop"}, user)
			if !a.Target.Same(b.Target) {
				renewed = append(renewed, user)
			}
		}
		if fmt.Sprint(renewed) != fmt.Sprint(c.renews) {
			t.Errorf("%s: renews %v, want %v", c.name, renewed, c.renews)
		}
	}
	// Users who share a pool share what is found; what is each one's own besides does not make them take turns.
	set := elsewhere()
	set.Users["alias2"] = &heliosv1.User{Name: "alias2", Secret: secret("another"), ServerUser: "app"}
	s := compile(t, set)
	a, _ := s.Route(Asked{Database: "shop"}, "alias")
	b, _ := s.Route(Asked{Database: "shop"}, "alias2")
	if !a.Target.Same(b.Target) {
		t.Error("two users with one name at the server renew each other's connections")
	}
}

// TestSources lists what has to be there on the machine.
func TestSources(t *testing.T) {
	set := elsewhere()
	set.Nodes["n3"].Passwords = &heliosv1.PasswordSource{Command: []string{"c"}}
	set.Nodes["n2"].Passwords = &heliosv1.PasswordSource{Command: []string{"standby"}}
	set.Clusters["headless"].Passwords = &heliosv1.PasswordSource{File: "/headless"}
	got := ""
	for _, s := range compile(t, set).Sources() {
		got += fmt.Sprintf("%s %s %s: %s\n", s.Kind, s.Name, s.Field, s.Source)
	}
	const want = "Cluster other passwords: passfile \"/pass\"\nNode n3 passwords: password command \"c\"\nUser own server_passwords: password file \"/token\"\n"
	if got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

// TestAsksElsewhere opens the connection that looks users up as all others: the password that is said for it goes before.
func TestAsksElsewhere(t *testing.T) {
	for said, finds := range map[string]bool{"": true, "pw": false} {
		set := elsewhere()
		set.Databases["shop"].AuthQuery = &heliosv1.AuthQuery{User: "asker", Password: secret(said)}
		q, ok := compile(t, set).Inquiry(Asked{Database: "shop"}, "somebody")
		if !ok || q.Target.Secret.Finds() != finds || q.Target.Secret.For != "asker" {
			t.Errorf("with password %q: finds %t, want %t", said, q.Target.Secret.Finds(), finds)
		}
	}
}
