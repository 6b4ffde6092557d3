package statement

import (
	"runtime"
	"strings"
	"testing"

	"github.com/heliosproxy/heliosproxy/dataplane/state/settings"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/hammer"
)

// TestKeys shares a statement between those whose key is the same in every part, and nobody else.
func TestKeys(t *testing.T) {
	r := NewRegistry("h_")
	key := Key{Pool: "p", Body: "SELECT 1\x00\x00\x00", Planner: settings.Of(settings.Pair{Name: "search_path", Value: "x"})}
	fx := &Effects{SetsAll: true}
	st := r.Shared(key, Meaning{Effects: fx})
	if r.Shared(key, Meaning{}) != st || r.Find(key) != st || st.Effects != fx || st.Private || !strings.HasPrefix(st.Name, r.Prefix()) {
		t.Errorf("%v is not what everybody finds", st)
	}
	for name, change := range map[string]func(*Key){
		"pool": func(k *Key) { k.Pool = "q" }, "text": func(k *Key) { k.Body = "SELECT 2\x00\x00\x00" },
		"types": func(k *Key) { k.Body = "SELECT 1\x00\x00\x01\x00\x00\x00\x17" }, "settings": func(k *Key) { k.Planner = settings.Set{} },
	} {
		k := key
		if change(&k); r.Find(k) != nil || r.Shared(k, Meaning{}) == st {
			t.Errorf("another %s finds the same statement", name)
		}
	}
	own := r.Own(key, Meaning{})
	if own == st || own.Name == st.Name || !own.Private || r.Find(key) != st {
		t.Error("a statement of one's own is everybody's")
	}
	runtime.KeepAlive(st)
}

// TestThreads shares statements between many threads, while nobody holds most of them: one key never has two
// statements at a time, and one name never two keys.
func TestThreads(t *testing.T) {
	r := NewRegistry("h_")
	keys := []Key{{Body: "a"}, {Body: "b"}, {Body: "c"}}
	hammer.Run(t, 8, 500, func(p, n int) error {
		k := keys[n%len(keys)]
		st := r.Shared(k, Meaning{})
		if again := r.Shared(k, Meaning{}); again != st || st.Key != k {
			t.Errorf("%v and %v for one key", st, again)
		}
		if n%100 == p {
			runtime.GC()
		}
		runtime.KeepAlive(st)
		return nil
	})
}

// TestClear leaves nothing of what a connection has held.
func TestClear(t *testing.T) {
	r, h := NewRegistry("h_"), NewHeld(2, 100)
	a := r.Own(Key{Body: "a"}, Meaning{})
	h.Add(a)
	h.Unnamed, h.Stale = Somebodys, []string{"x"}
	if h.Len() != 2 {
		t.Errorf("%d are held, want 2: what is to be closed is there still", h.Len())
	}
	h.Clear()
	if h.Has(a) || h.Len() != 0 || h.Unnamed != 0 || h.Evict(a) != nil {
		t.Error("something is left")
	}
	h.Add(a)
	if !h.Has(a) {
		t.Error("it holds nothing any more")
	}
	b := r.Own(Key{Body: "b"}, Meaning{})
	h.Unnamed = 7
	h.DropNamed([]*Statement{b, b})
	if h.Has(a) || !h.Has(b) || h.Len() != 1 || h.Unnamed != 7 {
		t.Errorf("of %d that are held, the unnamed one %d", h.Len(), h.Unnamed)
	}
}
