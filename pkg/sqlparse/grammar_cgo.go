//go:build cgo && !nocgo

package sqlparse

import pg "github.com/pganalyze/pg_query_go/v6"

// parse asks PostgreSQL's own parser, compiled from C.
func parse(text string) (*pg.ParseResult, error) { return pg.Parse(text) }
