package hosts

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"
)

// Serial finds the serial number of a zone. Those who look after a zone give it another one with each change.
type Serial func(ctx context.Context, zone string) (uint32, error)

// zone is what names have behind their first dot: a zone of DNS, or a part of one. The book's lock is for all of it.
type zone struct {
	name   string
	serial uint32 // the last that was said
	known  bool   // one was said
	failed bool   // the last question was not answered
	looked bool   // at just now
}

// Zone is what is known of a zone.
type Zone struct {
	Name   string
	Serial uint32 // 0: nobody has asked yet, or nobody has answered
	Names  int    // in it that were asked for
}

// Zones returns the zones of the names that were asked for, in order.
func (b *Book) Zones() (all []Zone) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for z, n := range b.sorted() {
		all = append(all, Zone{z.name, z.serial, n})
	}
	slices.SortFunc(all, func(a, b Zone) int { return cmp.Compare(a.Name, b.Name) })
	return all
}

// sorted returns the zones of the names that were asked for, with how many those are, and forgets all others. The book is locked.
func (b *Book) sorted() map[*zone]int {
	all := map[*zone]int{}
	for _, n := range b.names {
		text := n.zone()
		if text == "" {
			continue
		}
		z := b.zones[text]
		if z == nil {
			z = &zone{name: text}
			b.zones[text] = z
		}
		all[z]++
	}
	maps.DeleteFunc(b.zones, func(_ string, z *zone) bool { return all[z] == 0 })
	return all
}

// zone is what the name has behind its first dot; empty if that is nothing, or it was not asked for yet.
func (n *name) zone() string {
	a := n.last.Load()
	if a == nil {
		return ""
	}
	_, zone, _ := strings.Cut(strings.TrimSuffix(cmp.Or(a.full, n.text), "."), ".")
	return strings.ToLower(zone)
}

// tend has zones looked at as the policy says, while there are names. The book is locked.
func (b *Book) tend() {
	period := b.policy.ZonePeriod
	if period > 0 {
		period = max(shortest, period)
	}
	if len(b.names) == 0 {
		period = 0
	}
	if period == b.period {
		return
	}
	if b.period > 0 {
		b.rest()
	}
	b.period = period
	if period == 0 {
		clear(b.zones)
		return
	}
	var ctx context.Context
	ctx, b.rest = context.WithCancel(b.ctx)
	go b.watch(ctx, period)
}

// watch looks at all zones from time to time, until ctx ends.
func (b *Book) watch(ctx context.Context, period time.Duration) {
	tick := time.NewTicker(period)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		b.mu.Lock()
		for z := range b.sorted() {
			if !z.looked { // name servers that do not answer keep nobody but those who wait for them
				z.looked = true
				go b.look(ctx, z)
			}
		}
		b.mu.Unlock()
	}
}

// look asks for the serial number of a zone, and for its names where that is another one. So is the first: what is known of the names is
// older, and nobody knows of what.
func (b *Book) look(ctx context.Context, z *zone) {
	defer func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		z.looked = false
	}()
	asking, stop := context.WithTimeout(ctx, lookupLimit)
	serial, err := b.o.Serial(asking, z.name)
	stop()
	if ctx.Err() != nil {
		return
	}
	b.mu.Lock()
	was := *z
	var names []*name
	if z.failed = err != nil; err == nil {
		z.serial, z.known = serial, true
		names = slices.DeleteFunc(slices.Collect(maps.Values(b.names)), func(n *name) bool { return n.zone() != z.name })
	}
	b.mu.Unlock()
	log := b.o.Log.With(zap.String("zone", z.name))
	switch {
	case err != nil:
		if !was.failed {
			log.Warn("it cannot be seen whether a zone has changed: its names are looked up when their time is over", zap.Error(err))
		}
		return
	case was.known && was.serial == serial:
		return
	case was.known:
		log.Info("a zone has changed: its names are looked up", zap.Uint32("before", was.serial), zap.Uint32("serial", serial))
	}
	var all sync.WaitGroup
	for _, n := range names {
		all.Go(func() { n.anew(b.ctx) })
	}
	all.Wait()
}
