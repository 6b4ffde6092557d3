package e2e

import (
	"cmp"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgcluster"
)

// written is when a process has last written a file below a directory.
func written(dir string) (last time.Time) {
	_ = filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if err != nil {
			return nil // it is gone, or going
		}
		if at, err := e.Info(); err == nil && at.ModTime().After(last) {
			last = at.ModTime()
		}
		return nil
	})
	return last
}

// killDuring kills the control plane during a call of helioctl: at a random moment of the time that is given, or, where it is none,
// soon after the control plane has begun to write.
func (p *processes) killDuring(within time.Duration, call func() (int, string)) (code int, out string) {
	control, before, over, killed := p.control, written(p.dir+"/cp"), make(chan struct{}), make(chan struct{})
	moment := rand.N(cmp.Or(within, 5*time.Millisecond))
	go func() {
		defer close(killed)
		for began := time.Now(); within == 0 && written(p.dir+"/cp").Equal(before) && time.Since(began) < patience; {
			select {
			case <-over:
				began = began.Add(-patience)
			default:
			}
		}
		select {
		case <-over:
		case <-time.After(moment):
		}
		_ = control.Process.Kill()
	}()
	code, out = call()
	close(over)
	<-killed
	_ = control.Wait()
	return code, out
}

// TestOnlyWholeGenerations kills the control plane at random moments of writes of 300 resources, and some more times while it
// recovers, before two proxies. What a proxy has ever put in force, by its own log, is the content before or after a write, never
// something between; what is desired is all of one write, the one that helioctl's exit code and audit tell.
//
// It was seen to find a write that brings resources to their keys a hundred at a time (desired: commit without a stage).
func TestOnlyWholeGenerations(t *testing.T) {
	t.Parallel()
	server := pgcluster.Start(t, pgcluster.Options{}).Primary
	p := startProcesses(t, "a", "b")
	p.want(0, resources(server, 3), []string{"apply", "-f", "-"})
	whole := map[string]string{p.follow(patience, "", "a", "b"): "first"} // by hash
	many := func(value string) string {
		var b strings.Builder
		for i := range 300 {
			fmt.Fprintf(&b, "---\napiVersion: helios/v1\nkind: User\nmetadata: {name: u%03d}\nspec: {serverUser: %s}\n", i, value)
		}
		return b.String()
	}
	hashes, hash, took := map[string]string{}, p.hash(), time.Duration(0)
	for _, value := range []string{"before", "after"} {
		began := time.Now()
		p.want(0, many(value), []string{"apply", "-f", "-"})
		took = time.Since(began)
		hash = p.follow(patience, hash, "a", "b")
		whole[hash], hashes[value] = value, hash
	}
	now, codes, again := "after", map[int]int{}, 0
	for i := range full(200, 6) {
		next := map[string]string{"before": "after", "after": "before"}[now]
		code, out := p.killDuring([]time.Duration{0, took * 5 / 4}[i%2], func() (int, string) {
			return p.helioctl(many(next), "apply", "-f", "-", "-o", "name")
		})
		codes[code]++
		for rand.IntN(3) == 0 { // recovery is no safer place
			again++
			c := p.start("controlplane", "--data-dir", p.dir+"/cp", "--admin-listen", p.admin, "--stream-listen", p.stream, "--admin-address", "")
			time.Sleep(rand.N(400 * time.Millisecond))
			p.kill(c)
		}
		p.startControl()
		switch code {
		case 0:
			now = next
		case 4: // not reached, and so not written
		case 5:
			request := found(t, `To find out: helioctl audit --request (\S+)`, out)
			switch done, said := p.helioctl("", "audit", "--request", request); {
			case done == 0:
				now = next
			case done != 1 || !strings.Contains(said, "was not carried out"):
				t.Fatalf("audit of an unknown outcome: exit code %d, %s", done, said)
			}
		default:
			t.Fatalf("exit code %d\n%s", code, out)
		}
		got := p.want(0, "", []string{"get", "users", "-o", "yaml"})
		if n := strings.Count(got, "serverUser: "+now+"\n"); n != 300 {
			t.Fatalf("after exit code %d: %d of 300 resources are as %q says", code, n, now)
		}
		Within(t, patience, "both proxies run "+now, func() bool {
			all, _ := p.fleet()
			return all["a"].State == "synced" && all["a"].Hash == hashes[now] && all["b"].State == "synced" && all["b"].Hash == hashes[now]
		})
	}
	t.Logf("exit codes %v, killed %d times more in recovery, an apply takes %v", codes, again, took)
	seen := map[string]int{}
	for _, m := range regexp.MustCompile(`configuration in force.*"hash": "([0-9a-f]+)"`).FindAllStringSubmatch(p.log.String(), -1) {
		seen[m[1]]++
		if whole[m[1]] == "" {
			t.Errorf("a proxy has run content %s, which is none that was ever applied", m[1])
		}
	}
	if len(seen) != len(whole) {
		t.Errorf("the logs tell of %d contents, want %d", len(seen), len(whole))
	}
}
