package e2e

import (
	"io"
	"net/http"
	"os/exec"
	"regexp"
	"syscall"
	"testing"
	"time"

	"github.com/heliosproxy/heliosproxy/pkg/testkit/freeport"
)

// end asks a process to end and waits until it has.
func (p *processes) end(cmd *exec.Cmd) {
	p.t.Helper()
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		p.t.Fatal(err)
	}
	late := time.AfterFunc(patience, func() { _ = cmd.Process.Kill() })
	if err := cmd.Wait(); err != nil {
		p.t.Errorf("%v, asked to end: %v", cmd.Args[1:], err)
	}
	late.Stop()
}

// through starts a proxy that reaches the control plane at another address.
func (p *processes) through(address, name string, more ...string) {
	p.t.Helper()
	p.ports[name] = freeport.For(p.t)
	direct := p.stream
	p.stream = address
	p.startProxy(name, more...)
	p.stream = direct
}

// hash is that of the content that all proxies should run.
func (p *processes) hash() string {
	p.t.Helper()
	all, hash := p.fleet()
	if all == nil {
		p.t.Fatal("no fleet status")
	}
	return hash
}

// follow waits until the content that all should run is another one than it was before a write, and the proxies run it.
func (p *processes) follow(limit time.Duration, before string, names ...string) string {
	p.t.Helper()
	hash := ""
	Within(p.t, limit, "what was written is to be run", func() bool {
		_, hash = p.fleet()
		return hash != "" && hash != before
	})
	p.synced(limit, names...)
	return hash
}

// fetch reads a page. A server that is not there is code 0.
func fetch(address, path string) (code int, body string) {
	client := http.Client{Timeout: patience}
	r, err := client.Get("http://" + address + path)
	if err != nil {
		return 0, err.Error()
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		return 0, err.Error()
	}
	return r.StatusCode, string(b)
}

// found is the first group of a pattern in a text; a test without it cannot go on.
func found(t testing.TB, pattern, text string) string {
	t.Helper()
	m := regexp.MustCompile("(?m)" + pattern).FindStringSubmatch(text)
	if m == nil {
		t.Fatalf("there is no %s in\n%s", pattern, text)
	}
	return m[1]
}
