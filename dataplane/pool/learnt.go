package pool

import (
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/heliosproxy/heliosproxy/dataplane/state/settings"
)

// learntLimit bounds how many sets a pool remembers, learntSize how long one may be, in bytes.
const (
	learntLimit = 4096
	learntSize  = 8 << 10
)

// Learnt is what a pool knows of its server from having asked: which settings it accepts for the
// pool's user, and what it then reports. Any thread may use it.
type Learnt struct {
	mu       sync.Mutex
	accepted map[settings.Set]struct{}
	reported map[settings.Set]Report
	first    []settings.Pair // what the server reports to a new connection
}

func (k *Learnt) init() {
	k.accepted = map[settings.Set]struct{}{{}: {}}
	k.reported = map[settings.Set]Report{}
}

// Accepted says whether the server has accepted the set before.
func (k *Learnt) Accepted(s settings.Set) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	_, ok := k.accepted[s]
	return ok
}

// Accept notes that the server has accepted the set. One that is very long is not remembered, and confirmed each time.
func (k *Learnt) Accept(s settings.Set) {
	if s.Len() > learntSize {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.accepted) >= learntLimit {
		clear(k.accepted)
	}
	k.accepted[s] = struct{}{}
}

// Report is what the server reports to a client when it logs in. It is not changed.
type Report struct {
	Params   []settings.Pair
	Defaults settings.Set // of those that the client has not set
}

// Reported returns what the server reports under the set; ok is false where that is not known.
func (k *Learnt) Reported(s settings.Set) (r Report, ok bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	r, ok = k.reported[s]
	return r, ok
}

// Report notes what the server reports under the set.
func (k *Learnt) Report(s settings.Set, r Report) {
	if s.Len() > learntSize {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.reported) >= learntLimit {
		clear(k.reported)
	}
	k.reported[s] = r
}

// Compare takes what the server reports to a new connection, and forgets all that was learnt where that
// is not what it reported to the one before: it is another server, or it has been configured anew.
func (k *Learnt) Compare(ps []settings.Pair) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.first != nil && !slices.Equal(k.first, ps) {
		k.init()
	}
	k.first = slices.Clone(ps)
}

// Before says whether the server is known to be older than the major version.
func (k *Learnt) Before(major int) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, p := range k.first {
		if p.Name != "server_version" {
			continue
		}
		digits := strings.IndexFunc(p.Value, func(r rune) bool { return r < '0' || r > '9' })
		if digits < 0 {
			digits = len(p.Value)
		}
		n, err := strconv.Atoi(p.Value[:digits])
		return err == nil && n < major
	}
	return false
}

// Forget drops what was learnt: the server behind the pool may be another one.
func (k *Learnt) Forget() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.init()
}
