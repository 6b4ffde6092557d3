package mirror

import (
	"bytes"
	"slices"
	"strings"

	"github.com/heliosproxy/heliosproxy/controlplane/store"
)

// View is all keys with the mirror's prefix at one revision. It is immutable, and shares with the view
// before what has not changed.
type View struct {
	Revision int64
	kvs      []store.KV // in the order of their keys
}

// Get returns what a key holds.
func (v *View) Get(key string) (store.KV, bool) {
	i, ok := find(v.kvs, key)
	if !ok {
		return store.KV{}, false
	}
	return v.kvs[i], true
}

// Ascend yields the keys with a prefix in order.
func (v *View) Ascend(prefix string, yield func(store.KV) bool) {
	i, _ := find(v.kvs, prefix)
	for ; i < len(v.kvs) && strings.HasPrefix(v.kvs[i].Key, prefix); i++ {
		if !yield(v.kvs[i]) {
			return
		}
	}
}

// Len is the number of keys.
func (v *View) Len() int { return len(v.kvs) }

func find(kvs []store.KV, key string) (int, bool) {
	return slices.BinarySearchFunc(kvs, key, func(kv store.KV, key string) int { return strings.Compare(kv.Key, key) })
}

// with returns the view after events. Of several events of one key the last counts.
func (v *View) with(events []store.Event, revision int64) *View {
	last := map[string]store.Event{}
	for _, e := range events {
		last[e.Key] = e
	}
	changed := make([]store.Event, 0, len(last))
	for _, e := range last {
		changed = append(changed, e)
	}
	slices.SortFunc(changed, func(a, b store.Event) int { return strings.Compare(a.Key, b.Key) })
	next := &View{Revision: revision, kvs: make([]store.KV, 0, len(v.kvs)+len(changed))}
	from := 0
	for _, e := range changed {
		i, there := find(v.kvs, e.Key)
		next.kvs = append(next.kvs, v.kvs[from:i]...)
		if from = i; there {
			from++
		}
		if !e.Deleted {
			next.kvs = append(next.kvs, e.KV)
		}
	}
	next.kvs = append(next.kvs, v.kvs[from:]...)
	return next
}

// Since returns what makes this view of an older one; of nil it is every key. What was deleted meanwhile is told as of this
// view's revision. Events are in the order of their keys.
func (v *View) Since(old *View) []store.Event {
	var events []store.Event
	var was []store.KV
	if old != nil {
		was = old.kvs
	}
	gone := func(key string) {
		events = append(events, store.Event{KV: store.KV{Key: key, Changed: v.Revision}, Deleted: true})
	}
	for _, kv := range v.kvs {
		for len(was) > 0 && was[0].Key < kv.Key {
			gone(was[0].Key)
			was = was[1:]
		}
		if len(was) > 0 && was[0].Key == kv.Key {
			same := was[0].Changed == kv.Changed && was[0].Created == kv.Created && bytes.Equal(was[0].Value, kv.Value)
			if was = was[1:]; same {
				continue
			}
		}
		events = append(events, store.Event{KV: kv})
	}
	for _, kv := range was {
		gone(kv.Key)
	}
	return events
}
