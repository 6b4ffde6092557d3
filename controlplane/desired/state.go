package desired

import (
	"fmt"

	"google.golang.org/protobuf/proto"

	"github.com/heliosproxy/heliosproxy/controlplane/keyspace"
	"github.com/heliosproxy/heliosproxy/controlplane/store"
	"github.com/heliosproxy/heliosproxy/pkg/release"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// View is the configuration part of a store at one revision.
type View interface {
	// Get returns what a key holds.
	Get(key string) (store.KV, bool)
	// Ascend yields keys with a prefix in order.
	Ascend(prefix string, yield func(store.KV) bool)
}

// Key names a resource.
type Key struct{ Kind, Name string }

// State is the desired state at one moment. It is immutable, and so is what it holds.
type State struct {
	// Revision counts the writes that changed something.
	Revision uint64
	// Content is the resources as they were written.
	Content *release.Content

	resources map[Key]*heliosv1.StoredResource
	head      *heliosv1.ConfigHead
	changed   int64             // the store's revision of the head; 0 if there is none
	parsed    map[string]parsed // by key of the store
	stage     []*heliosv1.StagePart
}

// parsed is a resource key's value, and which one.
type parsed struct {
	changed int64
	r       *heliosv1.StoredResource
}

// Get returns a resource and the revision that wrote it.
func (s *State) Get(k Key) (*heliosv1.StoredResource, bool) {
	r, ok := s.resources[k]
	return r, ok
}

// staged says that a large write is in force whose resources are not all at their keys yet.
func (s *State) staged() bool { return s.head.GetStage() != "" }

// read makes the state of a view. Values that before has too are not decoded again.
func read(v View, before *State) (*State, error) {
	s := &State{head: &heliosv1.ConfigHead{}, resources: map[Key]*heliosv1.StoredResource{}, parsed: map[string]parsed{}}
	if kv, ok := v.Get(keyspace.ConfigHead); ok {
		if err := decode(kv, s.head); err != nil {
			return nil, err
		}
		s.changed = kv.Changed
	}
	s.Revision = s.head.GetRevision()
	if err := s.readKeys(v, before); err != nil {
		return nil, err
	}
	if err := s.readStage(v); err != nil {
		return nil, err
	}
	items := make([]*heliosv1.Item, 0, len(s.resources))
	for _, r := range s.resources {
		items = append(items, r.GetItem())
	}
	var err error
	s.Content, err = release.New(items)
	return s, err
}

func (s *State) readKeys(v View, before *State) error {
	var err error
	v.Ascend(keyspace.Resources, func(kv store.KV) bool {
		p := parsed{changed: kv.Changed}
		if before != nil && before.parsed[kv.Key].changed == kv.Changed {
			p = before.parsed[kv.Key]
		} else {
			p.r = &heliosv1.StoredResource{}
			err = decode(kv, p.r)
		}
		s.parsed[kv.Key] = p
		s.resources[Key{p.r.GetItem().GetKind(), p.r.GetItem().GetName()}] = p.r
		return err == nil
	})
	return err
}

// readStage lays a large write that is in force over the keys.
func (s *State) readStage(v View) error {
	for n := range int(s.head.GetStageParts()) {
		key := keyspace.StagePart(s.head.GetStage(), n)
		kv, ok := v.Get(key)
		if !ok {
			return fmt.Errorf("%s is missing in the store", key)
		}
		part := &heliosv1.StagePart{}
		if err := decode(kv, part); err != nil {
			return err
		}
		s.stage = append(s.stage, part)
		for _, it := range part.GetUpserts() {
			s.resources[Key{it.GetKind(), it.GetName()}] = &heliosv1.StoredResource{Item: it, Revision: s.Revision}
		}
		for _, ref := range part.GetRemoves() {
			delete(s.resources, Key{ref.GetKind(), ref.GetName()})
		}
	}
	return nil
}

func decode(kv store.KV, m proto.Message) error {
	if err := proto.Unmarshal(kv.Value, m); err != nil {
		return fmt.Errorf("%s in the store is no %s: %w", kv.Key, m.ProtoReflect().Descriptor().Name(), err)
	}
	return nil
}
