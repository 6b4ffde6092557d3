package resource

import (
	"maps"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// Kind is the name of a resource kind: that of its message, "PoolProfile".
type Kind string

// The kinds.
const (
	KindCluster     Kind = "Cluster"
	KindNode        Kind = "Node"
	KindPoolProfile Kind = "PoolProfile"
	KindListener    Kind = "Listener"
	KindDatabase    Kind = "Database"
	KindUser        Kind = "User"
	KindLimits      Kind = "Limits"
	KindConsole     Kind = "Console"
	KindResolver    Kind = "Resolver"
)

// Message is a resource.
type Message interface {
	proto.Message
	GetName() string
}

// Type is what is known of a kind. A kind is a message in resources.proto, a map in [Set] and a Type in
// [Types]; rooms of the data plane compile it.
type Type struct {
	Kind   Kind
	Plural string   // "poolprofiles"
	Short  []string // further names that people may use: "pp"

	slot
	check    func(*checker)
	complete func(*Set)
}

// slot is the map of one kind in a Set, whatever its type.
type slot interface {
	new() Message
	get(s *Set, name string) (Message, bool)
	put(s *Set, m Message)
	drop(s *Set, name string)
	names(s *Set) []string
}

// Types returns all kinds, in the order in which people read them.
func Types() []Type {
	return []Type{
		typeOf(KindCluster, "clusters", nil, func(s *Set) *map[string]*heliosv1.Cluster { return &s.Clusters }, (*checker).cluster, nil),
		typeOf(KindNode, "nodes", []string{"no"}, func(s *Set) *map[string]*heliosv1.Node { return &s.Nodes }, (*checker).node, nil),
		typeOf(KindPoolProfile, "poolprofiles", []string{"pp", "pool", "pools"},
			func(s *Set) *map[string]*heliosv1.PoolProfile { return &s.PoolProfiles }, (*checker).poolProfile, completePoolProfile),
		typeOf(KindListener, "listeners", []string{"ls"},
			func(s *Set) *map[string]*heliosv1.Listener { return &s.Listeners }, (*checker).listener, nil),
		typeOf(KindDatabase, "databases", []string{"db", "dbs"},
			func(s *Set) *map[string]*heliosv1.Database { return &s.Databases }, (*checker).database, nil),
		typeOf(KindUser, "users", nil, func(s *Set) *map[string]*heliosv1.User { return &s.Users }, (*checker).user, nil),
		typeOf(KindLimits, "limits", nil, func(s *Set) *map[string]*heliosv1.Limits { return &s.Limits }, (*checker).limits, completeLimits),
		typeOf(KindConsole, "consoles", nil, func(s *Set) *map[string]*heliosv1.Console { return &s.Consoles }, (*checker).console, completeConsole),
		typeOf(KindResolver, "resolvers", nil, func(s *Set) *map[string]*heliosv1.Resolver { return &s.Resolvers }, (*checker).resolver, completeResolver),
	}
}

// TypeOf returns the type of a kind by its exact name.
func TypeOf(kind string) (Type, bool) {
	for _, t := range Types() {
		if string(t.Kind) == kind {
			return t, true
		}
	}
	return Type{}, false
}

// Lookup finds a kind by any of its names, in whatever case.
func Lookup(word string) (Type, bool) {
	for _, t := range Types() {
		if strings.EqualFold(word, string(t.Kind)) || strings.EqualFold(word, t.Plural) ||
			slices.ContainsFunc(t.Short, func(s string) bool { return strings.EqualFold(word, s) }) {
			return t, true
		}
	}
	return Type{}, false
}

// New returns an empty resource of the kind.
func (t Type) New() Message { return t.new() }

// typed is the slot of messages of type *R.
type typed[R any, P interface {
	*R
	Message
}] struct{ of func(*Set) *map[string]P }

func (t typed[R, P]) new() Message { return P(new(R)) }

func (t typed[R, P]) get(s *Set, name string) (Message, bool) {
	m, ok := (*t.of(s))[name]
	return m, ok
}

func (t typed[R, P]) put(s *Set, m Message) {
	all := t.of(s)
	if *all == nil {
		*all = map[string]P{}
	}
	(*all)[m.GetName()] = m.(P)
}

func (t typed[R, P]) drop(s *Set, name string) { delete(*t.of(s), name) }

func (t typed[R, P]) names(s *Set) []string { return slices.Sorted(maps.Keys(*t.of(s))) }

func typeOf[R any, P interface {
	*R
	Message
}](kind Kind, plural string, short []string, of func(*Set) *map[string]P, check func(*checker, P), complete func(P)) Type {
	return Type{
		Kind: kind, Plural: plural, Short: short, slot: typed[R, P]{of},
		check: func(c *checker) { each(c, kind, *of(c.set), func(r P) { check(c, r) }) },
		complete: func(s *Set) {
			if complete != nil {
				for _, r := range *of(s) {
					complete(r)
				}
			}
		},
	}
}
