package assembly

import (
	"context"
	"maps"
	"slices"

	"go.uber.org/zap"

	"github.com/heliosproxy/heliosproxy/dataplane/assembly/certs"
	"github.com/heliosproxy/heliosproxy/dataplane/lookup"
	"github.com/heliosproxy/heliosproxy/dataplane/reactor"
	"github.com/heliosproxy/heliosproxy/dataplane/snapshot"
	"github.com/heliosproxy/heliosproxy/dataplane/state/gate"
	"github.com/heliosproxy/heliosproxy/dataplane/state/keyring"
	"github.com/heliosproxy/heliosproxy/dataplane/state/users"
	"github.com/heliosproxy/heliosproxy/pkg/passwords"
	"github.com/heliosproxy/heliosproxy/pkg/resource"
)

// anyDatabase is asked where clients may want any: each server has it.
const anyDatabase = "postgres"

// Inquired is what came of looking a user up in one place.
type Inquired struct {
	Node, Database, As string
	Guessed            bool  // the configuration does not say in which database
	Err                error // nil: it has answered
}

// TryInquiries asks each place where the configuration looks users up once for name, as a proxy does, and hangs up. Nodes for which spared
// is true are not asked. The error is for a configuration that cannot be used.
func TryInquiries(ctx context.Context, set *resource.Set, name string, spared func(node string) bool) (all []Inquired, err error) {
	bare := *set
	bare.Listeners = nil // nobody is let in
	snap, err := snapshot.Compile(&bare, 1)
	if err != nil {
		return nil, err
	}
	log := zap.NewNop()
	secrets := certs.New(log, 0)
	defer secrets.Close()
	loaded, faults := secrets.Load(snap)
	if len(faults) > 0 {
		return nil, refusal(0, faults...)
	}
	finder, names := passwords.New(), newResolver(log, func() {})
	defer finder.Close()
	defer names.Close()
	names.use(snap.Resolver)
	group, err := reactor.NewGroup(1, reactor.Options{})
	if err != nil {
		return nil, err
	}
	group.Start()
	defer group.Stop()
	snap.Equip(snapshot.Machine{Links: loaded.Links, Ring: keyring.New(1), Users: users.NewBook(1), Passwords: finder, Hosts: names.Book})
	done := map[users.Place]bool{}
	for _, of := range slices.Sorted(maps.Keys(set.Databases)) {
		d := set.Databases[of]
		servers := d.GetServerNames()
		if len(servers) == 0 {
			servers = []string{""}
		}
		for _, server := range servers {
			q, ok := snap.Inquiry(snapshot.Asked{Database: resource.KnownAs(d), Server: resource.FoldServerName(server)}, name)
			if !ok || done[q.Place] || spared(q.Target.Node) {
				continue
			}
			done[q.Place] = true
			to := q.Target
			guessed := to.Database == resource.AnyDatabase
			if guessed {
				to.Database = anyDatabase
			}
			answer := make(chan error, 1)
			lookup.NewUsers(group.Loops()[0], to, &gate.Gates{}, log).Begin(q.For, q.Query, name, func(_ lookup.Row, err error) { answer <- err })
			select {
			case err := <-answer:
				all = append(all, Inquired{to.Node, to.Database, to.User, guessed, err})
			case <-ctx.Done():
				return all, ctx.Err()
			}
		}
	}
	return all, nil
}
