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
	for _, from := range []uint32{0, 0x7ffffffe, 0x7fffffff, 0xffffffff} {
		r.next = from
		for i := range 3 {
			if k := r.Issue(i, 0, Short); k.PID == 0 || k.PID > 0x7fffffff {
				t.Errorf("from %#x: process ID %#x", from, k.PID)
			}
		}
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
