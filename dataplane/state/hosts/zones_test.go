package hosts

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap/zaptest/observer"
)

// give says what serial number a zone has from now on; 0: nobody answers.
func (o *oracle) give(zone string, serial uint32) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.serials == nil {
		o.serials = map[string]uint32{}
	}
	if o.serials[zone] = serial; serial == 0 {
		delete(o.serials, zone)
	}
}

// asks are the questions since the last call, for names and for zones.
func (o *oracle) asks() (names, zones int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	names, zones = o.asked, o.zones
	o.asked, o.zones = 0, 0
	return names, zones
}

func wantAsks(t *testing.T, o *oracle, names, zones int, what string) {
	t.Helper()
	synctest.Wait()
	if n, z := o.asks(); n != names || z != zones {
		t.Errorf("%s: asked for %d names and %d zones, want %d and %d", what, n, z, names, zones)
	}
}

func wantZones(t *testing.T, b *Book, want string) {
	t.Helper()
	if got := fmt.Sprint(b.Zones()); got != want {
		t.Errorf("zones %s, want %s", got, want)
	}
}

// policy keeps answers for so long that only zones have names asked for.
func policy(period time.Duration) Policy {
	return Policy{MaxTTL: 24 * time.Hour, NoneTTL: 24 * time.Hour, ZonePeriod: period}
}

const minute = time.Minute

// TestZones asks for the names of a zone whose serial number is another one, and for no others.
func TestZones(t *testing.T) {
	in(t, func(t *testing.T, o *oracle, b *Book, logged *observer.ObservedLogs) {
		b.Use(policy(minute))
		o.set(time.Hour, nil, "10.0.0.1")
		o.give("a.test", 7)
		o.give("b.test", 7)
		s, other := b.Server(servers("one.a.test,TWO.a.TEST.,10.0.0.9,bare"), false), b.Server(servers("one.b.test"), false)
		b.Server(servers("never.c.test"), false) // nobody connects to it
		s.Ask(t.Context())
		other.Ask(t.Context())
		wantAsks(t, o, 4, 0, "at first")
		wantZones(t, b, "[{a.test 0 2} {b.test 0 1}]")
		pass(minute)
		wantAsks(t, o, 3, 2, "with the first serial numbers") // what is known is older than those
		wantZones(t, b, "[{a.test 7 2} {b.test 7 1}]")
		pass(3 * minute)
		wantAsks(t, o, 0, 6, "while they are the same")

		o.set(time.Hour, nil, "10.0.0.2")
		for i, serial := range []uint32{8, 6, 4294967295, 1} { // another one, not a greater one
			o.give("a.test", serial)
			pass(minute)
			wantAsks(t, o, 2, 2, fmt.Sprintf("with serial number %d", serial))
			wantZones(t, b, fmt.Sprintf("[{a.test %d 2} {b.test 7 1}]", serial))
			if n := logged.FilterMessage("a zone has changed: its names are looked up").Len(); n != i+1 {
				t.Errorf("logged %d times", n)
			}
		}
		want(t, s, "10.0.0.2:5432 10.0.0.2:5432 10.0.0.9:5432 10.0.0.1:5432")
		want(t, other, "10.0.0.1:5432")
		if _, changes := o.count(); changes != 2 {
			t.Errorf("%d addresses are gone", changes)
		}
	})
}

// TestZonesOff looks at zones while there are names and the policy says so, in the time that it says.
func TestZonesOff(t *testing.T) {
	in(t, func(t *testing.T, o *oracle, b *Book, _ *observer.ObservedLogs) {
		watched := func(period time.Duration, what string) {
			t.Helper()
			if b.period != period {
				t.Errorf("%s: looked at each %s, want %s", what, b.period, period)
			}
		}
		o.set(time.Hour, nil, "10.0.0.1")
		o.give("a.test", 7)
		b.Use(policy(0))
		s := b.Server(servers("db.a.test"), false)
		s.Ask(t.Context())
		pass(time.Hour - time.Nanosecond)
		wantAsks(t, o, 1, 0, "without a period")
		wantZones(t, b, "[{a.test 0 1}]")
		b.Retain(nil)
		b.Use(policy(minute))
		watched(0, "without a name")

		s = b.Server(servers("db.a.test"), false)
		s.Ask(t.Context())
		watched(minute, "with a name")
		pass(minute)
		wantAsks(t, o, 2, 1, "with a period")
		b.Use(policy(2 * minute))
		pass(2*minute - time.Nanosecond)
		wantAsks(t, o, 0, 0, "before another period is over")
		pass(time.Nanosecond)
		wantAsks(t, o, 0, 1, "with another period")
		b.Use(policy(time.Millisecond))
		watched(time.Second, "with a short period")
		b.Use(policy(0))
		pass(10 * minute)
		wantAsks(t, o, 0, 0, "without a period again")
		wantZones(t, b, "[{a.test 0 1}]")
		b.Use(policy(minute))
		b.Retain(nil)
		watched(0, "without a name again")
		pass(10 * minute)
		wantAsks(t, o, 0, 0, "without a name again")
		wantZones(t, b, "[]")
	})
}

// TestZonesFailure: while nobody says which serial number a zone has nothing changes, and the log says it once.
func TestZonesFailure(t *testing.T) {
	in(t, func(t *testing.T, o *oracle, b *Book, logged *observer.ObservedLogs) {
		b.Use(policy(minute))
		o.set(24*time.Hour, nil, "10.0.0.1")
		o.give("a.test", 7)
		s := b.Server(servers("db.a.test"), false)
		s.Ask(t.Context())
		pass(minute)
		wantAsks(t, o, 2, 1, "at first")
		warned := func(times int) {
			t.Helper()
			if n := logged.FilterMessageSnippet("it cannot be seen whether a zone has changed").Len(); n != times {
				t.Errorf("logged %d times, want %d", n, times)
			}
		}
		o.give("a.test", 0)
		pass(5 * minute)
		wantAsks(t, o, 0, 5, "while nobody answers")
		warned(1)
		wantZones(t, b, "[{a.test 7 1}]")
		o.give("a.test", 7)
		pass(minute)
		wantAsks(t, o, 0, 1, "when the zone is as before")
		o.give("a.test", 0)
		pass(5 * minute)
		wantAsks(t, o, 0, 5, "while nobody answers again")
		warned(2)
		o.give("a.test", 8)
		pass(minute)
		wantAsks(t, o, 1, 1, "when the zone is another one")
		want(t, s, "10.0.0.1:5432")
	})
}

// TestZonesSlow follows a zone while name servers say nothing of another one, of which there is one question at a time.
func TestZonesSlow(t *testing.T) {
	in(t, func(t *testing.T, o *oracle, b *Book, _ *observer.ObservedLogs) {
		b.Use(policy(9 * time.Second))
		o.slow = "slow.test"
		o.set(24*time.Hour, nil, "10.0.0.1")
		s := b.Server(servers("db.a.test,db.slow.test"), false)
		s.Ask(t.Context())
		wantAsks(t, o, 2, 0, "at first")
		for i := range 9 {
			o.give("a.test", uint32(i+1))
			pass(9 * time.Second)
			zones := 1
			if i%4 == 0 { // after lookupLimit, and at the next time to look
				zones = 2
			}
			wantAsks(t, o, 1, zones, "with another serial number")
		}
	})
}

// TestZonesFull goes by the name that name servers know, also while they do not.
func TestZonesFull(t *testing.T) {
	in(t, func(t *testing.T, o *oracle, b *Book, _ *observer.ObservedLogs) {
		b.Use(policy(minute))
		o.search = ".inner.test."
		o.give("inner.test", 7)
		o.set(24*time.Hour, nil, "10.0.0.1")
		s := b.Server(servers("db"), false)
		s.Ask(t.Context())
		wantZones(t, b, "[{inner.test 0 1}]")
		o.set(0, errNone)
		pass(minute)
		wantAsks(t, o, 2, 1, "at first")
		want(t, s, "no such host")
		wantZones(t, b, "[{inner.test 7 1}]")
		o.set(24*time.Hour, nil, "10.0.0.2")
		o.give("inner.test", 8)
		pass(minute)
		wantAsks(t, o, 1, 1, "when there is such a host again")
		want(t, s, "10.0.0.2:5432")
	})
}

// TestZonesUnderWay asks again where a name is being asked for: the answer may be from before.
func TestZonesUnderWay(t *testing.T) {
	in(t, func(t *testing.T, o *oracle, b *Book, _ *observer.ObservedLogs) {
		p := policy(minute)
		p.MaxTTL = minute - 10*time.Second
		b.Use(p)
		o.set(time.Hour, nil, "10.0.0.1")
		o.give("a.test", 7)
		s := b.Server(servers("db.a.test"), false)
		s.Ask(t.Context())
		o.mu.Lock()
		o.takes = 20 * time.Second
		o.mu.Unlock()
		pass(minute) // 10 s after the question that came by itself
		wantAsks(t, o, 2, 1, "while it is asked for")
		pass(10 * time.Second)
		wantAsks(t, o, 1, 0, "then")
		pass(20 * time.Second)
	})
}
