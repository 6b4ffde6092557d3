// Package resource is the registry of resource kinds and what makes a set of them valid. It never does I/O: what only a machine can refuse is refused when a snapshot is warmed.
package resource

import (
	"fmt"

	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// AnyDatabase is the name of the Database that stands for every name without one of its own.
const AnyDatabase = "*"

// Set is a whole desired state: the resources of every kind by name. A Set is not changed once it was validated.
type Set struct {
	Clusters     map[string]*heliosv1.Cluster
	Nodes        map[string]*heliosv1.Node
	PoolProfiles map[string]*heliosv1.PoolProfile
	Listeners    map[string]*heliosv1.Listener
	Databases    map[string]*heliosv1.Database
	Users        map[string]*heliosv1.User
	Limits       *heliosv1.Limits
}

// String counts the resources and shows none, so that no secret is in a log by accident.
func (s *Set) String() string {
	return fmt.Sprintf("%d clusters, %d nodes, %d pool profiles, %d listeners, %d databases, %d users",
		len(s.Clusters), len(s.Nodes), len(s.PoolProfiles), len(s.Listeners), len(s.Databases), len(s.Users))
}

// Enabled says whether a node gets connections; true unless set.
func Enabled(n *heliosv1.Node) bool { return n.Enabled == nil || n.GetEnabled() }

// Weight is a node's share of balanced traffic, relative to the others; 100 unless set.
func Weight(n *heliosv1.Node) uint32 {
	if n.Weight == nil {
		return 100
	}
	return n.GetWeight()
}
