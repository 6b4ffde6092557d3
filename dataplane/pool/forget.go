package pool

import "time"

// use is how an alias was used last.
type use struct {
	turn  uint64 // the registry's, when a pool was asked for by it last
	since int64  // when it was seen first that no client has it, as loops count time; 0: one had it when that was looked at last
}

// Client is who uses a pool by an alias, whatever server name that has.
type Client struct {
	Pool           *Pool
	Database, User string
}

// Forgetting says which aliases are forgotten, and the pools that no alias leads to then.
type Forgetting struct {
	Now   int64         // as loops count time
	After time.Duration // how long no client has to have used an alias
	Keeps func(Alias) bool
	// Used returns which clients there are. It may take its time: those who come meanwhile are noticed.
	Used func() map[Client]bool
}

// Forget drops the aliases that have had no client for f.After, but for those that f keeps, and closes the pools that no alias leads to any
// more, with the connections that they keep. Where there is no such database its aliases are dropped without delay, as soon as it may be
// tried again: at the next Forget if soon.
func (r *Registry) Forget(f Forgetting) (forgotten int, soon bool) {
	r.mu.Lock()
	r.turn++
	r.mu.Unlock()
	used := f.Used()
	r.mu.Lock()
	defer r.mu.Unlock()
	for k, p := range r.pools {
		missing, retried := p.missing(f.Now)
		for as, u := range p.aliases {
			switch {
			case f.Keeps(as):
				continue
			case u.turn == r.turn || used[Client{p, as.Database, as.User}]:
				u.since = 0
			case u.since == 0:
				u.since = f.Now
			}
			p.aliases[as] = u
			if u.since == 0 {
				continue
			}
			if (retried || f.Now-u.since >= int64(f.After)) && (len(p.aliases) > 1 || p.rests()) {
				delete(p.aliases, as)
				forgotten++
				continue
			}
			soon = soon || missing
		}
		if len(p.aliases) == 0 {
			r.close(k, p)
		}
	}
	return forgotten, soon
}

// missing says whether the server has no such database, and whether it has been long enough since it has said so to ask again.
func (p *Pool) missing(now int64) (yes, retried bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	yes = p.total.Load() == 0 && refusedWith(p.lastErr, "3D000")
	return yes, yes && now-p.failed >= int64(p.profile.Load().Retry)
}

// rests says whether nobody waits for a connection, none is on its way, and no other process has one.
func (p *Pool) rests() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.waiting.Load() == 0 && p.wanted.Load() == 0 && p.lent.Load() == 0 && p.opening == 0 && p.dialing == 0 && !p.held.Load()
}
