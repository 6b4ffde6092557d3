package cancelkeys

import (
	"bytes"
	"testing"

	"github.com/heliosproxy/heliosproxy/pkg/testkit/hammer"
)

// TestRegistry finds the owner of a key, and of no key that is not quite it.
func TestRegistry(t *testing.T) {
	for _, n := range []int{Short, Long} {
		r := New[string]()
		ann, bob := r.Issue("ann", 0, n), r.Issue("bob", 4711, n)
		if bob.PID != 4711 || ann.PID == 0 || len(ann.Secret()) != n || bytes.Equal(ann.Secret(), bob.Secret()) {
			t.Errorf("keys are %d %x and %d %x", ann.PID, ann.Secret(), bob.PID, bob.Secret())
		}
		if got, ok := r.Find(ann.PID, ann.Secret()); !ok || got != "ann" {
			t.Errorf("found %q, %v", got, ok)
		}
		wrong := bytes.Clone(ann.Secret())
		wrong[n-1] ^= 1
		for name, secret := range map[string][]byte{
			"one bit off": wrong, "shorter": ann.Secret()[:n-1], "with a zero behind it": append(bytes.Clone(ann.Secret()), 0),
			"another's": bob.Secret(), "none": nil, "longer than any": make([]byte, 300),
		} {
			if got, ok := r.Find(ann.PID, secret); ok {
				t.Errorf("%d bytes, %s: found %q", n, name, got)
			}
		}
		if got, ok := r.Find(bob.PID, ann.Secret()); ok {
			t.Errorf("another's process: found %q", got)
		}
		r.Revoke(ann)
		if _, ok := r.Find(ann.PID, ann.Secret()); ok {
			t.Error("a key that was revoked is good")
		}
		if _, ok := r.Find(bob.PID, bob.Secret()); !ok {
			t.Error("another key was revoked too")
		}
	}
}

// TestProcessIDs gives process IDs that no PostgreSQL client takes for negative, and that go round.
func TestProcessIDs(t *testing.T) {
	r := New[int]()
	for _, number := range []uint16{0, 1, MaxNumber} {
		r.SetNumber(number)
		for _, from := range []uint32{0, 0x3ffffffe, 0x3fffffff, 0x7ffffffe, 0x7fffffff, 0xffffffff} {
			r.next = from
			for i := range 3 {
				if k := r.Issue(i, 0, Short); k.PID == 0 || k.PID > 0x7fffffff {
					t.Errorf("from %#x: process ID %#x", from, k.PID)
				}
			}
		}
	}
}

// TestNumbers finds each number again in the keys that were given out under it, and none in those of a server's process.
func TestNumbers(t *testing.T) {
	r := New[int]()
	for n := range uint16(MaxNumber + 1) {
		r.SetNumber(n)
		r.next += 7919 // any serial
		for _, k := range []Key{r.Issue(0, 0, Short), r.Issue(0, 0, Long), r.Issue(0, 4194304, Long)} {
			if got, ok := Number(k.PID, k.Secret()); got != n || !ok {
				t.Fatalf("number %d: key %#x of %d bytes says %d, %v", n, k.PID, k.n, got, ok)
			}
			if owner, ok := r.Find(k.PID, k.Secret()); !ok || owner != 0 {
				t.Fatalf("number %d: the key is not found", n)
			}
		}
		for _, pid := range []uint32{1, 4711, 4194304} { // Linux has no higher process ID
			if k := r.Issue(0, pid, Short); k.PID != pid {
				t.Fatalf("process ID %d was given out as %d", pid, k.PID)
			} else if got, ok := Number(k.PID, k.Secret()); got != 0 || !ok {
				t.Fatalf("a server's process %d is taken for one of proxy %d, %v", pid, got, ok)
			}
		}
	}
	for name, k := range map[string]struct {
		pid    uint32
		secret []byte
	}{
		"no process": {0, make([]byte, Short)}, "negative": {1 << 31, make([]byte, Short)},
		"no secret": {1, nil}, "a secret of another length": {1, make([]byte, 16)},
		"a number that is too high": {1, append([]byte{0x40, 0}, make([]byte, 30)...)}, "chosen without a number": {1<<30 | 5, make([]byte, Short)},
	} {
		if n, ok := Number(k.pid, k.secret); ok {
			t.Errorf("%s: proxy %d", name, n)
		}
	}
}

// TestManySessions gives more sessions a key than there are process IDs: each is found by its own.
func TestManySessions(t *testing.T) {
	r := New[int]()
	r.SetNumber(3)
	keys := make([]Key, 1<<serialBits+1000)
	for i := range keys {
		keys[i] = r.Issue(i, 0, Short)
	}
	for i, k := range keys {
		if got, ok := r.Find(k.PID, k.Secret()); !ok || got != i {
			t.Fatalf("session %d: found %d, %v", i, got, ok)
		}
	}
	if keys[0].PID != keys[1<<serialBits].PID {
		t.Error("the process IDs have not gone round")
	}
}

// TestThreads issues, finds and revokes from many threads.
func TestThreads(t *testing.T) {
	r := New[int]()
	hammer.Run(t, 8, 200, func(p, _ int) error {
		k := r.Issue(p, 0, Long)
		if got, ok := r.Find(k.PID, k.Secret()); !ok || got != p {
			t.Errorf("found %d, %v, want %d", got, ok, p)
		}
		r.Revoke(k)
		return nil
	})
	if len(r.owners) != 0 {
		t.Errorf("%d keys are left", len(r.owners))
	}
}
