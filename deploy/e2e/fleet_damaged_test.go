package e2e

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgcluster"
)

// TestDamagedLastKnownGood starts a proxy without a control plane on a newest last-known-good configuration that is cut off or
// has another bit: it serves the one before, and says so in the log, at /readyz and in the metrics. With none that can be used
// it waits, and the control plane heals it.
//
// It was seen to find a reader of these files that does not check the hash over them (lkg: decode), and one that
// gives up with the first.
func TestDamagedLastKnownGood(t *testing.T) {
	t.Parallel()
	server := pgcluster.Start(t, pgcluster.Options{}).Primary
	p := startProcesses(t)
	admin := loopbackPort(t)
	p.through(p.stream, "a", "--admin-address", admin)
	start := func() { p.startProxy("a", "--admin-address", admin) }
	var generations, hashes []string // of the two that are kept, the newest last
	hash := ""
	for i, max := range []int{3, 4} {
		p.want(0, resources(server, max), []string{"apply", "-f", "-"})
		hash = p.follow(patience, hash, "a")
		_, metrics := fetch(admin, "/metrics")
		generations = append(generations, found(t, `^helios_config_generation\S* (\S+)$`, metrics))
		hashes = append(hashes, hash)
		if found(t, `^helios_config_source\{source="control-plane"\} (\d)$`, metrics) != "1" {
			t.Errorf("the source of configuration %d is not the control plane:\n%s", i, metrics)
		}
	}
	p.kill(p.control)
	p.end(p.proxies["a"])
	files, err := filepath.Glob(filepath.Join(p.dir, "a", "*.lkg"))
	if err != nil || len(files) != 2 {
		t.Fatal(files, err)
	}
	for _, f := range files {
		if at, err := os.Stat(f); err != nil || at.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", f, at.Mode(), err)
		}
	}
	whole, err := os.ReadFile(files[1])
	if err != nil {
		t.Fatal(err)
	}
	// serves starts the proxy, and fails unless it serves one of the two from its disk.
	serves := func(which int, newest string) {
		t.Helper()
		logged := len(p.log.String())
		start()
		Within(t, patience, "the proxy serves without a control plane", func() bool {
			got, _ := p.psql(p.ports["a"], "select 7")
			return got == "7"
		})
		code, ready := fetch(admin, "/readyz")
		if code != 200 || !strings.Contains(ready, "last known good") {
			t.Errorf("/readyz: %d %s", code, ready)
		}
		_, metrics := fetch(admin, "/metrics")
		if got := found(t, `^helios_config_generation\S* (\S+)$`, metrics); got != generations[which] {
			t.Errorf("generation %s is served, want %s", got, generations[which])
		}
		if found(t, `^helios_config_source\{source="last-known-good"\} (\d)$`, metrics) != "1" {
			t.Errorf("the metrics do not say that this is the last known good configuration")
		}
		log := p.log.String()[logged:]
		if !strings.Contains(log, "serving the last known good configuration") || !strings.Contains(log, hashes[which]) {
			t.Errorf("the log does not say what is served:\n%s", log)
		}
		if which == 0 && !strings.Contains(log, filepath.Base(files[1])) {
			t.Errorf("the log does not name the file that is not used:\n%s", log)
		}
		p.end(p.proxies["a"]) // in order: that it ended is not the configuration's fault
		if t.Failed() {
			t.Fatalf("the newest was %s", newest)
		}
	}
	serves(1, "whole")
	cuts := []int{0, 1, len(whole) / 2, len(whole) - 1}
	for range full(60, 1) {
		cuts = append(cuts, rand.IntN(len(whole)))
	}
	for _, at := range cuts {
		damage(t, files[1], whole[:at])
		serves(0, fmt.Sprintf("cut off at %d", at))
	}
	for i := range full(90, 6) {
		at, bit := rand.IntN(len(whole)), rand.IntN(8)
		if i%3 != 0 {
			at = rand.IntN(64) // what a file begins with is least like the rest
		}
		b := slices.Clone(whole)
		b[at] ^= 1 << bit
		damage(t, files[1], b)
		serves(0, fmt.Sprintf("with bit %d of byte %d flipped", bit, at))
	}
	damage(t, files[0], nil)
	start()
	Within(t, patience, "without any the proxy waits", func() bool {
		code, said := fetch(admin, "/readyz")
		return code == 503 && strings.Contains(said, "no configuration is in force")
	})
	p.startControl()
	p.synced(patience, "a")
}

// damage replaces a file by something else.
func damage(t *testing.T, path string, b []byte) {
	t.Helper()
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}
