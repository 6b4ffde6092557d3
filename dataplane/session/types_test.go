package session

import (
	"testing"

	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgscript"
)

// TestTypes keeps the types of parameters that clients were told when a statement is parsed again.
func TestTypes(t *testing.T) {
	const insert = "INSERT INTO t VALUES ($1)"
	parse, bind := pgscript.Parse, pgscript.Bind
	int8s, float8s, noData := pgscript.ParameterDescription(20), pgscript.ParameterDescription(701), pgscript.NoData()
	for name, steps := range map[string][]step{
		"the types of parameters that the client was told, on another server connection": {
			client(`P h_1 "INSERT INTO t VALUES ($1)"; D S h_1; S`, parse("a", insert), pgscript.DescribeStatement("a"), sync0),
			server("1; t 20; n; Z I", done1, int8s, noData, readyI),
			moves(),
			client(`P h_1 "INSERT INTO t VALUES ($1)" 20; D S h_1; S`, bind("", "a"), sync0),
			server("", done1, int8s, noData, readyI),
			resumes("B  h_1; S"),
			server("2; Z I", done2, readyI),
			client("B  h_1; S", bind("", "a"), sync0),
			server("2; Z I", done2, readyI),
		},
		"the types of parameters that nobody was told, on another server connection": {
			client(`P h_1 "INSERT INTO t VALUES ($1)"; S`, parse("a", insert), sync0),
			server("1; Z I", done1, readyI),
			moves(),
			client(`P h_1 "INSERT INTO t VALUES ($1)"; B  h_1; S`, bind("", "a"), sync0),
			server("2; Z I", done1, done2, readyI),
		},
		"other types of parameters than others were told": {
			client(`P h_1 "INSERT INTO t VALUES ($1)"; D S h_1; S`, parse("a", insert), pgscript.DescribeStatement("a"), sync0),
			server("1; t 20; n; Z I", done1, int8s, noData, readyI),
			client("S < 1", parse("b", insert), sync0),
			server("Z I", readyI),
			client(`C S h_1; P h_1 "INSERT INTO t VALUES ($1)"; D S h_1; S`, pgscript.DescribeStatement("b"), sync0),
			server("", closed, done1, float8s, noData, readyI),
			resumes(`P h_2 "INSERT INTO t VALUES ($1)"; D S h_2; S`),
			server("", done1, float8s, noData, readyI),
			resumes("D S h_2; S"),
			server("t 701; n; Z I", float8s, noData, readyI),
			client(`C S h_1; P h_1 "INSERT INTO t VALUES ($1)" 20; D S h_1; S`, bind("", "a"), sync0),
			server("", closed, done1, int8s, noData, readyI),
			resumes("B  h_1; S"),
			server("2; Z I", done2, readyI),
			client("B  h_2; S", bind("", "b"), sync0),
			server("2; Z I", done2, readyI),
			moves(),
			client(`P h_2 "INSERT INTO t VALUES ($1)" 701; D S h_2; S`, bind("", "b"), sync0),
			server("", done1, float8s, noData, readyI),
			resumes("B  h_2; S"),
			server("2; Z I", done2, readyI),
		},
		"the types of parameters of the unnamed statement, on another server connection": {
			client(`P  "INSERT INTO t VALUES ($1)"; D S; S`, parse("", insert), pgscript.DescribeStatement(""), sync0),
			server("1; t 20; n; Z I", done1, int8s, noData, readyI),
			moves(),
			client(`P  "INSERT INTO t VALUES ($1)" 20; D S; S`, bind("", ""), sync0),
			server("", done1, int8s, noData, readyI),
			resumes("B; S"),
			server("2; Z I", done2, readyI),
		},
	} {
		for _, piece := range []int{1 << 20, 1, 7} {
			newRig().play(t, name, piece, steps)
		}
	}
}
