package sqltext

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
)

// tokenShape is the shape as the tokens give it, one after the other: what Shape must say in its own way.
func tokenShape(text []byte, stdStrings bool) (shape []byte, ok bool) {
	l := lexer{text: text, std: stdStrings}
	var last, before token
	for t := l.next(0); t.kind != tokEnd; t = l.next(t.end) {
		if t.start > last.end && last.kind != tokEnd {
			shape = append(shape, ' ')
		}
		word := text[t.start:t.end]
		if t.kind == tokQuoted && word[0] != '"' || l.found&FlagUnfollowable != 0 {
			return shape, false
		}
		number := t.kind == tokNumber && strings.Trim(string(word), "0123456789") == ""
		if t.kind == tokString {
			l.found = 0
			if l.findWords(t.start, t.end); l.found&flagHidden != 0 {
				return shape, false
			}
		}
		switch {
		case t.kind == tokString && stdStrings && l.isWord(last, "uescape") && before.kind != tokEnd:
			shape = append(shape, word...)
		case t.kind == tokString:
			switch {
			case is(word[0], isLetter) && toLower(word[0]) == 'u':
				shape = append(shape, word[:2]...)
			case is(word[0], isLetter) && toLower(word[0]) != 'e':
				shape = append(shape, word[0])
			case len(shape) > 0 && shape[len(shape)-1] == '\'':
				shape = append(shape, ' ')
			}
			shape = append(shape, "''"...)
		case number:
			shape = append(shape, '1')
		default:
			shape = append(shape, word...)
		}
		before, last = last, t
	}
	return shape, l.found&FlagUnfollowable == 0
}

// shapeFault states what must hold of the shape of any text.
func shapeFault(text []byte, stdStrings bool, shape func(dst, text []byte, stdStrings bool) ([]byte, Flags, bool)) string {
	b, found, ok := shape(make([]byte, 0, 2*len(text)+16), text, stdStrings)
	want, wantOK := tokenShape(text, stdStrings)
	if ok != wantOK || ok && string(b) != string(want) {
		return fmt.Sprintf("the shape is %q, %t, the tokens say %q, %t", b, ok, want, wantOK)
	}
	if !ok {
		return ""
	}
	again, more, ok := shape(make([]byte, 0, 2*len(b)+16), b, true)
	if !ok || string(again) != string(b) || more != 0 && !bytes.Contains(bytes.ToLower(b), []byte("uescape")) { // behind which a literal stays
		return fmt.Sprintf("the shape %q has the shape %q, with flags %b", b, again, more)
	}
	of, is := Classify(b, true), Classify(text, stdStrings)
	if of.Statements != is.Statements || of.First != is.First {
		return fmt.Sprintf("it is %+v, the shape %q is %+v", is, b, of)
	}
	// The flags of a text are those of its shape and those that its literals give. Comments give none.
	flags := of.Flags&^FlagTimeWords | found
	if missing := is.Flags &^ flags &^ FlagTimeWords; missing != 0 && !strings.Contains(string(text), "--") && !strings.Contains(string(text), "/*") {
		return fmt.Sprintf("flags %b are missing", missing)
	}
	if much := flags &^ is.Flags &^ FlagSetConfig; much != 0 {
		return fmt.Sprintf("flags %b are too much", much)
	}
	return ""
}

func TestShape(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{"", ""},
		{" /* a */ -- b\n", ""},
		{"SELECT  abalance\nFROM pgbench_accounts\tWHERE aid = 12345 ; ", "SELECT abalance FROM pgbench_accounts WHERE aid = 1 ;"},
		{"select 'a', E'\\'', n'b', B'01', x'1f', U&'\\0061', $$c$$, $d$e$d$", "select '', '', n'', B'', x'', U&'', '', ''"},
		{"select 'a' \n 'b', E'c'\n'\\''", "select '', ''"},
		{"select 'a'$$b$$'c'", "select '' '' ''"},
		{"select 1, 1.5, .5, 1e5, 0x1F, 1_000, $1, $23, -7", "select 1, 1.1, .1, 1e5, 0x1F, 1_000, $1, $23, -1"},
		{"select a1, \"b 2\", c$3$, t.x, t1.*", "select a1, \"b 2\", c$3$, t.x, t1.*"},
		{"select date'2000-01-01', dateE'a'", "select date'', dateE''"},
		{"a/**/b--c\nd - -1 /-- e", "a b d - -1 /"},
		{"select U&'a!' uescape '!', 'x'", "select U&'' uescape '!', ''"},
		{"select uescape1 'a', xuescape 'b'", "select uescape1 '', xuescape ''"},
	} {
		got, _, ok := Shape(make([]byte, 0, 100), []byte(tt.text), true)
		if !ok || string(got) != tt.want {
			t.Errorf("%q: got %q, %t, want %q", tt.text, got, ok, tt.want)
		}
		if fault := shapeFault([]byte(tt.text), true, Shape); fault != "" {
			t.Errorf("%q: %s", tt.text, fault)
		}
	}
	for _, tt := range splits {
		if fault := shapeFault([]byte(tt.text), !tt.off, Shape); fault != "" {
			t.Errorf("%q: %s", tt.text, fault)
		}
	}
}

// TestShapeWithoutBackslashes reads strings as standard_conforming_strings off has them.
func TestShapeWithoutBackslashes(t *testing.T) {
	for text, want := range map[string]string{`select '\'', 1`: "select '', 1", `select b'\', '\\'`: "select b'', ''", `select $$\$$, N'\''`: "select '', N''", `select uescape '\'; select '; listen a`: "select uescape ''; listen a"} {
		got, _, ok := Shape(make([]byte, 0, 100), []byte(text), false)
		if !ok || string(got) != want {
			t.Errorf("%q: got %q, %t, want %q", text, got, ok, want)
		}
	}
}

// TestNoShape has texts without one, and capacities that are too small.
func TestNoShape(t *testing.T) {
	for _, text := range []string{"'a", `"a`, "$$a", "/* a", "1x'a'", `select U&"a"`, `select 'u&"a"'`} {
		if got, _, ok := Shape(make([]byte, 0, 100), []byte(text), true); ok {
			t.Errorf("%q: got %q", text, got)
		}
	}
	if got, _, ok := Shape(make([]byte, 0, 100), []byte(`U&'a'`), false); ok {
		t.Errorf("U& without standard_conforming_strings: got %q", got)
	}
	text := []byte("select  'a', 12 /**/ from \"t\" where x = $1 and y = $$b$$ ")
	whole, _, _ := Shape(make([]byte, 0, 100), text, true)
	for n := range 100 {
		got, _, ok := Shape(make([]byte, 0, n), text, true)
		if cap(got) != n || ok && string(got) != string(whole) || !ok && n > len(whole)+1 || ok && n < len(whole) {
			t.Errorf("into %d bytes: got %q, %t", n, got, ok)
		}
	}
}

// TestShapeFlags has literals, and the flags that they give.
func TestShapeFlags(t *testing.T) {
	for text, want := range map[string]Flags{
		"select 'set_config'":                       FlagSetConfig,
		"select set_config('a', 'b', false)":        0,
		"do $$ begin perform SET_CONFIG(); end $$":  FlagSetConfig,
		"do 'update pg_settings set setting = 1'":   FlagSetConfig,
		"select $$pg_advisory_lock(1)$$":            FlagAdvisory,
		"select 'pg_temp' /* advisory */":           FlagCreateTemp,
		"select now(), known from today -- now":     0,
		"select 'known', 'nowhere', 'a_now1'":       FlagTimeWords,
		"select 'known', 'nowhere', E'n\\x6fw'":     FlagTimeWords,
		"select 'unknown', E'n\\tow', 'yesterdays'": 0,
	} {
		if _, found, ok := Shape(make([]byte, 0, 100), []byte(text), true); !ok || found != want {
			t.Errorf("%q: got %b, %t, want %b", text, found, ok, want)
		}
	}
}

func TestHasMoment(t *testing.T) {
	for _, tt := range []struct {
		literal, value string
		want           bool
	}{
		{"'now'", "now", true},
		{"'Today 12:00'", "Today 12:00", true},
		{"'{\"tomorrow\",2000-01-01}'", `{"tomorrow",2000-01-01}`, true},
		{"'YESTERDAY+1'", "YESTERDAY+1", true},
		{"'now()'", "now()", true},
		{"'2000-01-01now'", "2000-01-01now", true},
		{"'x now'", "x now", true},
		{`'n\ow'`, `n\ow`, true},
		{`'[n"o"w,]'`, `[n"o"w,]`, true},
		{`E'\x6e\157\u0077'`, "now", true},
		{`E'\U0000006Eow'`, "now", true},
		{`E'n\ow'`, "now", true},
		{`E'n\\ow'`, `n\ow`, true},
		{`U&'\006e\+00006Fw'`, "now", true},
		{`U&'n!006fw' uescape '!'`, "now", true},
		{"'no'\n'w'", "now", true},
		{"'no'--\n -- a\n'w'", "now", true},
		{"$$now$$", "now", true},
		{"$now$a$now$", "a", false},
		{"'allballs'", "allballs", false},
		{"'nowhere'", "nowhere", false},
		{"'know'", "know", false},
		{"'todayś'", "todayś", true},
		{"'no''w'", "no'w", false},
		{`E'no\nw'`, "no\nw", false},
		{`'n\\x6fw'`, `n\\x6fw`, false},
		{"''", "", false},
		{"'2000-01-01'", "2000-01-01", false},
	} {
		if got := HasMoment(tt.value); got != tt.want {
			t.Errorf("%q: got %t", tt.value, got)
		}
		_, found, ok := Shape(make([]byte, 0, 100), []byte("select "+tt.literal+" as a"), true)
		if got := found&FlagTimeWords != 0; !ok || got != tt.want {
			t.Errorf("%s: got %t, followable %t", tt.literal, got, ok)
		}
	}
}

func FuzzShape(f *testing.F) {
	for _, tt := range splits {
		f.Add([]byte(tt.text), !tt.off)
	}
	for _, text := range []string{
		"select 'set_config', $$ pg_temp $$, E'\\x6eow'\n'a' uescape '!' /* now */", "select 1.5e-5, 0x1F, $1$$a$$, a1 -- b", "select U&'\\0041' uescape '!', b'1'x'f'",
	} {
		f.Add([]byte(text), true)
		f.Add([]byte(text), false)
	}
	f.Fuzz(func(t *testing.T, text []byte, stdStrings bool) {
		if fault := shapeFault(text, stdStrings, Shape); fault != "" {
			t.Errorf("%q: %s", text, fault)
		}
	})
}

// TestPlantedShapes shows that the invariants find shapes that are wrong.
func TestPlantedShapes(t *testing.T) {
	for name, tt := range map[string]struct {
		text  string
		shape func(dst, text []byte, stdStrings bool) ([]byte, Flags, bool)
	}{
		"goes on behind a continued literal": {"select 'a'\n'b'", func(dst, text []byte, std bool) ([]byte, Flags, bool) {
			return Shape(dst, []byte(strings.ReplaceAll(string(text), "\n", " ")), std)
		}},
		"words in literals are not found": {"select 'set_config'", func(dst, text []byte, std bool) ([]byte, Flags, bool) {
			s, _, ok := Shape(dst, text, std)
			return s, 0, ok
		}},
		"strings are always read alike": {`select '\''`, func(dst, text []byte, _ bool) ([]byte, Flags, bool) {
			return Shape(dst, text, true)
		}},
		"joins what a comment parts": {"select a/**/b", func(dst, text []byte, std bool) ([]byte, Flags, bool) {
			return Shape(dst, []byte(strings.ReplaceAll(string(text), "/**/", "")), std)
		}},
	} {
		if fault := shapeFault([]byte(tt.text), false, Shape); fault != "" {
			t.Errorf("%s: the right one is at fault: %s", name, fault)
		}
		if shapeFault([]byte(tt.text), false, tt.shape) == "" {
			t.Errorf("%s: not found", name)
		}
	}
}

func TestDepth(t *testing.T) {
	for _, tt := range []struct {
		text string
		want int
	}{
		{"", 0},
		{"select 1", 1},
		{"select 1+1+1, 2", 3},
		{"select a, b, c", 2},
		{"select f(g(1), 2), (3)", 1 + 4},
		{"values (1), (2), (3)", 1 + 1},
		{"select 1 union select 1, 2 union select 3", 5},
		{"select 1; select 2; select a", 3 + 1},
		{"select t.a.b", 4},
		{"((((", 4},
		{"))))", 0},
		{"select '((((' /* (((( */, \"((((\"", 2},
	} {
		if got := Depth([]byte(tt.text)); got != tt.want {
			t.Errorf("%q: got %d, want %d", tt.text, got, tt.want)
		}
	}
}
