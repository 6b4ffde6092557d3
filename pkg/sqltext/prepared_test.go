package sqltext

import "testing"

func TestPrepared(t *testing.T) {
	for text, want := range map[string]string{
		"PREPARE a AS SELECT 1":                           "a",
		"prepare /* x */ \"A b\" (int) as select 1":       "A b",
		"PREPARE Ab AS SELECT 1":                          "ab",
		"PREPARE TRANSACTION 'x'":                         "",
		"PREPARE transaction AS SELECT 1":                 "transaction",
		"PREPARE transaction (int) AS SELECT 1":           "transaction",
		"EXECUTE a":                                       "a",
		"EXECUTE a(1, 'b')":                               "a",
		"EXECUTE":                                         "",
		"EXECUTE U&\"a\"":                                 "",
		"EXECUTE \"a\"\"b\"":                              "",
		"EXPLAIN EXECUTE a":                               "a",
		"EXPLAIN ANALYZE VERBOSE EXECUTE a(1)":            "a",
		"EXPLAIN (ANALYZE, COSTS off) EXECUTE a(1)":       "a",
		"EXPLAIN SELECT 1":                                "",
		"EXPLAIN (COSTS off) CREATE TABLE x AS EXECUTE a": "a",
		"CREATE TEMP TABLE x (c, d) WITH (fillfactor=10) AS EXECUTE a": "a",
		"CREATE TABLE x AS SELECT 1":                                   "",
		"CREATE TRIGGER a BEFORE INSERT ON b EXECUTE FUNCTION f()":     "",
		"SELECT 'EXECUTE a'":                                           "",
		"":                                                             "",
	} {
		var buf [64]byte
		name, start, end, ok := Prepared([]byte(text), true, buf[:0])
		if string(name) != want || ok != (want != "") {
			t.Errorf("%s: found %q, %v", text, name, ok)
		}
		if ok && (start <= 0 || end > len(text) || start >= end) {
			t.Errorf("%s: the name is between %d and %d", text, start, end)
		}
		if n := testing.AllocsPerRun(10, func() { Prepared([]byte("EXPLAIN EXECUTE Ab"), true, buf[:0]) }); n > 0 {
			t.Errorf("%v allocations", n)
		}
	}
}
