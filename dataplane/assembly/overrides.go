package assembly

import (
	"context"
	"maps"

	"github.com/heliosproxy/heliosproxy/dataplane/assembly/desk"
	"github.com/heliosproxy/heliosproxy/dataplane/console"
	"github.com/heliosproxy/heliosproxy/dataplane/state/gate"
	"github.com/heliosproxy/heliosproxy/pkg/pgerr"
	"github.com/heliosproxy/heliosproxy/pkg/resource"
)

// The ways in which a proxy can be told to end.
const (
	Immediately    = console.Immediately
	WaitForServers = console.WaitForServers
	WaitForClients = console.WaitForClients
)

// Shutdown is whom a proxy waits for that ends.
type Shutdown = console.Shutdown

// Pause holds all clients and returns when the server connections are closed.
func (p *Proxy) Pause(ctx context.Context) error { return p.desk.Pause(ctx, gate.All) }

// Resume lets all clients go on.
func (p *Proxy) Resume() { _ = p.desk.Resume(gate.All) }

// configuration is what a proxy has in force, as its desk sees it.
type configuration struct{ p *Proxy }

// Shown implements [desk.Configuration].
func (c configuration) Shown() (*resource.Set, map[string]string) {
	c.p.mu.Lock()
	defer c.p.mu.Unlock()
	return c.p.applied, c.p.overrides
}

// Override implements [desk.Configuration].
func (c configuration) Override(key, value string) error {
	p := c.p
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.applied == nil {
		return pgerr.New(pgerr.NotReady)
	}
	overrides := map[string]string{}
	maps.Copy(overrides, p.overrides)
	overrides[key] = value
	set := desk.Overridden(p.applied, overrides)
	if err := set.Validate(); err != nil {
		return pgerr.New(pgerr.ConsoleSetting, key, err.Error())
	}
	if _, err := p.apply(set, nil); err != nil {
		return pgerr.New(pgerr.ConsoleSetting, key, err.Error())
	}
	p.overrides = overrides
	return nil
}

// Unset puts in force what the configuration says in place of what was set on the console.
func (p *Proxy) Unset() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.overrides) == 0 {
		return nil
	}
	if _, err := p.apply(p.applied, nil); err != nil {
		return err
	}
	p.overrides = nil
	return nil
}
