// Package resource is the registry of resource kinds and what makes a set of them valid. It never does I/O: what only a machine can refuse is refused when a snapshot is warmed.
package resource

import heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"

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
