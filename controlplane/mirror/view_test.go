package mirror

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/heliosproxy/heliosproxy/controlplane/store"
)

// TestSharing: a change of one key among many copies no values.
func TestSharing(t *testing.T) {
	const keys, size = 20_000, 1 << 10
	v := &View{Revision: 1}
	for i := range keys {
		v.kvs = append(v.kvs, store.KV{Key: fmt.Sprintf("/m/%06d", i), Value: make([]byte, size), Changed: 1})
	}
	e := store.Event{KV: store.KV{Key: "/m/010000", Value: []byte("new"), Changed: 2}}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	next := v.with([]store.Event{e}, 2)
	runtime.ReadMemStats(&after)
	if bytes := after.TotalAlloc - before.TotalAlloc; bytes > 2<<20 {
		t.Errorf("a change of one key made %d bytes", bytes)
	}
	if diff := next.Since(v); len(diff) != 1 || diff[0].Key != e.Key {
		t.Errorf("differs in %+v", diff)
	}
	if kv, _ := v.Get(e.Key); len(kv.Value) != size {
		t.Error("the view before has changed")
	}
}

func TestView(t *testing.T) {
	v := (&View{}).with([]store.Event{
		{KV: store.KV{Key: "b", Changed: 2}},
		{KV: store.KV{Key: "a/2", Changed: 2}},
		{KV: store.KV{Key: "a/1", Changed: 2}},
		{KV: store.KV{Key: "a", Changed: 2}},
		{KV: store.KV{Key: "a/2", Changed: 3}},
		{KV: store.KV{Key: "b", Changed: 3}, Deleted: true},
		{KV: store.KV{Key: "none", Changed: 3}, Deleted: true},
	}, 3)
	ascend := func(prefix string, most int) string {
		out := ""
		v.Ascend(prefix, func(kv store.KV) bool {
			out += fmt.Sprintf("%s:%d ", kv.Key, kv.Changed)
			most--
			return most > 0
		})
		return out
	}
	for _, tt := range []struct {
		prefix string
		most   int
		want   string
	}{
		{"", 9, "a:2 a/1:2 a/2:3 "},
		{"a/", 9, "a/1:2 a/2:3 "},
		{"a", 2, "a:2 a/1:2 "},
		{"b", 9, ""},
	} {
		if got := ascend(tt.prefix, tt.most); got != tt.want {
			t.Errorf("ascend %q: %q, want %q", tt.prefix, got, tt.want)
		}
	}
	if _, ok := v.Get("b"); ok || v.Len() != 3 {
		t.Errorf("%d keys", v.Len())
	}
}
