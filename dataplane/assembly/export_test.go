package assembly

import (
	"github.com/heliosproxy/heliosproxy/dataplane/assembly/certs"
	"github.com/heliosproxy/heliosproxy/dataplane/assembly/desk"
	"github.com/heliosproxy/heliosproxy/dataplane/assembly/unused"
	"github.com/heliosproxy/heliosproxy/dataplane/localadmin"
	"github.com/heliosproxy/heliosproxy/dataplane/lookup"
	"github.com/heliosproxy/heliosproxy/dataplane/reactor"
	"github.com/heliosproxy/heliosproxy/dataplane/serve"
	"github.com/heliosproxy/heliosproxy/dataplane/snapshot"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// What the tests of this package see of a proxy's inside. They stand outside of it, as what they are played on imports it.

const (
	TakeoverSocket = takeoverSocket
	Unasked        = unasked
)

func (p *Proxy) Hub() *serve.Hub              { return p.hub }
func (p *Proxy) Group() *reactor.Group        { return p.group }
func (p *Proxy) Desk() *desk.Desk             { return p.desk }
func (p *Proxy) Admin() *localadmin.Server    { return p.admin }
func (p *Proxy) Secrets() *certs.Store        { return p.secrets }
func (p *Proxy) Unused() *unused.Unused       { return p.unused }
func (p *Proxy) Snapshot() *snapshot.Snapshot { return p.current.Load() }
func (p *Proxy) Catalogs() *catalogs          { return p.catalogs }
func (p *Proxy) Succession() *succession      { return p.succession }
func (p *Proxy) Fate() serve.Fate             { return p.fate() }
func (p *Proxy) Become(f serve.Fate)          { p.become(f) }
func (p *Proxy) Shut()                        { p.shut() }

// Hold keeps Apply, Drain and Close waiting until it is released.
func (p *Proxy) Hold() (release func()) {
	p.mu.Lock()
	return p.mu.Unlock
}

// Report is what a control plane is told of the proxy that follows it.
func (p *Proxy) Report(o *ControlPlane) *heliosv1.StatusReport {
	x, _ := reporter{p, o}.Report()
	return x
}

// Count sums what the loops have counted: queries and system calls.
func (p *Proxy) Count() (queries, calls uint64) {
	for _, l := range p.group.Loops() {
		l.PostWait(func() {
			for _, a := range l.Local.(*serve.Local).Accounts() {
				queries += a.Queries
			}
			calls += l.Calls
		})
	}
	return queries, calls
}

// Clients is how many a proxy has.
func (p *Proxy) Clients() (n int) {
	for _, l := range p.group.Loops() {
		n += l.Load()
	}
	return n
}

// Inquirers are those that look users up.
func (p *Proxy) Inquirers() (all []*lookup.Users) {
	p.inquirers.mu.Lock()
	defer p.inquirers.mu.Unlock()
	for _, u := range p.inquirers.all {
		all = append(all, u.Users)
	}
	return all
}

// Asked are the nodes at which users were looked up.
func (p *Proxy) Asked() (nodes []string) {
	p.inquirers.mu.Lock()
	defer p.inquirers.mu.Unlock()
	for k := range p.inquirers.all {
		nodes = append(nodes, k.node)
	}
	return nodes
}

// Readings is how often readers have read their catalogues, and how many readers there are.
func (c *catalogs) Readings() (readings, readers int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range c.readers {
		readings += int(r.Stats().Readings)
	}
	return readings, len(c.readers)
}

func (s *succession) Refusal() string { return s.refusal() }

// Given are the numbers of those who were sent to the successor, which has not taken them yet.
func (s *succession) Given() (ids []uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id := range s.given {
		ids = append(ids, id)
	}
	return ids
}

// Lent is how many places the successor has.
func (s *succession) Lent() (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, k := range s.places {
		n += k
	}
	return n
}
