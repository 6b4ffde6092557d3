//go:build !cgo || nocgo

package sqlparse

import (
	pg "github.com/pganalyze/pg_query_go/v6"
	wasm "github.com/wasilibs/go-pgquery"
)

// parse asks PostgreSQL's own parser, compiled to WebAssembly: slower, for builds without a C compiler.
func parse(text string) (*pg.ParseResult, error) { return wasm.Parse(text) }
