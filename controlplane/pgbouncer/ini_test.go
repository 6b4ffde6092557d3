package pgbouncer

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/pelletier/go-toml/v2"

	"github.com/heliosproxy/heliosproxy/controlplane/configfile"
)

// readIni reads a text that may include others.
func readIni(text string) ([]entry, *fault) {
	files := fstest.MapFS{
		"main":  {Data: []byte(text)},
		"other": {Data: []byte("k = v\n[pgbouncer]\n")},
		"loop":  {Data: []byte("%include loop\n")},
	}
	r := &ini{read: func(name string) ([]byte, error) { return fs.ReadFile(files, name) }}
	f := r.file("main", place{"main", 1}, "ini", 0)
	return r.entries, f
}

func TestIni(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{"", ""},
		{"[a]\nb = c\n", "1 [a], 2 a/b=c"},
		{" [a] b=c\r\n\r\n;x\n#y\n\tb\t=\t c d \t\n", "1 [a], 1 a/b=c, 5 a/b=c d"},
		{"[a]\nb=\nc=d", "1 [a], 2 a/b=, 3 a/c=d"},
		{"[a]\nb=x ; y # z", "1 [a], 2 a/b=x ; y # z"},
		{"[a]\n_A-9.* = 1", "1 [a], 2 a/_A-9.*=1"},
		{"[a]\n\"b \"\"c\" = 1\n'd''e'=2", "1 [a], 2 a/b \"c=1, 3 a/d'e=2"},
		{"[a][b]\nc=d", "1 [a], 1 [b], 2 b/c=d"},
		{"[a]\n%include other\nx=y", "1 [a], other 1 a/k=v, other 2 [pgbouncer], 3 pgbouncer/x=y"},
		{"[]", "1 []"},
		{"a=b", "main:1: a: value without section"},
		{"[a\nb]", "main:1: ini: syntax error: the section's name has no ]"},
		{"[a]\nb c", "1 [a], main:2: ini: syntax error: neither KEY = VALUE, nor [section], %include FILE, or a comment"},
		{"[a]\n\"\" = 1", "1 [a], main:2: ini: syntax error: neither KEY = VALUE, nor [section], %include FILE, or a comment"},
		{"[a]\n\"b = 1", "1 [a], main:2: ini: syntax error: neither KEY = VALUE, nor [section], %include FILE, or a comment"},
		{"[a]\n\x00", "main:2: ini: syntax error: a zero byte"},
		{"%includeother", "main:1: ini: syntax error: neither KEY = VALUE, nor [section], %include FILE, or a comment"},
		{"\n%include none", `main:2: %include: could not load file "none": file does not exist`},
		{"%include loop", "loop:1: %include: include nesting level too deep"},
	} {
		entries, f := readIni(tt.text)
		var got []string
		for _, e := range entries {
			s := fmt.Sprintf("%d %s/%s=%s", e.line, e.section, e.key, e.value)
			if e.key == "" {
				s = fmt.Sprintf("%d [%s]", e.line, e.section)
			}
			if e.file != "main" {
				s = e.file + " " + s
			}
			got = append(got, s)
		}
		if f != nil {
			got = append(got, fmt.Sprintf("%s:%d: %s: %s", f.file, f.line, f.key, f.reason))
		}
		if s := strings.Join(got, ", "); s != tt.want {
			t.Errorf("%q:\ngot  %s\nwant %s", tt.text, s, tt.want)
		}
	}
}

// iniFault states what must hold of any text.
func iniFault(text string, read func(string) ([]entry, *fault)) string {
	lines := strings.Split(text, "\n")
	entries, f := read(text)
	if f != nil && (f.line < 1 || f.file == "main" && f.line > len(lines) || f.reason == "" || f.key == "") {
		return fmt.Sprintf("a fault that is nowhere: %v", f)
	}
	var again strings.Builder
	for _, e := range entries {
		switch {
		case e.line < 1 || e.file == "main" && e.line > len(lines):
			return fmt.Sprintf("line %d is none", e.line)
		case e.file == "main" && !strings.Contains(lines[e.line-1], e.value):
			return fmt.Sprintf("the value %q does not stand in line %d", e.value, e.line)
		case e.value != strings.TrimRight(strings.TrimLeft(e.value, " \t"), space):
			return fmt.Sprintf("white space around the value %q", e.value)
		case e.key == "":
			again.WriteString("[" + e.section + "]\n")
		default:
			again.WriteString(`"` + strings.ReplaceAll(e.key, `"`, `""`) + `" = ` + e.value + "\n")
		}
	}
	written, f := read(again.String())
	same := func(a, b entry) bool { return a.section == b.section && a.key == b.key && a.value == b.value }
	if f != nil || !slices.EqualFunc(entries, written, same) {
		return fmt.Sprintf("%q reads as %v, %v, instead of %v", again.String(), written, f, entries)
	}
	return ""
}

func FuzzIni(f *testing.F) {
	f.Add("[a]\nb = c\n;x\n%include other\n\"d \"\"e\" = 'f' ; g\r\n")
	f.Add("[databases]\n* = host='a b' \n[pgbouncer]x=1\n'k''' = \n%include loop")
	f.Fuzz(func(t *testing.T, text string) {
		if fault := iniFault(text, readIni); fault != "" {
			t.Errorf("%q: %s", text, fault)
		}
	})
}

// connFault states what must hold of any connection string.
func connFault(text string, read func(string) ([]pair, bool)) string {
	pairs, ok := read(text)
	if !ok {
		return ""
	}
	var b strings.Builder
	for _, p := range pairs {
		if p.key == "" || p.value == "" {
			return fmt.Sprintf("an empty key or value in %q", pairs)
		}
		b.WriteString(p.key + " = '" + strings.ReplaceAll(p.value, "'", "''") + "' ")
	}
	if again, ok := read(b.String()); !ok || !slices.Equal(again, pairs) {
		return fmt.Sprintf("%q reads as %q instead of %q", b.String(), again, pairs)
	}
	return ""
}

func FuzzConnString(f *testing.F) {
	f.Add("host=a port = 5 q='it''s' ")
	f.Add("a=b\tc=d e='f'\tg=h '")
	f.Fuzz(func(t *testing.T, text string) {
		if fault := connFault(text, connString); fault != "" {
			t.Errorf("%q: %s", text, fault)
		}
	})
}

func TestConnString(t *testing.T) {
	for _, tt := range []struct {
		text string
		want []pair
		ok   bool
	}{
		{"", nil, true},
		{"  ", nil, true},
		{"host=a port=5", []pair{{"host", "a"}, {"port", "5"}}, true},
		{"host = a\tport =5 ", []pair{{"host", "a\tport"}}, false},
		{"host= port=5", []pair{{"host", "port=5"}}, true},
		{"q='it''s \\' x=1", []pair{{"q", `it's \`}, {"x", "1"}}, true},
		{"q='a'x=1", nil, false},
		{"q=''", nil, false},
		{"q='a", nil, false},
		{"q=", nil, false},
		{"q", nil, false},
		{"=a", nil, false},
	} {
		if got, ok := connString(tt.text); !slices.Equal(got, tt.want) || ok != tt.ok {
			t.Errorf("%q: got %q, %v", tt.text, got, ok)
		}
	}
}

// tomlFault states what must hold of any text that is written into a proxy.toml.
func tomlFault(s string, quote func(string) string) string {
	s = strings.ToValidUTF8(s, "?")
	text := quote(s)
	var got struct{ A string }
	if err := toml.Unmarshal([]byte("a = "+text), &got); err != nil {
		return err.Error()
	}
	if got.A != s || strings.Contains(text, "${") {
		return fmt.Sprintf("%s reads as %q", text, got.A)
	}
	return ""
}

func FuzzQuote(f *testing.F) {
	f.Add("a \"b\" \\ ${X:-y} \x00\x7f ü")
	f.Fuzz(func(t *testing.T, s string) {
		if fault := tomlFault(s, quote); fault != "" {
			t.Errorf("%q: %s", s, fault)
		}
	})
}

// loadFault states what must hold of the translation of any text: what is written is TOML, and every finding stands somewhere.
func loadFault(text string, key func(string) (configfile.Takes, bool)) string {
	c := Load("main", Options{Dir: "/nowhere", Key: key, IPv6: true, ReadFile: func(name string) ([]byte, error) {
		if name == "/nowhere/main" {
			return []byte(text), nil
		}
		if name == "/nowhere/list" {
			return []byte("\"ann\" \"x\"\n"), nil
		}
		return nil, fs.ErrNotExist
	}, LookupHost: func(string) ([]string, error) { return nil, errors.New("no such host") }})
	if (c.File != nil) == c.Findings.Failed() {
		return "neither a file nor an error, or both"
	}
	var any map[string]any
	if err := toml.Unmarshal(c.TOML, &any); err != nil {
		return fmt.Sprintf("%v:\n%s", err, c.TOML)
	}
	for _, f := range c.Findings {
		if f.File == "" || f.Line < 1 || f.Line > 1+strings.Count(text, "\n") || f.Key == "" || f.Sentence == "" {
			return "a finding that is nowhere: " + f.String()
		}
		if strings.Contains(f.Sentence, "unknown key") {
			return "a key that this build does not know was written: " + f.String()
		}
	}
	return ""
}

func FuzzLoad(f *testing.F) {
	f.Add("[databases]\na = host=b,c port=5 pool_size=3 user=x\n* = dbname=y\n[pgbouncer]\nlisten_addr=*,localhost\nauth_type=trust\nquery_timeout=1.5\n")
	f.Add("[pgbouncer]\nauth_type=hba\nauth_hba_file=x\nclient_tls_protocols=tlsv1.0:all\nunix_socket_dir=\n[users]\na=pool_size=1\n[peers]\n1=host=a\n[databases]\nx=auth_user=y\n")
	f.Fuzz(func(t *testing.T, text string) {
		if fault := loadFault(text, configfile.Key); fault != "" {
			t.Errorf("%q: %s", text, fault)
		}
	})
}

// TestPlanted shows that the fuzz targets would notice readers and writers that are wrong.
func TestPlanted(t *testing.T) {
	for name, read := range map[string]func(string) ([]entry, *fault){
		"lines count from 0": func(text string) ([]entry, *fault) {
			entries, f := readIni(text)
			for i := range entries {
				entries[i].line--
			}
			return entries, f
		},
		"a value ends with the file": func(text string) ([]entry, *fault) {
			return readIni(strings.ReplaceAll(text, "\n", " "))
		},
		"quotes are not undoubled": func(text string) ([]entry, *fault) {
			entries, f := readIni(text)
			for i := range entries {
				entries[i].key = strings.ReplaceAll(entries[i].key, `"`, `""`)
			}
			return entries, f
		},
	} {
		if iniFault("[a]\nb = c\n\"d\"\"\" = e\n", read) == "" {
			t.Errorf("%s: not found", name)
		}
	}
	careless := func(s string) ([]pair, bool) { // takes a doubled quote for two
		pairs, ok := connString(s)
		for i := range pairs {
			pairs[i].value = strings.ReplaceAll(pairs[i].value, "'", "''")
		}
		return pairs, ok
	}
	if connFault("q='it''s'", careless) == "" {
		t.Error("quotes that stay doubled are not found")
	}
	if tomlFault("\a", strconv.Quote) == "" || tomlFault("${X}", strconv.Quote) == "" {
		t.Error("Go's way to quote is not found to be another than TOML's")
	}
	everything := func(name string) (configfile.Takes, bool) {
		if t, ok := configfile.Key(name); ok {
			return t, ok
		}
		return configfile.Takes{Form: configfile.Text}, true
	}
	if loadFault("[databases]\na=host=b\n[users]\nann=reserve_pool_size=3\n[pgbouncer]\nlisten_addr=127.0.0.1\nauth_file=list\n", everything) == "" {
		t.Error("a key that nobody knows is not found")
	}
}

func TestNumbers(t *testing.T) {
	for s, want := range map[string]string{
		"10": "10", "0x1F": "31", "0770": "504", "-5": "-5", "0": "0", "+1": "1", "": "is not a whole number", "1 ": "is not a whole number", "--1": "is not a whole number",
		"1_0": "is not a whole number", "0x": "is not a whole number", "09": "is not a whole number", "99999999999": "is too large a number", "-": "is not a whole number",
	} {
		n, err := parseNumber(s)
		got := strconv.FormatInt(n, 10)
		if err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%q: got %s, want %s", s, got, want)
		}
	}
	for s, want := range map[string]string{
		"1": "1 true", "1.5": "2 false", "0.0": "0 true", "1e2": "100 true", "": "is not a number of seconds", "x": "is not a number of seconds", "-1": "is negative",
		"inf": "is not a number of seconds", "nan": "is not a number of seconds", "1e99": "is too long a time", "0x10": "is not a number of seconds",
	} {
		n, exact, err := parseSeconds(s)
		got := fmt.Sprint(n, exact)
		if err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%q: got %s, want %s", s, got, want)
		}
	}
	for s, want := range map[string]string{"5": "5 true", "54x": "54 false", "x": "0 false", "": "0 false", "-3": "-3 true", "+3": "3 true", "9999999999": "2147483647 false"} {
		if n, clean := lenient(s); fmt.Sprint(n, clean) != want {
			t.Errorf("%q: got %d, %v, want %s", s, n, clean, want)
		}
	}
}
