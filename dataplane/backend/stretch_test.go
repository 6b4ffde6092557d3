package backend

import (
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/heliosproxy/heliosproxy/dataplane/reactor"
	"github.com/heliosproxy/heliosproxy/pkg/scram"
)

// TestStretchOnce has many connections need the keys of one password at once, of which the first goes away: they are made once for a salt.
func TestStretchOnce(t *testing.T) {
	const many, iterations = 20, 100
	salt, other := []byte("0123456789abcdef"), []byte("fedcba9876543210")
	want, wantKey := scram.Derive("secret", salt, iterations)
	otherWant, _ := scram.Derive("secret", other, iterations)
	var runs atomic.Int32
	hold := make(chan struct{})
	secret := NewSecret("u", "secret")
	secret.derive = func(password string, salt []byte, n int) (scram.Keys, scram.ClientKey) {
		runs.Add(1)
		<-hold
		return scram.Derive(password, salt, n)
	}
	s := newStage(t)
	gone := errors.New("gone")
	type outcome struct {
		keys scram.Keys
		key  scram.ClientKey
		err  error
	}
	var walkers []*walker
	var found []*outcome
	begin := func(salt []byte) {
		o := &outcome{}
		found = append(found, o)
		w := &walker{walk: func(t *reactor.Task) {
			own := append([]byte(nil), salt...) // as of a message, whose bytes are others' when t parks
			o.keys, o.key, o.err = secret.stretch(t, own, iterations)
		}}
		w.Init(s.loop, w)
		w.Wake()
		walkers = append(walkers, w)
		s.step()
	}
	until := func(what string, so func() bool) {
		t.Helper()
		for end := time.Now().Add(10 * time.Second); !so(); s.loop.Step() {
			if time.Now().After(end) {
				t.Fatalf("%s does not come", what)
			}
		}
	}
	for range many {
		begin(salt)
	}
	walkers[0].Kill(gone)
	until("the end of the first", func() bool { return walkers[0].over })
	begin(other)
	close(hold)
	for _, w := range walkers {
		until("the keys", func() bool { return w.over })
	}
	if n := runs.Load(); n != 2 {
		t.Errorf("keys were made %d times for two salts", n)
	}
	for i, o := range found {
		switch {
		case i == 0 && !errors.Is(o.err, gone):
			t.Errorf("who was killed: %v", o.err)
		case i == 0:
		case i == many:
			if o.err != nil || o.keys.StoredKey != otherWant.StoredKey {
				t.Errorf("the other salt: %v", o.err)
			}
		case o.err != nil || o.keys.StoredKey != want.StoredKey || o.key != wantKey:
			t.Errorf("number %d has other keys, or none: %v", i, o.err)
		}
	}
	begin(salt)
	until("the keys", func() bool { return walkers[many+1].over })
	before := runs.Load()
	begin(salt)
	if !walkers[many+2].over || runs.Load() != before {
		t.Error("the keys of the last salt are not kept")
	}
}
