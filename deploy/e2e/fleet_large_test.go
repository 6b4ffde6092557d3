package e2e

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgcluster"
)

// largeUsers are the users from a number up to another one, with a password of so many letters each.
func largeUsers(from, to, letters int) string {
	var b strings.Builder
	for i := from; i < to; i++ {
		fmt.Fprintf(&b, "---\napiVersion: helios/v1\nkind: User\nmetadata: {name: u%05d}\nspec: {serverPassword: %q}\n", i,
			strings.Repeat(fmt.Sprintf("%010d", i), letters/10))
	}
	return b.String()
}

// sentBytes is what the control plane says it has sent last to a proxy.
func (p *processes) sentBytes(name string) int {
	p.t.Helper()
	last := ""
	for line := range strings.Lines(p.want(0, "", []string{"events", "-o", "json"})) {
		var e struct{ Type, Node, Message string }
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			p.t.Fatalf("%v: %s", err, line)
		}
		if e.Type == "sent" && e.Node == name {
			last = e.Message
		}
	}
	n, err := strconv.Atoi(found(p.t, `(\d+) bytes$`, last))
	if err != nil {
		p.t.Fatal(err)
	}
	return n
}

// TestLargeConfiguration: 10 MB reach a proxy, one over a limit is refused with its size and the limit and changes nothing,
// and a change of one resource sends that resource, as the control plane says and a meter on the wire confirms.
//
// It was seen to find a session that forgets what differs and sends the whole (distribute: no base).
func TestLargeConfiguration(t *testing.T) {
	t.Parallel()
	const limit, small = 12 << 20, 64 << 10
	server := pgcluster.Start(t, pgcluster.Options{}).Primary
	p := startProcesses(t)
	p.kill(p.control)
	p.startControl("--max-config-bytes", strconv.Itoa(limit))
	wire := StartWire(t, p.stream)
	p.through(wire.Addr, "a")
	p.want(0, resources(server, 3), []string{"apply", "-f", "-"})
	p.follow(patience, "", "a")

	before, empty := wire.Down(), p.hash()
	p.want(0, largeUsers(0, 1000, 10_000), []string{"apply", "-f", "-", "-o", "name"})
	p.follow(patience, empty, "a")
	if got := wire.Down() - before; got < 10_000_000 || got > 11_000_000 {
		t.Errorf("10 MB are %d bytes on the wire", got)
	}
	if n := p.sentBytes("a"); n < 10_000_000 || n > 11_000_000 {
		t.Errorf("10 MB are %d bytes in events", n)
	}
	if got, err := p.psql(p.ports["a"], "select 7"); err != nil || got != "7" {
		t.Errorf("%q, %v", got, err)
	}
	p.through(wire.Addr, "late") // gets it whole
	p.synced(patience, "a", "late")
	p.through(wire.Addr, "narrow", "--max-config-bytes", "1000000")
	Within(t, patience, "a proxy that takes less refuses", func() bool {
		all, _ := p.fleet()
		return all["narrow"].State == "nacked" && all["narrow"].Rejection.Stage == "verify"
	})
	p.want(0, "", []string{"fleet", "status"}, `stage verify: it has 10\d{6} bytes, and this proxy takes 1000000 \(--max-config-bytes\)`)
	p.end(p.proxies["narrow"])
	delete(p.proxies, "narrow")

	hash := p.hash()
	for _, refused := range []struct{ text, says string }{
		{largeUsers(0, 1300, 10_000), fmt.Sprintf(`would have 1[23]\d{6} bytes, more than the %d that are allowed \(--max-config-bytes\)`, limit)},
		{largeUsers(1000, 1300, 10_000), fmt.Sprintf(`the configuration would have 13\d{6} bytes, more than the %d that are allowed \(--max-config-bytes\)`, limit)},
		{largeUsers(0, 1, 600_000), `User "u00000" would have 600\d{3} bytes, more than the 524288 that are allowed`},
	} {
		p.want(1, refused.text, []string{"apply", "-f", "-", "-o", "name"}, refused.says)
	}
	time.Sleep(full(2*time.Second, 500*time.Millisecond)) // whatever would come of them comes later
	if got := p.hash(); got != hash {
		t.Errorf("what was refused has changed the content from %s to %s", hash, got)
	}

	before = wire.Down() + wire.Up()
	p.want(0, largeUsers(7, 8, 9_990), []string{"apply", "-f", "-", "-o", "name"})
	p.follow(patience, hash, "a", "late")
	if got := wire.Down() + wire.Up() - before; got < 2*9_000 || got > 2*small {
		t.Errorf("one resource for two proxies was %d bytes on the wire", got)
	} else {
		t.Logf("one resource for two proxies was %d bytes on the wire", got)
	}
	for _, name := range []string{"a", "late"} {
		if n := p.sentBytes(name); n < 9_000 || n > small {
			t.Errorf("one resource is %d bytes in events of %s", n, name)
		}
	}
	dump := p.want(0, "", []string{"node", "config", "late", "-o", "json"})
	if n := len(regexp.MustCompile(`"kind": *"User"`).FindAllString(dump, -1)); n != 1000 {
		t.Errorf("the late proxy runs %d users", n)
	}
}
