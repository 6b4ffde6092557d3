package facts

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/heliosproxy/heliosproxy/dataplane/state/catalog"
	"github.com/heliosproxy/heliosproxy/pkg/sqlparse"
	"github.com/heliosproxy/heliosproxy/pkg/sqltext"
)

// TestOf has texts, and what is known of each.
func TestOf(t *testing.T) {
	c := NewCache(1 << 20)
	for range 2 { // when it is learnt, and when it is known
		for _, tt := range []struct {
			text  string
			off   bool // standard_conforming_strings
			want  sqltext.Summary
			calls string // the function that the grammar finds, - where it does not know the text
		}{
			{text: "", want: sqltext.Summary{}},
			{text: "select f(1)", want: sqltext.Summary{Statements: 1, First: sqltext.VerbSelect}, calls: "f"},
			{text: "select f('a')", want: sqltext.Summary{Statements: 1, First: sqltext.VerbSelect}, calls: "f"},
			{text: "select f('now')", want: sqltext.Summary{Statements: 1, First: sqltext.VerbSelect, Flags: sqltext.FlagTimeWords}, calls: "f"},
			{text: "select now(), 'known'", want: sqltext.Summary{Statements: 1, First: sqltext.VerbSelect}, calls: "now"},
			{text: `select f('\'), 'now()'`, want: sqltext.Summary{Statements: 1, First: sqltext.VerbSelect, Flags: sqltext.FlagTimeWords}, calls: "f"},
			{text: `select f('\''), '\x6eow'`, off: true, want: sqltext.Summary{Statements: 1, First: sqltext.VerbSelect, Flags: sqltext.FlagTimeWords}, calls: "f"},
			{text: "SET a = 'b'; begin", want: sqltext.Summary{Statements: 2, First: sqltext.VerbSet, Flags: sqltext.FlagSet | sqltext.FlagBegin | sqltext.FlagTransactionControl}},
			{text: "do $$ set_config $$", want: sqltext.Summary{Statements: 1, First: sqltext.VerbDo, Flags: sqltext.FlagSetConfig}},
			{text: "do $$ advisory $$", want: sqltext.Summary{Statements: 1, First: sqltext.VerbDo, Flags: sqltext.FlagAdvisory}},
			{text: "do $$ $$", want: sqltext.Summary{Statements: 1, First: sqltext.VerbDo}},
			{text: "select pg_advisory_lock(1) /* set_config */", want: sqltext.Summary{Statements: 1, First: sqltext.VerbSelect, Flags: sqltext.FlagAdvisory}, calls: "pg_advisory_lock"},
			{text: "select f(1) from", want: sqltext.Summary{Statements: 1, First: sqltext.VerbSelect}, calls: "-"},
			{text: "select f(1), 'a", want: sqltext.Summary{Statements: 1, First: sqltext.VerbSelect, Flags: sqltext.FlagUnfollowable}, calls: "-"},
			{text: `select U&"set\005fconfig"()`, want: sqltext.Summary{Statements: 1, First: sqltext.VerbSelect, Flags: sqltext.FlagUnfollowable}, calls: "-"},
		} {
			got := c.Of([]byte(tt.text), !tt.off)
			calls := ""
			switch {
			case got.SQL == nil:
				calls = "-"
			case len(got.SQL.Functions) > 0:
				calls = got.SQL.Functions[0].Name
			}
			if strings.Contains(got.Shape.key, "now'") {
				t.Errorf("%q: the shape is %q", tt.text, got.Shape.key)
			}
			if got.Summary != tt.want || calls != tt.calls || got.SQL != got.Facts() {
				t.Errorf("%q: %+v calls %q, want %+v calls %q", tt.text, got.Summary, calls, tt.want, tt.calls)
			}
		}
	}
	if a, b := c.Of([]byte("select f(1)"), true), c.Of([]byte("select g(1)"), true); a.Shape == b.Shape {
		t.Error("texts that differ in a name have one shape")
	}
	if a, b := c.Of([]byte("select f(1), 'a'"), true), c.Of([]byte("select\nf(27),/**/$$b$$ -- c"), false); a.Shape != b.Shape {
		t.Error("texts that differ in literals and comments have two shapes")
	}
}

// judge is a catalogue that counts how often it is asked.
type judge struct {
	asked int
	epoch uint64
	about *sqlparse.Facts
}

func (j *judge) Judge(f *sqlparse.Facts) (catalog.Reach, uint64) {
	j.asked++
	j.about = f
	return catalog.Reach(j.epoch), j.epoch
}

func (j *judge) Epoch() uint64 { return j.epoch }

func (*judge) Why(*sqlparse.Facts) string { return "" }

func (*judge) Parameters() ([]string, bool) { return nil, true }
func (*judge) Coming() bool                 { return false }

func (*judge) Change() func() { return func() {} }

// TestReach asks a catalogue once an epoch.
func TestReach(t *testing.T) {
	c := NewCache(1 << 20)
	s := c.Of([]byte("select 1"), true).Shape
	a, b := &judge{epoch: 1}, &judge{epoch: 2}
	for i, step := range []struct {
		of    *judge
		epoch uint64
		asked int
	}{{a, 1, 1}, {a, 1, 1}, {a, 3, 2}, {a, 3, 2}, {b, 2, 1}, {b, 2, 1}, {a, 3, 3}, {a, 0, 4}} {
		step.of.epoch = step.epoch
		if reach, epoch := s.Reach(step.of); reach != catalog.Reach(step.epoch) || epoch != step.epoch || step.of.asked != step.asked || step.of.about != s.SQL {
			t.Errorf("step %d: reach %d of epoch %d, asked %d times about %v", i, reach, epoch, step.of.asked, step.of.about)
		}
	}
}

// big is a text that goroutines read, the n-th of its kind.
func big(n int) []byte {
	return []byte(fmt.Sprintf("select f%d(a)", n) + strings.Repeat(", a", longestAtOnce))
}

// rig is a cache whose goroutines and loop run when the test says so.
type rig struct {
	*Cache
	spawned, posted []func()
}

func newRig(limit int) *rig {
	r := &rig{Cache: NewCache(limit)}
	r.Spawn = func(f func()) { r.spawned = append(r.spawned, f) }
	r.Post = func(f func()) { r.posted = append(r.posted, f) }
	return r
}

func run(list *[]func()) {
	for _, f := range *list {
		f()
	}
	*list = nil
}

// TestBig reads big texts elsewhere: they are unknown until the loop hears of them, and so many at a time.
func TestBig(t *testing.T) {
	r := newRig(1 << 20)
	j := &judge{epoch: 1}
	s := r.Of(big(0), true).Shape
	if s.Reach(j); s.SQL != nil || j.about != nil || len(r.spawned) != 1 {
		t.Fatalf("facts %v, %d goroutines", s.SQL, len(r.spawned))
	}
	for n := range busiest + 1 {
		r.Of(big(n), true)
		r.Of(big(n), true)
	}
	if len(r.spawned) != busiest {
		t.Errorf("%d goroutines", len(r.spawned))
	}
	run(&r.spawned)
	if s.SQL != nil {
		t.Error("a goroutine has changed what belongs to the loop")
	}
	run(&r.posted)
	if s.SQL == nil || s.SQL.Functions[0].Name != "f0" || r.Of(big(0), true).Shape != s {
		t.Errorf("facts %v", s.SQL)
	}
	if s.Reach(j); j.asked != 2 || j.about != s.SQL {
		t.Error("the catalogue's answer is of what was not known")
	}
	last := r.Of(big(busiest), true) // whom nobody had time for
	run(&r.spawned)
	run(&r.posted)
	if last.SQL == nil || last.SQL.Functions[0].Name != fmt.Sprintf("f%d", busiest) {
		t.Errorf("facts %v", last.SQL)
	}
	r.check(t)
}

// TestBigIsDropped hears of a shape that is not kept any more.
func TestBigIsDropped(t *testing.T) {
	r := newRig(32 << 10)
	s := r.Of(big(0), true).Shape
	for n := range 100 {
		r.Of(fmt.Appendf(nil, "select a%d, %s b", n, strings.Repeat("b, ", 500)), true)
	}
	if r.Of(big(0), true).Shape == s {
		t.Fatal("it is still kept")
	}
	run(&r.spawned)
	run(&r.posted)
	if s.SQL == nil || r.busy != 0 {
		t.Errorf("facts %v, %d goroutines", s.SQL, r.busy)
	}
	r.check(t)
}

// TestTooBig has texts that are not read by the grammar.
func TestTooBig(t *testing.T) {
	r := newRig(1 << 20)
	text := []byte("set a = b; select 1" + strings.Repeat(", a", longestShape))
	if got := r.Of(text, true); got.Summary != sqltext.Classify(text, true) || got.SQL != nil || len(r.spawned) != 0 {
		t.Errorf("%+v, facts %v", got.Summary, got.SQL)
	}
	long := []byte("insert into t values ('" + strings.Repeat("a", 1<<20) + "')")
	if got := r.Of(long, true); got.SQL == nil || got.Flags != 0 {
		t.Errorf("a long literal: %+v", got)
	}
	r.check(t)
}

// check states what must hold of a cache.
func (c *Cache) check(t *testing.T) {
	t.Helper()
	bytes := 0
	for _, s := range c.ring {
		bytes += s.bytes
		if c.shapes[s.key] != s {
			t.Errorf("%.40q is in the ring, and not found", s.key)
		}
	}
	if bytes != c.bytes || len(c.ring) != len(c.shapes) || bytes > c.limit {
		t.Errorf("%d bytes of %d shapes, %d found; counted %d, at most %d", bytes, len(c.ring), len(c.shapes), c.bytes, c.limit)
	}
	for _, s := range c.repeated {
		if s != nil && c.shapes[s.key] != s {
			t.Errorf("%.40q is found, and not kept", s.key)
		}
	}
}

// TestBounded fills a cache many times over, and keeps what is used all the time.
func TestBounded(t *testing.T) {
	r := newRig(64 << 10)
	often, lost := r.Of([]byte("select often"), true).Shape, 0
	rng := rand.New(rand.NewPCG(1, 2))
	for n := range 5000 {
		text := fmt.Appendf(nil, "select a%d from b where %s", n, strings.Repeat("c and ", rng.IntN(20))+"d")
		first, again := r.Of(text, true), r.Of(text, true)
		if first.Shape != again.Shape || first.SQL == nil {
			t.Fatalf("%s: %v, then %v", text, first, again)
		}
		if n%100 == 0 {
			r.Of(big(rng.IntN(10)), true)
			run(&r.spawned)
			run(&r.posted)
		}
		if s := r.Of([]byte("select often"), true).Shape; s != often {
			often = s
			lost++
		}
	}
	if lost > 50 {
		t.Errorf("what is used all the time was dropped %d times", lost)
	}
	r.check(t)
	if len(r.ring) < 50 || len(r.ring) > 500 {
		t.Errorf("%d shapes are kept", len(r.ring))
	}
}

// TestNothingIsAllocated by texts that are known.
func TestNothingIsAllocated(t *testing.T) {
	c := NewCache(1 << 20)
	for _, text := range benchmarks() {
		c.Of([]byte(text), true)
		if n := testing.AllocsPerRun(100, func() { c.Of([]byte(text), true) }); n > 1 { // the text's own
			t.Errorf("%q: %v", text, n)
		}
		b := []byte(text)
		if n := testing.AllocsPerRun(100, func() { c.Of(b, true) }); n != 0 {
			t.Errorf("%q: %v", text, n)
		}
	}
}

// FuzzOf holds what is known of texts, one after the other through one small cache, against what it is without one.
func FuzzOf(f *testing.F) {
	f.Add([]byte("select 'now'\x00select  1\x00select 2 /* a */\x00select 1\x00begin\x00select f('a')"), true)
	f.Add([]byte(`select '\x6eow'`+"\x00"+`select E'\''`+"\x00select ''"), false)
	f.Fuzz(func(t *testing.T, texts []byte, stdStrings bool) {
		c := NewCache(4 << 10)
		for text := range bytes.SplitSeq(texts, []byte{0}) {
			if fault := faultOf(c.Of(text, stdStrings), text, stdStrings); fault != "" {
				t.Errorf("%q of %q: %s", text, texts, fault)
			}
		}
		c.check(t)
	})
}

// faultOf holds what a cache says of a text against what it is.
func faultOf(got Text, text []byte, stdStrings bool) string {
	key, found, ok := sqltext.Shape(make([]byte, 0, longestShape), text, stdStrings)
	if !ok {
		if want := sqltext.Classify(text, stdStrings); got.Summary != want || got.SQL != nil {
			return fmt.Sprintf("%+v, want %+v", got.Summary, want)
		}
		return ""
	}
	want := sqltext.Classify(key, true)
	want.Flags = want.Flags&^sqltext.FlagTimeWords | found
	sql, _ := sqlparse.Parse(string(key))
	if got.Summary != want || fmt.Sprint(got.SQL) != fmt.Sprint(sql) {
		return fmt.Sprintf("%+v and %v, want %+v and %v", got.Summary, got.SQL, want, sql)
	}
	return ""
}

// TestPlantedFaults shows that answers that are another text's are found.
func TestPlantedFaults(t *testing.T) {
	of := func(text string) Text { return NewCache(1<<20).Of([]byte(text), true) }
	for _, pair := range [][2]string{{"select f('now')", "select f('new')"}, {"select f(1)", "select g(1)"}, {"begin", "commit"}, {"select 1", "select 1;select 1"}} {
		if fault := faultOf(of(pair[0]), []byte(pair[0]), true); fault != "" {
			t.Errorf("%q: %s", pair[0], fault)
		}
		if faultOf(of(pair[1]), []byte(pair[0]), true) == "" {
			t.Errorf("%q for %q is not found", pair[1], pair[0])
		}
	}
}

// benchmarks are texts by which the speed is measured.
func benchmarks() []string {
	return []string{
		"SELECT 1",
		"BEGIN",
		"SELECT abalance FROM pgbench_accounts WHERE aid = 12345;",
		"SELECT abalance FROM pgbench_accounts WHERE aid = $1;",
		"UPDATE pgbench_accounts SET abalance = abalance + -2403 WHERE aid = 7632310;",
		"INSERT INTO pgbench_history (tid, bid, aid, delta, mtime) VALUES (1, 2, 3, 4, CURRENT_TIMESTAMP);",
		`SELECT "u"."id", "u"."name", "u"."created_at" FROM "users" AS "u" WHERE "u"."email" = $1 AND "u"."state" = $2 ORDER BY "u"."id" LIMIT 1`,
		`SELECT "u"."id", "u"."name", "u"."created_at" FROM "users" AS "u" WHERE "u"."email" = 'someone@example.org' AND "u"."state" IN ('active', 'new') LIMIT 50`,
	}
}

// BenchmarkOf is what a known text costs, beside what Classify does.
func BenchmarkOf(b *testing.B) {
	c := NewCache(1 << 20)
	for i, text := range benchmarks() {
		t := []byte(text)
		b.Run(fmt.Sprintf("%d/%.16s/known", i, text), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				c.Of(t, true)
			}
		})
		b.Run(fmt.Sprintf("%d/%.16s/Classify", i, text), func(b *testing.B) {
			for b.Loop() {
				sqltext.Classify(t, true)
			}
		})
	}
}
