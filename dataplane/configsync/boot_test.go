package configsync_test

import (
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/heliosproxy/heliosproxy/dataplane/configsync"
	"github.com/heliosproxy/heliosproxy/pkg/lkg"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// saved opens a directory that holds contents, the last one saved last.
func saved(t testing.TB, path string, words ...string) *lkg.Dir {
	t.Helper()
	d, err := lkg.Open(path, lkg.Options{Group: "g"})
	if err != nil {
		t.Fatal(err)
	}
	for i, w := range words {
		e := lkg.Entry{StoreID: "s", Group: "g", Generation: &heliosv1.Generation{Revision: int64(i + 1)}, Content: content(t, w)}
		if err := d.Save(e); err != nil {
			t.Fatal(err)
		}
	}
	return d
}

// TestBoot starts without a control plane from what is on the disk.
func TestBoot(t *testing.T) {
	for _, tt := range []struct {
		name  string
		saved []string
		runs  string
	}{
		{"nothing", nil, ""},
		{"newest", []string{"a", "b", "c"}, "c"},
		{"newest is empty", []string{"a", ""}, "a"},
		{"newest is not valid", []string{"a", "aC"}, "a"},
		{"newest is refused by the machine", []string{"a", "ax"}, "a"},
		{"newest makes it panic", []string{"a", "ay"}, "a"},
		{"newest is too large", []string{"a", letters(200)}, "a"},
		{"all are refused", []string{"x", "aC"}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := saved(t, t.TempDir(), tt.saved...)
			defer d.Close()
			core, logs := observer.New(zap.WarnLevel)
			m := &machine{}
			o := options(&plane{}, m)
			o.Files, o.Log = d, zap.New(core)
			c := configsync.New(o)
			err := c.Boot()
			st, _ := c.State()
			if m.runs() != tt.runs || (err == nil) != (tt.runs != "") {
				t.Fatalf("in force is %q (%v), want %q", m.runs(), err, tt.runs)
			}
			if err != nil {
				if !errors.Is(err, lkg.ErrNone) || st.Source != heliosv1.Source_SOURCE_NONE || st.Content != nil {
					t.Errorf("%v, and the proxy says that it runs %s from %v", err, word(st.Content), st.Source)
				}
				return
			}
			i := slices.Index(tt.saved, tt.runs)
			if st.Source != heliosv1.Source_SOURCE_LAST_KNOWN_GOOD || word(st.Content) != tt.runs || st.Generation.GetRevision() != int64(i+1) || st.StoreID != "s" ||
				st.Since.IsZero() || st.Saved.IsZero() || st.Connected {
				t.Errorf("the proxy says %+v", st)
			}
			said := logs.FilterMessageSnippet("last known good").All()
			if len(said) != 1 || said[0].ContextMap()["age"] == nil {
				t.Errorf("logged %v", said)
			}
		})
	}
}

// letters makes a word of n different small letters.
func letters(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteRune(rune('α' + i))
	}
	return b.String()
}

// TestConfirmed comes with what was on the disk to a control plane that has the same: its generation is kept.
func TestConfirmed(t *testing.T) {
	path := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		core, logs := observer.New(zap.WarnLevel)
		d := saved(t, path, "a", "ab")
		s := newStage(t, func(o *configsync.Options) { o.Files, o.Log = d, zap.New(core) })
		s.content("ab")
		if got, want := s.said(), `hello "s" 2 "ab" LAST_KNOWN_GOOD`; len(got) != 1 || got[0] != want {
			t.Fatalf("the proxy began with %q, want %s", got, want)
		}
		pass(16 * time.Minute)
		if got := logs.FilterMessageSnippet("still: no control plane has confirmed it").Len(); got != 3 {
			t.Errorf("%d reminders in 16 minutes, want 3", got)
		}
		later(s)
		s.tell(welcome("s"), upToDate(7, s.content("ab").Hash()))
		if st, _ := s.client.State(); st.Source != heliosv1.Source_SOURCE_CONTROL_PLANE || st.Generation.GetRevision() != 7 {
			t.Errorf("confirmed, and the proxy says %v of %v", st.Generation, st.Source)
		}
		s.stop()
		e, err := d.Load(nil)
		if err != nil || e.Generation.GetRevision() != 7 || word(e.Content) != "ab" {
			t.Errorf("on the disk is generation %v of %s (%v)", e.Generation, word(e.Content), err)
		}
		d.Close()
	})
}

// TestPersisted keeps what is put in force, and nothing that is refused.
func TestPersisted(t *testing.T) {
	path := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		d := saved(t, path)
		s := newStage(t, func(o *configsync.Options) { o.Files = d })
		s.tell(welcome("s"))
		s.tell(whole(1, 5, s.content("a"))...)
		s.tell(whole(2, 6, s.content("ax"))...)
		s.tell(whole(3, 7, s.content("ay"))...)
		s.stop()
		e, err := d.Load(nil)
		if err != nil || word(e.Content) != "a" || e.Generation.GetRevision() != 5 || e.StoreID != "s" || e.Group != "g" || e.MockSecret != "salt of s" {
			t.Errorf("on the disk is %+v (%v)", e, err)
		}
		if all, _ := filepath.Glob(filepath.Join(path, "*.lkg")); len(all) != 1 {
			t.Errorf("files: %q", all)
		}
		// What salts are made from is there again without a control plane, and at each that is met.
		var salts []string
		s = newStage(t, func(o *configsync.Options) {
			o.Files, o.Salt = d, func(secret string) { salts = append(salts, secret) }
		})
		s.tell(welcome("t"))
		s.stop()
		if want := []string{"salt of s", "salt of t"}; !slices.Equal(salts, want) {
			t.Errorf("salts are made from %q, want %q", salts, want)
		}
		d.Close()
	})
}

// TestPersistFails puts a configuration in force that the disk does not take.
func TestPersistFails(t *testing.T) {
	path := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		d := saved(t, path)
		d.Close() // nothing can be made sure of in it any more
		s := newStage(t, func(o *configsync.Options) { o.Files = d })
		defer s.stop()
		s.tell(welcome("s"))
		got := s.tell(whole(1, 5, s.content("a"))...)
		if len(got) != 1 || !strings.HasPrefix(got[0], `ack 1 5 a ["lkg_write_failed: `) || s.runs() != "a" {
			t.Errorf("in force is %q, the proxy said %q", s.runs(), got)
		}
	})
}

// TestQuarantine does not take from the control plane what the process has died of.
func TestQuarantine(t *testing.T) {
	path := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		d := saved(t, path, "a", "b")
		for n := 0; d.Booting(content(t, "b").Hash()) == nil; n++ {
			if n > 10 {
				t.Fatal("it is never marked bad")
			}
		}
		s := newStage(t, func(o *configsync.Options) { o.Files = d })
		if s.runs() != "a" {
			t.Errorf("in force is %q", s.runs())
		}
		s.tell(welcome("s"))
		got := s.tell(change(1, 5, s.content("a"), s.content("b"))...)
		if len(got) != 1 || !strings.HasPrefix(got[0], "nack 1 5 b compile: this proxy has ended soon after") || s.runs() != "a" {
			t.Errorf("in force is %q, the proxy said %q", s.runs(), got)
		}
		s.stop()
		d.Close()
	})
}

// TestStable notes after a minute that a start has gone well.
func TestStable(t *testing.T) {
	path := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		d := saved(t, path, "a")
		s := newStage(t, func(o *configsync.Options) { o.Files = d })
		noted := func() bool {
			all, _ := filepath.Glob(filepath.Join(path, "boot"))
			return len(all) == 1
		}
		pass(59 * time.Second)
		if !noted() {
			t.Error("the start is not noted")
		}
		pass(2 * time.Second)
		if noted() {
			t.Error("it is not noted that the start has gone well")
		}
		s.stop()
		d.Close()
	})
}
