package exact

import (
	"bytes"
	"flag"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgscript"
)

var (
	only     = flag.String("exact.only", "", "play only the scripts whose name has this text")
	seed     = flag.Uint64("exact.seed", 1, "seed of the generated sequences")
	first    = flag.Uint64("exact.first", 0, "the first sequence of the seed that is played")
	count    = flag.Uint64("exact.count", 400, "how many sequences are generated")
	parallel = flag.Int("exact.parallel", 2, "how many sequences are played at a time")
	enough   = flag.Int("exact.findings", 20, "after how many findings nothing more is played")
	all      = flag.Bool("exact.all", false, "play each sequence on one and on three server connections, not on one of the two")
	matrix   = flag.Bool("exact.matrix", false, "show the matrix of coverage also where nothing is missing")
	secured  = flag.Bool("exact.tls", false, "speak TLS at both sides of the proxy, and log in by SCRAM")
)

// TestExact plays every script, and sequences that are generated, to PostgreSQL and through the proxy, in each pool mode,
// on one and on three server connections. Nothing may differ but by the table, and the generated sequences bring
// every message into every state.
func TestExact(t *testing.T) {
	st := newStage(t, *parallel, *secured)
	st.open(t, time.Minute)
	st.greet(t)
	read := scripts(t)
	st.run(t, "scripts", len(read), chosen(read))
	st.coverage = Coverage{}
	st.run(t, "generated sequences", int(*count), generated(*first, *count))
	if *matrix || t.Failed() {
		t.Logf("messages by state:\n%v", &st.coverage)
	}
	if *first > 0 || *count < uint64(Systematic) {
		return
	}
	missing := st.coverage.Missing()
	t.Logf("of %d messages in states %d are covered", Systematic, Systematic-len(missing))
	for _, cell := range missing {
		t.Errorf("not covered: %s", cell)
	}
}

// greet compares what a client is told when it logs in, in any order, but for its key.
func (st *stage) greet(t *testing.T) {
	t.Helper()
	greeting := func(x Target) []string {
		c, err := st.harnesses[0].dial(x.Addr, x.Database)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		lines := pgscript.Lines(c.greeted.Messages)
		slices.Sort(lines)
		return lines
	}
	st.harnesses[0].Close() // it has the server connections of its databases
	want := greeting(st.harnesses[0].Oracle)
	for _, x := range st.harnesses[0].Targets {
		if got := greeting(x); !slices.Equal(got, want) {
			t.Errorf("%v: a client is greeted with %q, by PostgreSQL with %q", x, got, want)
		}
	}
}

// chosen are the scripts that are to be played.
func chosen(read []Sequence) iter.Seq[Sequence] {
	return func(yield func(Sequence) bool) {
		for _, s := range read {
			if strings.Contains(s.Name, *only) && !yield(s) {
				return
			}
		}
	}
}

// generated are sequences of the seed.
func generated(first, count uint64) iter.Seq[Sequence] {
	return func(yield func(Sequence) bool) {
		for n := first; n < first+count; n++ {
			s := Generate(*seed, n)
			s.Servers = servers(n)
			if !yield(s) {
				return
			}
		}
	}
}

// servers says on how many server connections the n-th sequence is played.
func servers[N int | uint64](n N) int {
	if *all {
		return 0
	}
	return []int{1, 3}[n%2]
}

// run plays sequences and shows what differs, shrunk.
func (st *stage) run(t *testing.T, what string, n int, sequences iter.Seq[Sequence]) {
	t.Helper()
	begun := time.Now()
	found, err := st.play(*enough, progress(what, n, sequences))
	took := time.Since(begun)
	if err != nil {
		t.Errorf("%s: %v", what, err)
	}
	crashes, _ := st.pg.Crashes()
	for _, line := range crashes {
		t.Logf("PostgreSQL has crashed, and what was played at the time does not count: %s", line)
	}
	if len(crashes) > max(2, n/2000) {
		t.Errorf("PostgreSQL has crashed %d times", len(crashes))
	}
	t.Logf("%d %s in %v, %.0f a second; differences of the table: %v", n, what, took.Round(time.Millisecond), float64(n)/took.Seconds(), st.used())
	at := map[string][]string{}
	for _, f := range found {
		at[f.Sequence.Name] = append(at[f.Sequence.Name], f.Target.String())
	}
	shrink := 3
	for _, f := range found {
		targets := at[f.Sequence.Name]
		if targets == nil {
			continue
		}
		delete(at, f.Sequence.Name)
		if shrink > 0 {
			shrink--
			f = Shrink(st.of(f), f, 20*time.Second)
		}
		t.Errorf("%v\nfound in %v", f, targets)
	}
}

// progress says on standard error how far a long run has come.
func progress(what string, n int, sequences iter.Seq[Sequence]) iter.Seq[Sequence] {
	const step = 5000
	if n <= step {
		return sequences
	}
	return func(yield func(Sequence) bool) {
		begun, i := time.Now(), 0
		for s := range sequences {
			if !yield(s) {
				return
			}
			if i++; i%step == 0 {
				fmt.Fprintf(os.Stderr, "%d of %d %s, %.0f a second\n", i, n, what, float64(i)/time.Since(begun).Seconds())
			}
		}
	}
}

// scripts reads all scripts of testdata.
func scripts(t testing.TB) (sequences []Sequence) {
	t.Helper()
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		read, err := ReadScripts(string(text))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for _, s := range read {
			s.Name = strings.TrimSuffix(filepath.Base(name), ".txt") + ": " + s.Name
			if seen[s.Name] {
				t.Errorf("two scripts %q", s.Name)
			}
			seen[s.Name] = true
			s.Servers = servers(len(sequences))
			sequences = append(sequences, s)
		}
	}
	return sequences
}

// TestNotation writes and reads all scripts, and sequences that are generated.
func TestNotation(t *testing.T) {
	sequences := scripts(t)
	for n := range uint64(2 * Systematic) {
		sequences = append(sequences, Generate(7, n))
	}
	for _, s := range sequences {
		again, err := ReadScripts(s.String())
		if err != nil {
			t.Errorf("%v%v", s, err)
			continue
		}
		for i, turn := range again[0].Turns {
			for k, raw := range turn {
				if !bytes.Equal(raw, s.Turns[i][k]) {
					t.Errorf("%q is read as %q", s.Turns[i][k], raw)
				}
			}
		}
	}
}
