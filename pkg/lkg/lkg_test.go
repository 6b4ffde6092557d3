package lkg_test

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/heliosproxy/heliosproxy/pkg/lkg"
	"github.com/heliosproxy/heliosproxy/pkg/release"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// entry makes an entry of group "g" whose content differs with its number.
func entry(t testing.TB, n int) lkg.Entry {
	t.Helper()
	c, err := release.New([]*heliosv1.Item{
		{Kind: "Cluster", Name: "c", Payload: []byte("\n\x01c")},
		{Kind: "Node", Name: fmt.Sprintf("n%d", n), Payload: fmt.Appendf(nil, "payload %d", n)},
	})
	if err != nil {
		t.Fatal(err)
	}
	return lkg.Entry{StoreID: "store", Group: "g", MockSecret: "salt", Generation: &heliosv1.Generation{Epoch: 2, Revision: int64(100 - n)}, Content: c}
}

func same(a, b lkg.Entry) bool {
	return a.StoreID == b.StoreID && a.Group == b.Group && a.MockSecret == b.MockSecret && proto.Equal(a.Generation, b.Generation) && a.Content.Hash() == b.Content.Hash()
}

func open(t testing.TB, path string) *lkg.Dir {
	t.Helper()
	d, err := lkg.Open(path, lkg.Options{Group: "g"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

func save(t testing.TB, d *lkg.Dir, entries ...lkg.Entry) {
	t.Helper()
	for _, e := range entries {
		if err := d.Save(e); err != nil {
			t.Fatal(err)
		}
	}
}

// files returns the snapshot files, the newest first.
func files(t testing.TB, path string) []string {
	t.Helper()
	all, err := filepath.Glob(filepath.Join(path, "*.lkg"))
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(all)
	slices.Reverse(all)
	return all
}

func wantLoad(t testing.TB, d *lkg.Dir, want lkg.Entry) {
	t.Helper()
	got, err := d.Load(nil)
	if err != nil || !same(got.Entry, want) {
		t.Fatalf("loaded %v of %q (%v), want %v", got.Generation, got.StoreID, err, want.Generation)
	}
}

// TestNewest saves generations that go down, as those of a new store do: the one saved last is the newest.
func TestNewest(t *testing.T) {
	path := filepath.Join(t.TempDir(), "made", "here")
	d := open(t, path)
	if _, err := d.Load(nil); !errors.Is(err, lkg.ErrNone) {
		t.Fatalf("an empty directory gives %v", err)
	}
	for n := range 6 {
		save(t, d, entry(t, n))
		wantLoad(t, d, entry(t, n))
		if got, want := len(files(t, path)), min(n+1, 3); got != want {
			t.Errorf("%d files after %d saves, want %d", got, n+1, want)
		}
	}
	for name, want := range map[string]fs.FileMode{path: fs.ModeDir | 0o700, files(t, path)[0]: 0o600} {
		if at, err := os.Stat(name); err != nil || at.Mode() != want {
			t.Errorf("%s has mode %v (%v), want %v", name, at.Mode(), err, want)
		}
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	d = open(t, path)
	save(t, d, entry(t, 7))
	wantLoad(t, d, entry(t, 7))
}

// TestSameContent saves one content under many generations, which does not drive the others out.
func TestSameContent(t *testing.T) {
	path := t.TempDir()
	d := open(t, path)
	save(t, d, entry(t, 1), entry(t, 2))
	e := entry(t, 3)
	for n := range 5 {
		e.Generation = &heliosv1.Generation{Revision: int64(1000 + n)}
		save(t, d, e)
	}
	wantLoad(t, d, e)
	if got := files(t, path); len(got) != 3 {
		t.Errorf("%d files, want 3: %q", len(got), got)
	}
}

func TestSkipped(t *testing.T) {
	path := t.TempDir()
	d := open(t, path)
	save(t, d, entry(t, 1), entry(t, 2), entry(t, 3))
	refuse := errors.New("not this one")
	var skipped []string
	d.Close()
	d, err := lkg.Open(path, lkg.Options{Group: "g", Skipped: func(path string, why error) {
		if !errors.Is(why, refuse) {
			t.Errorf("%s: %v", path, why)
		}
		skipped = append(skipped, path)
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	got, err := d.Load(func(e lkg.Loaded) error {
		if e.Saved.IsZero() {
			t.Error("no time of saving")
		}
		if len(skipped) < 2 {
			return refuse
		}
		return nil
	})
	if err != nil || !same(got.Entry, entry(t, 1)) || !slices.Equal(skipped, files(t, path)[:2]) {
		t.Errorf("loaded %v (%v), skipped %q", got.Generation, err, skipped)
	}
	_, err = d.Load(func(lkg.Loaded) error { return refuse })
	if !errors.Is(err, lkg.ErrNone) || strings.Count(err.Error(), "not this one") != 3 {
		t.Errorf("nothing was taken: %v", err)
	}
}

func TestOtherGroup(t *testing.T) {
	path := t.TempDir()
	d := open(t, path)
	other := entry(t, 2)
	other.Group = "h"
	save(t, d, entry(t, 1), other)
	wantLoad(t, d, entry(t, 1))
}

// TestSecondProcess opens a directory that is in use: each open file has a lock of its own, so it does not
// matter which process it is.
func TestSecondProcess(t *testing.T) {
	path := t.TempDir()
	d := open(t, path)
	if _, err := lkg.Open(path, lkg.Options{}); err == nil || !strings.Contains(err.Error(), "another process uses it") {
		t.Fatalf("a second one got the directory: %v", err)
	}
	d.Close()
	open(t, path)
}

// TestReadOnly starts from a directory that cannot be written, as it is when a file system was mounted so.
func TestReadOnly(t *testing.T) {
	path := t.TempDir()
	d := open(t, path)
	save(t, d, entry(t, 1))
	d.Close()
	if err := os.Chmod(path, 0o500); err != nil {
		t.Fatal(err)
	}
	defer os.Chmod(path, 0o700)
	d = open(t, path)
	wantLoad(t, d, entry(t, 1))
	d.Break(func(step string) error { // root may write all the same
		if step == "create" {
			return syscall.EROFS
		}
		return nil
	})
	if err := d.Save(entry(t, 2)); !errors.Is(err, syscall.EROFS) {
		t.Errorf("saved to it: %v", err)
	}
	if err := d.Booting(entry(t, 1).Content.Hash()); !errors.Is(err, syscall.EROFS) {
		t.Errorf("noted a start in it: %v", err)
	}
	wantLoad(t, d, entry(t, 1))
}

// TestFailedSave fails at each step of a save: what was there before is there after, and nothing else.
func TestFailedSave(t *testing.T) {
	for _, at := range []string{"create", "write", "sync", "rename"} {
		t.Run(at, func(t *testing.T) {
			path := t.TempDir()
			d := open(t, path)
			save(t, d, entry(t, 1))
			before := files(t, path)
			broken := true
			d.Break(func(step string) error {
				if broken && step == at {
					return syscall.ENOSPC
				}
				return nil
			})
			if err := d.Save(entry(t, 2)); !errors.Is(err, syscall.ENOSPC) {
				t.Fatalf("save: %v", err)
			}
			left, err := os.ReadDir(path)
			if err != nil || len(left) != 1 || !slices.Equal(files(t, path), before) {
				t.Errorf("left behind: %v (%v)", left, err)
			}
			wantLoad(t, d, entry(t, 1))
			broken = false
			save(t, d, entry(t, 2))
			wantLoad(t, d, entry(t, 2))
		})
	}
}

// TestLeftovers opens a directory in which a process died while it saved.
func TestLeftovers(t *testing.T) {
	path := t.TempDir()
	d := open(t, path)
	save(t, d, entry(t, 1))
	part := files(t, path)[0] + ".part"
	d.Close()
	for _, name := range []string{part, filepath.Join(path, "bad.part"), filepath.Join(path, "snapshot-x.lkg"), filepath.Join(path, "README")} {
		if err := os.WriteFile(name, []byte("half"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	d = open(t, path)
	wantLoad(t, d, entry(t, 1))
	if left, _ := filepath.Glob(filepath.Join(path, "*.part")); len(left) > 0 {
		t.Errorf("still there: %q", left)
	}
	save(t, d, entry(t, 2))
	wantLoad(t, d, entry(t, 2))
}

// TestDamaged cuts the newest file at every byte, flips every bit and adds to it: the one before is used.
func TestDamaged(t *testing.T) {
	path := t.TempDir()
	d := open(t, path)
	save(t, d, entry(t, 1), entry(t, 2))
	newest := files(t, path)[0]
	whole, err := os.ReadFile(newest)
	if err != nil {
		t.Fatal(err)
	}
	try := func(what string, b []byte) {
		t.Helper()
		if err := os.WriteFile(newest, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := d.Load(nil); err != nil || !same(got.Entry, entry(t, 1)) {
			t.Fatalf("%s: loaded %v (%v)", what, got.Generation, err)
		}
	}
	for n := range whole {
		try(fmt.Sprintf("cut at %d", n), whole[:n])
	}
	for bit := range 8 * len(whole) {
		b := slices.Clone(whole)
		b[bit/8] ^= 1 << (bit % 8)
		try(fmt.Sprintf("bit %d flipped", bit), b)
	}
	try("one byte more", append(slices.Clone(whole), 0))
	try("twice", slices.Concat(whole, whole))
	older, err := os.ReadFile(files(t, path)[1])
	if err != nil {
		t.Fatal(err)
	}
	try("another file's bytes", older)
	if err := os.WriteFile(newest, whole, 0o600); err != nil {
		t.Fatal(err)
	}
	wantLoad(t, d, entry(t, 2))
}

// TestOldFormat reads a file of a program that did not know of mock secrets.
func TestOldFormat(t *testing.T) {
	want := entry(t, 1)
	want.MockSecret = ""
	now, err := lkg.Encode(want)
	if err != nil {
		t.Fatal(err)
	}
	const fixed = 8 + 4 + 8 + 8 + 4 + len("store") + 4 + len("g") // what is before the mock secret
	payload := now[fixed+4+8+sha256.Size:]
	header := slices.Concat(now[:fixed], now[fixed+4:fixed+4+8])
	header[11] = 1
	sum := sha256.Sum256(slices.Concat(header, payload))
	got, err := lkg.Decode(slices.Concat(header, sum[:], payload))
	if err != nil || !same(got, want) {
		t.Errorf("%+v, %v", got, err)
	}
}
