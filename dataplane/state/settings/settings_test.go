package settings

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"testing"
)

// TestAlgebra compares sets with maps.
func TestAlgebra(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	names := []string{"TimeZone", "datestyle", "work_mem", "role", "a.b", "search_path"}
	random := func() (Set, map[string]string) {
		var ps []Pair
		m := map[string]string{}
		for range r.IntN(6) {
			p := Pair{names[r.IntN(len(names))], fmt.Sprint(r.IntN(3))}
			ps = append(ps, p)
			m[lower(p.Name)] = p.Value
		}
		return Of(ps...), m
	}
	for range 5000 {
		a, ma := random()
		b, mb := random()
		if got := maps.Collect(a.All()); !maps.Equal(got, ma) {
			t.Fatalf("set %v, map %v", got, ma)
		}
		if (a == b) != maps.Equal(ma, mb) {
			t.Fatalf("%v == %v: %v", ma, mb, a == b)
		}
		got := maps.Clone(ma)
		Differences(a, b, func(n, v string, in bool) {
			if !in {
				delete(got, n)
			} else {
				got[n] = v
			}
		})
		if !maps.Equal(got, mb) {
			t.Fatalf("the differences lead from %v to %v, not to %v", ma, got, mb)
		}
		changed := a.Change([]Pair{{"work_mem", "9"}}, []string{"role"})
		delete(ma, "role")
		ma["work_mem"] = "9"
		if got := maps.Collect(changed.All()); !maps.Equal(got, ma) {
			t.Fatalf("changed: %v, want %v", got, ma)
		}
		if v, ok := b.Get("timezone"); ok != (mb["timezone"] != "") || v != mb["timezone"] {
			t.Fatalf("Get: %q, %v of %v", v, ok, mb)
		}
	}
	if Of() != (Set{}) || Of(Pair{"a", "1"}).Only(func(string) bool { return false }) != (Set{}) {
		t.Error("there is more than one empty set")
	}
}

func lower(s string) string {
	if s == "TimeZone" {
		return "timezone"
	}
	return s
}

// TestAppendChange shows the SQL that leads from one set to another.
func TestAppendChange(t *testing.T) {
	of := func(kv ...string) Set {
		var ps []Pair
		for i := 0; i < len(kv); i += 2 {
			ps = append(ps, Pair{kv[i], kv[i+1]})
		}
		return Of(ps...)
	}
	for _, c := range []struct {
		from, to Set
		want     string
	}{
		{Set{}, Set{}, ""},
		{Set{}, of("work_mem", "1MB"), "SELECT pg_catalog.set_config('work_mem','1MB',false);"},
		{of("work_mem", "1MB"), Set{}, "SELECT pg_catalog.set_config('work_mem',NULL,false);"},
		{of("a", "1", "b", "2"), of("a", "1", "b", "it's"), "SELECT pg_catalog.set_config('b','it''s',false);"},
		{of("role", "x"), Set{}, "RESET SESSION AUTHORIZATION;RESET ROLE;"},
		{of("role", "x"), of("role", "y", "session_authorization", "z", "a.b", "c"), "RESET SESSION AUTHORIZATION;RESET ROLE;" +
			"SELECT pg_catalog.set_config('a.b','c',false);SELECT pg_catalog.set_config('session_authorization','z',false);SELECT pg_catalog.set_config('role','y',false);"},
	} {
		if got := string(AppendChange(nil, c.from, c.to)); got != c.want {
			t.Errorf("got  %s\nwant %s", got, c.want)
		}
	}
	buf := make([]byte, 0, 1<<10)
	from, to := of("a", "1", "timezone", "UTC"), of("timezone", "Asia/Tokyo", "work_mem", "1MB")
	if n := testing.AllocsPerRun(100, func() { buf = AppendChange(buf[:0], from, to) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// TestPlain says what may go ahead of a statement and what has to be confirmed first.
func TestPlain(t *testing.T) {
	for name, plain := range map[string]bool{
		"timezone": true, "search_path": true, "statement_timeout": true, "my.own": true, "plpgsql.own": false, "pg_trgm.similarity_threshold": false, "temp_buffers": false, "role": false, "session_authorization": false,
		"default_tablespace": false, "temp_tablespaces": false, "default_table_access_method": false, "default_text_search_config": false,
		"session_replication_role": false, "log_statement": false, "some_new_parameter": false,
	} {
		if Plain(name) != plain {
			t.Errorf("%s: %v", name, !plain)
		}
	}
	if AllPlain(Of(Pair{"role", "x"}), Set{}) || !AllPlain(Of(Pair{"role", "x"}), Of(Pair{"role", "x"}, Pair{"work_mem", "1"})) {
		t.Error("what is the same on both sides counts, or what is not does not")
	}
}

// TestHurries tells short times from long ones.
func TestHurries(t *testing.T) {
	for value, hurries := range map[string]bool{
		"1ms": true, "999ms": true, "20": true, "500us": true, "0.5s": true, "0.01min": true,
		"": false, "0": false, "1s": false, "1000ms": false, "1500ms": false, "5min": false, "1h": false, "30000": false,
	} {
		for _, name := range []string{"statement_timeout", "transaction_timeout"} {
			if got := Of(Pair{name, value}, Pair{"work_mem", "1MB"}).Hurries(); got != hurries {
				t.Errorf("%s = %s: %v", name, value, got)
			}
		}
	}
	if Of(Pair{"lock_timeout", "1ms"}).Hurries() || (Set{}).Hurries() {
		t.Error("what is cut off is no statement")
	}
}
