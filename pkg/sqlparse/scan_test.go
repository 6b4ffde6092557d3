//go:build cgo && !nocgo

package sqlparse

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	pg "github.com/pganalyze/pg_query_go/v6"

	"github.com/heliosproxy/heliosproxy/pkg/sqltext"
)

// token is what PostgreSQL's scanner makes of a span of a text.
type token struct {
	kind       pg.Token
	start, end int
	text       string
}

// scan returns the tokens of a text, without comments.
func scan(text string) ([]token, error) {
	r, err := pg.Scan(text)
	if err != nil {
		return nil, err
	}
	var tokens []token
	for _, t := range r.GetTokens() {
		if k := t.GetToken(); k != pg.Token_SQL_COMMENT && k != pg.Token_C_COMMENT {
			tokens = append(tokens, token{k, int(t.GetStart()), int(t.GetEnd()), text[t.GetStart():t.GetEnd()]})
		}
	}
	return tokens, nil
}

// shapeOf is the signature of sqltext.Shape, for wrong ones that must be found.
type shapeOf func(dst, text []byte, stdStrings bool) ([]byte, sqltext.Flags, bool)

// followless finds what PostgreSQL's scanner takes and sqltext does not: names with escapes, and numbers with letters whose end
// depends on the version.
var followless = regexp.MustCompile(`(?is)u&"|[0-9][0-9a-z_\x{80}-\x{10ffff}]*['$]`)

// overComment finds literals that go on behind a comment: 'a' -- b, and 'c' on the next line. PostgreSQL makes one literal of both, the
// scanner that pg_query has made of PostgreSQL's, which gives comments as tokens, two. Shapes have no comments.
var overComment = regexp.MustCompile(`'\s*--[^\r\n]*[\r\n](\s|--[^\r\n]*[\r\n])*'`)

// faultOf holds what sqltext says of a text against PostgreSQL's scanner and grammar.
func faultOf(text string, shape shapeOf) string {
	if overComment.MatchString(text) {
		return ""
	}
	tokens, err := scan(text)
	b, found, ok := shape(make([]byte, 0, 2*len(text)+16), []byte(text), true)
	s := string(b)
	switch {
	case err != nil && ok && strings.HasPrefix(err.Error(), "unterminated"):
		return fmt.Sprintf("PostgreSQL says %v, the shape is %q", err, s)
	case err == nil && !ok && !followless.MatchString(text):
		return fmt.Sprintf("there is no shape, the tokens are %v", tokens)
	case err != nil || !ok:
		return ""
	}
	again, _, ok := shape(make([]byte, 0, 2*len(s)+16), b, true)
	if !ok || string(again) != s {
		return fmt.Sprintf("the shape %q has the shape %q", s, again)
	}
	of, err := scan(s)
	if err != nil {
		return fmt.Sprintf("the shape is %q: %v", s, err)
	}
	// Where the tokens of a text are those of its shape, they are those of every text of that shape.
	if len(of) != len(tokens) {
		return fmt.Sprintf("%d tokens, the shape %q has %d", len(tokens), s, len(of))
	}
	for i, t := range tokens {
		if fault := tokenFault(t, of[i], i > 0 && tokens[i-1].kind == pg.Token_UESCAPE); fault != "" {
			return fmt.Sprintf("token %d: %s; the shape is %q", i, fault, s)
		}
	}
	if fault := splitFault(text, tokens); fault != "" {
		return fault
	}
	return factsFault(text, s, found)
}

// tokenFault holds a token against that of the shape.
func tokenFault(t, of token, verbatim bool) string {
	want := t.text
	switch t.kind {
	case pg.Token_SCONST:
		if want = "''"; verbatim {
			want = t.text
		}
	case pg.Token_USCONST:
		want = t.text[:2] + "''"
	case pg.Token_BCONST, pg.Token_XCONST:
		want = t.text[:1] + "''"
	case pg.Token_ICONST, pg.Token_FCONST:
		want = digits.ReplaceAllStringFunc(t.text, func(n string) string {
			if strings.Trim(n, "0123456789") == "" {
				return "1"
			}
			return n
		})
		if of.kind == pg.Token_ICONST || of.kind == pg.Token_FCONST {
			of.kind = t.kind
		}
	}
	if t.kind != of.kind || want != of.text {
		return fmt.Sprintf("%v %q is %v %q in the shape, want %q", t.kind, t.text, of.kind, of.text, want)
	}
	return ""
}

var digits = regexp.MustCompile(`[0-9a-zA-Z_]+`)

// splitFault holds the statements of a text that PostgreSQL parses against those of sqltext.
func splitFault(text string, tokens []token) string {
	tree, err := pg.Parse(text)
	if err != nil {
		return ""
	}
	var sc sqltext.Scanner
	sc.Reset([]byte(text), true)
	for i, raw := range tree.GetStmts() {
		from, to := int(raw.GetStmtLocation()), int(raw.GetStmtLocation()+raw.GetStmtLen())
		if raw.GetStmtLen() == 0 {
			to = len(text)
		}
		in := slices.DeleteFunc(slices.Clone(tokens), func(t token) bool {
			return t.start < from || t.end > to || t.kind == pg.Token_ASCII_59 && (to == len(text) || t.start == from)
		})
		st, ok := sc.Next()
		if !ok || len(in) == 0 || st.Start != in[0].start || st.End != in[len(in)-1].end {
			return fmt.Sprintf("statement %d is at %d to %d, %v; sqltext has it at %d to %d", i, from, to, in, st.Start, st.End)
		}
	}
	if st, ok := sc.Next(); ok {
		return fmt.Sprintf("sqltext has %d more", st.Start)
	}
	return ""
}

// factsFault holds the facts of a text against those of its shape, which are kept for both.
func factsFault(text, shape string, found sqltext.Flags) string {
	f, err := Parse(text)
	if err != nil {
		return ""
	}
	of, err := Parse(shape)
	switch {
	case err != nil:
		return fmt.Sprintf("the shape %q: %v", shape, err)
	case of.Does&Moment != 0:
		return fmt.Sprintf("the shape %q has a moment", shape)
	case f.Does&Moment != 0 && found&sqltext.FlagTimeWords == 0:
		return "a moment is not found"
	}
	f.Does &^= Moment
	if spell(f) != spell(of) {
		return fmt.Sprintf("the facts are %s; of the shape %q %s", spell(f), shape, spell(of))
	}
	return ""
}

// corpus returns statements of PostgreSQL's own tests.
func corpus(t testing.TB) []string {
	t.Helper()
	file, err := os.Open("testdata/regress.jsonl.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	z, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, k := range known() {
		list = append(list, k[0])
	}
	for sc := bufio.NewScanner(z); sc.Scan(); {
		var text string
		if err := json.Unmarshal(sc.Bytes(), &text); err != nil {
			t.Fatal(err)
		}
		list = append(list, text)
	}
	return list
}

// TestScan holds sqltext against PostgreSQL's scanner and grammar on a corpus and on variants of it.
func TestScan(t *testing.T) {
	t.Parallel()
	list := corpus(t)
	rng := rand.New(rand.NewPCG(5, 6))
	scanned, parsed, variants := 0, 0, 0
	for _, text := range list {
		if _, err := scan(text); err == nil {
			scanned++
		}
		if _, err := Parse(text); err == nil {
			parsed++
		}
		if fault := faultOf(text, sqltext.Shape); fault != "" {
			t.Errorf("%q: %s", text, fault)
		}
		v := variant(rng, text, list)
		if _, err := scan(v); err == nil {
			variants++
		}
		if fault := faultOf(v, sqltext.Shape); fault != "" {
			t.Errorf("%q: %s", v, fault)
		}
	}
	t.Logf("%d statements, of which PostgreSQL scans %d and parses %d; %d variants that it scans", len(list), scanned, parsed, variants)
	if scanned < 5000 || parsed < 5000 || variants < 5000 {
		t.Error("that is too few")
	}
}

// variant changes a text: other literals in the place of its own, other white space, comments, another statement behind it, a part
// cut out, a scrap put in.
func variant(rng *rand.Rand, text string, list []string) string {
	pick := func(from []string) string { return from[rng.IntN(len(from))] }
	strs := []string{"''", "'a''b'", `E'\''`, `e'\\'`, "'a'\n'b'", "'a' -- '\n'b'", "$$'$$", "$a$ $$ ' $a$", `'\'`, "'/*'", "'--'", "'now'", `E'\x6eow'`, "N'a'", `U&'\0061'`, "b'1'", "X'f'", "';'", "'ä'"}
	nums := []string{"1", "0", "12345678901234567890", "1.5", ".5", "1.", "1e5", "1.5E-10", "0x1F", "1_000", "0b1", "$1", "$23"}
	gaps := []string{" ", "  ", "\n", "\t", "\r\n", "/**/", "/* a /* ' */ \" */", "-- '\n", "--\r", " /*$$*/ "}
	scraps := []string{"'", `"`, "$$", "$a$", "/*", "*/", "--", `\`, ";", "(", ")", "E", "U&", "b", "&", "1", ".", "$", "é", "uescape", "*", "-", "/"}
	var b strings.Builder
	tokens, _ := scan(text)
	last := 0
	for _, t := range tokens {
		if t.start > last && rng.IntN(4) == 0 {
			b.WriteString(pick(gaps))
		} else {
			b.WriteString(text[last:t.start])
		}
		switch {
		case t.kind == pg.Token_SCONST && rng.IntN(2) == 0:
			b.WriteString(pick(strs))
		case (t.kind == pg.Token_ICONST || t.kind == pg.Token_FCONST) && rng.IntN(2) == 0:
			b.WriteString(pick(nums))
		case rng.IntN(100) == 0:
			b.WriteString(pick(scraps))
		default:
			b.WriteString(t.text)
		}
		last = t.end
	}
	b.WriteString(text[last:])
	v := b.String()
	switch rng.IntN(6) {
	case 0:
		v += ";" + pick(gaps) + pick(list)
	case 1:
		i := rng.IntN(len(v) + 1)
		v = v[:i] + v[i+rng.IntN(len(v)+1-i):]
	case 2:
		i := rng.IntN(len(v) + 1)
		v = v[:i] + pick(scraps) + v[i:]
	}
	return strings.ToValidUTF8(v, "")
}

func FuzzScan(f *testing.F) {
	for i, text := range corpus(f) {
		if i%20 == 0 {
			f.Add(text)
		}
	}
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 2000 || strings.IndexByte(text, 0) >= 0 {
			return
		}
		if fault := faultOf(strings.ToValidUTF8(text, ""), sqltext.Shape); fault != "" {
			t.Errorf("%q: %s", text, fault)
		}
	})
}

// TestPlantedFaults shows that shapes that are wrong are found, in the corpus as in a text made for it.
func TestPlantedFaults(t *testing.T) {
	t.Parallel()
	list := corpus(t)
	for name, tt := range map[string]struct {
		text  string
		shape shapeOf
	}{
		"E'…' is '…'": {`select E'\'', ''`, func(dst, text []byte, std bool) ([]byte, sqltext.Flags, bool) {
			return sqltext.Shape(dst, regexp.MustCompile(`\b[eE]'`).ReplaceAll(text, []byte(" '")), std)
		}},
		"backslashes escape": {`select '\', ''`, func(dst, text []byte, _ bool) ([]byte, sqltext.Flags, bool) {
			return sqltext.Shape(dst, text, false)
		}},
		"comments are nothing": {"select a/**/b", func(dst, text []byte, std bool) ([]byte, sqltext.Flags, bool) {
			return sqltext.Shape(dst, regexp.MustCompile(`/\*[^*]*\*/`).ReplaceAll(text, nil), std)
		}},
		"names are folded": {"select A", func(dst, text []byte, std bool) ([]byte, sqltext.Flags, bool) {
			return sqltext.Shape(dst, []byte(strings.ToLower(string(text))), std)
		}},
		"parameters are numbers": {"select $2", func(dst, text []byte, std bool) ([]byte, sqltext.Flags, bool) {
			s, f, ok := sqltext.Shape(dst, text, std)
			return regexp.MustCompile(`\$[0-9]+`).ReplaceAll(s, []byte("1")), f, ok
		}},
		"moments are not seen": {"select E'n\\x6fw'", func(dst, text []byte, std bool) ([]byte, sqltext.Flags, bool) {
			s, _, ok := sqltext.Shape(dst, text, std)
			return s, 0, ok
		}},
	} {
		if fault := faultOf(tt.text, sqltext.Shape); fault != "" {
			t.Errorf("%s: the right one is at fault: %s", name, fault)
		}
		if faultOf(tt.text, tt.shape) == "" {
			t.Errorf("%s: not found", name)
		}
		if !slices.ContainsFunc(list, func(text string) bool { return faultOf(text, tt.shape) != "" }) {
			t.Errorf("%s: not found in the corpus", name)
		}
	}
}

// BenchmarkLexer reads the whole corpus: what a byte of it costs.
func BenchmarkLexer(b *testing.B) {
	var list [][]byte
	size := 0
	for _, text := range corpus(b) {
		list = append(list, []byte(text))
		size += len(text)
	}
	dst := make([]byte, 0, 1000)
	for name, read := range map[string]func([]byte){
		"Shape":    func(text []byte) { sqltext.Shape(dst, text, true) },
		"Classify": func(text []byte) { sqltext.Classify(text, true) },
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				for _, text := range list {
					read(text)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(size), "ns/B")
		})
	}
}
