// Package resource is the registry of resource kinds and what makes a set of them valid. It never does I/O: what only a machine can refuse is refused when a snapshot is warmed.
package resource

import (
	"fmt"
	"strings"

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
	Limits       map[string]*heliosv1.Limits   // at most one, named [LimitsName]
	Consoles     map[string]*heliosv1.Console  // at most one, named [ConsoleName]
	Resolvers    map[string]*heliosv1.Resolver // at most one, named [ResolverName]
}

// String counts the resources and shows none, so that no secret is in a log by accident.
func (s *Set) String() string {
	var parts []string
	for _, t := range Types() {
		if n := len(t.names(s)); n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, t.Plural))
		}
	}
	return strings.Join(parts, ", ")
}

// Get returns a resource.
func (s *Set) Get(kind Kind, name string) (Message, bool) {
	t, ok := TypeOf(string(kind))
	if !ok {
		return nil, false
	}
	return t.get(s, name)
}

// Put adds a resource under its name, or replaces it. The message is the set's from then on. A message of
// no kind is refused.
func (s *Set) Put(kind Kind, m Message) error {
	t, ok := TypeOf(string(kind))
	if !ok || t.New().ProtoReflect().Descriptor() != m.ProtoReflect().Descriptor() {
		return fmt.Errorf("a %s is no resource of kind %q", m.ProtoReflect().Descriptor().Name(), kind)
	}
	t.put(s, m)
	return nil
}

// Drop removes a resource.
func (s *Set) Drop(kind Kind, name string) {
	if t, ok := TypeOf(string(kind)); ok {
		t.drop(s, name)
	}
}

// All yields every resource, by kind in the order of [Types], then by name.
func (s *Set) All(yield func(Kind, Message) bool) {
	for _, t := range Types() {
		for _, name := range t.names(s) {
			if m, _ := t.get(s, name); !yield(t.Kind, m) {
				return
			}
		}
	}
}

// Len is the number of resources.
func (s *Set) Len() int {
	n := 0
	for _, t := range Types() {
		n += len(t.names(s))
	}
	return n
}

// Enabled says whether a node gets connections; true unless set.
func Enabled(n *heliosv1.Node) bool { return n.Enabled == nil || n.GetEnabled() }
