package snapshot

import (
	"maps"
	"slices"

	"github.com/heliosproxy/heliosproxy/dataplane/backend"
	"github.com/heliosproxy/heliosproxy/pkg/passwords"
	"github.com/heliosproxy/heliosproxy/pkg/resource"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// Source is a place where passwords come from, and the resource that says so.
type Source struct {
	passwords.Source
	Kind        resource.Kind
	Name, Field string
}

// Sources are the places where passwords for servers that are connected to come from, in the order of what says so.
func (s *Snapshot) Sources() []Source { return s.sources }

func sources(set *resource.Set, primaries map[string]*heliosv1.Node) (all []Source) {
	add := func(kind resource.Kind, name, field string, x *heliosv1.PasswordSource) {
		for _, p := range resource.Passwords(x) {
			all = append(all, Source{p, kind, name, field})
		}
	}
	for _, cluster := range slices.Sorted(maps.Keys(primaries)) {
		add(resource.KindCluster, cluster, "passwords", set.Clusters[cluster].GetPasswords())
		add(resource.KindNode, primaries[cluster].GetName(), "passwords", primaries[cluster].GetPasswords())
	}
	for _, name := range slices.Sorted(maps.Keys(set.Users)) {
		add(resource.KindUser, name, "server_passwords", set.Users[name].GetServerPasswords())
	}
	return all
}

// elsewhere is what proves to node n who u is, nil if the configuration does not name the user: what is said for servers, or what is
// found where the user's, the node's and the cluster's passwords live, or else secret.
func (s *Snapshot) elsewhere(n *heliosv1.Node, u *user, secret *backend.Secret) *backend.Secret {
	if u != nil && u.said {
		return secret
	}
	from := s.links[n.GetName()].passwords
	if u != nil && u.passwords != nil {
		from = append([]*heliosv1.PasswordSource{u.passwords}, from...)
	}
	all := resource.Passwords(from...)
	if len(all) == 0 {
		return secret
	}
	if !all[len(all)-1].FallsOn() {
		secret = backend.NewSecret(secret.For, "") // is never come to
	}
	return backend.Elsewhere(s.machine.Passwords, all, secret)
}
