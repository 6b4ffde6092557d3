package catalog

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/heliosproxy/heliosproxy/pkg/sqlparse"
)

// many is a catalogue of 100,000 tables in 100 schemas, with a serial column each, a foreign key and a check; every tenth is triggered.
func many() []Row {
	rows := append([]Row(nil), small...)
	const tables = 100_000
	for i := range uint32(tables) {
		table, sequence := 1000+i, 1000+tables+i
		schema, name := fmt.Sprintf("tenant_%02d", i%100), fmt.Sprintf("some_table_%d", i/100)
		rows = append(rows,
			Row{What: RelationRow, A: table, S: schema, N: name, X: "r"},
			Row{What: RelationRow, A: sequence, S: schema, N: name + "_id_seq", X: "S"},
			Row{What: DefaultRow, A: table, B: 12, S: "funcid"},
			Row{What: ReferencesRow, A: table, B: 1000 + (i+1)%tables, X: "aa"})
		if i%10 == 0 {
			rows = append(rows, Row{What: TriggerRow, A: table, B: 20, N: "z", X: "5"})
		}
	}
	return rows
}

// BenchmarkCompile compiles a very large catalogue: how long, how much memory for the time, and how much stays.
func BenchmarkCompile(b *testing.B) {
	rows := many()
	var f *Facts
	b.ReportAllocs()
	for b.Loop() {
		f = Compile(rows, nil)
	}
	kept := float64(f.Bytes())
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	runtime.KeepAlive(f)
	runtime.GC()
	runtime.ReadMemStats(&after)
	b.ReportMetric(kept, "bytes_kept")
	b.ReportMetric(float64(before.HeapAlloc)-float64(after.HeapAlloc), "heap_kept")
	runtime.KeepAlive(rows)
}

// BenchmarkJudge judges a statement by a very large catalogue, as it is done once a shape and epoch, and asks for the epoch, as it
// is for every statement.
func BenchmarkJudge(b *testing.B) {
	h := NewHandle(nil)
	h.Publish(Compile(many(), nil), h.Mark())
	for name, text := range map[string]*sqlparse.Facts{
		"plain":     {Functions: names("pg_catalog.upper"), Operators: names("+"), Types: names("int4"), Relations: relation("t", anyAccess).Relations},
		"qualified": relation("tenant_07.some_table_7", sqlparse.Inserts),
		"in_many":   relation("some_table_7", sqlparse.Inserts),
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				h.Judge(text)
			}
		})
	}
	b.Run("epoch", func(b *testing.B) {
		for b.Loop() {
			h.Epoch()
		}
	})
}
