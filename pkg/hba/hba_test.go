package hba

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

// must parses rules that are right.
func must(t testing.TB, text string) *Rules {
	t.Helper()
	rules, problems := Parse("pg_hba.conf", []byte(text), Options{})
	if problems != nil {
		t.Fatalf("%q: %v", text, problems)
	}
	return rules
}

// TestRefused is about what PostgreSQL would take; what it refuses is in testdata/table.
func TestRefused(t *testing.T) {
	for _, tt := range []struct{ line, reason string }{
		{"host all all all ident", `"ident" is not supported: use cert`},
		{"host all all all gss include_realm=0", `"gss" is not supported: use cert or scram`},
		{"host all all all sspi", `"sspi" is not supported: use cert or scram`},
		{"host all all all ldap ldapserver=x ldapbasedn=y", `"ldap" is not supported: use pam`},
		{"host all all all radius radiusservers=x", `"radius" is not supported: use pam`},
		{"host all all all bsd", `"bsd" is not supported: use pam`},
		{"host all all all oauth issuer=x scope=y", `"oauth" is not supported: use cert`},
		{"local all all gss", "gssapi authentication is not supported on local sockets"},
		{"host all all all ldap ldapserver=x and", "not in name=value format"},
		{"host all all 10/8 trust", `"10" is not four decimal numbers`},
		{"host all all 127.1 255.0.0.0 trust", `"127.1" is not four decimal numbers`},
		{"host all all 010.0.0.1/8 trust", `"010.0.0.1" is not four decimal numbers`},
		{"host all all 256.1.1.1 trust", `"256.1.1.1" is not four decimal numbers`},
		{"host all all 10.0.0.1 0xff000000 trust", `"0xff000000" is not four decimal numbers`},
		{"host all all fe80::1%eth0/64 trust", "names an interface"},
		{`host all /\bx all trust`, `\b is not supported`},
		{`host all /a\ all trust`, "ends with a backslash"},
		{`host all /(?i)x all trust`, "after (? only :"},
		{`host all /(?=x) all trust`, "after (? only :"},
		{`host all /x+? all trust`, "+? is not supported"},
		{`host all /[[.x.]] all trust`, "[. in brackets"},
		{`host all /[^]\x] all trust`, `\x is not supported`},
		{`host all /[[:x] all trust`, "[: without :]"},
		{`host all /[[:x:]] all trust`, "invalid regular expression"},
		{"host all all \x00 trust", "NUL"},
		{"include x", "files are not included here"},
		{"include_if_exists x", "files are not included here"},
		{"include_dir x", "directories are not included here"},
		{"host @x all all trust", "files are not included here"},
	} {
		rules, problems := Parse("a.conf", []byte("# a comment\n\n"+tt.line+"\nlocal all all trust\n"), Options{})
		if rules != nil || len(problems) != 1 {
			t.Errorf("%q: %v, want one problem", tt.line, problems)
			continue
		}
		if got := problems[0].String(); !strings.HasPrefix(got, "a.conf:3: ") || !strings.Contains(got, tt.reason) {
			t.Errorf("%q: %s, want a.conf:3: … %s", tt.line, got, tt.reason)
		}
	}
	for _, empty := range []string{"", "# nothing\n"} {
		if _, problems := Parse("a.conf", []byte(empty), Options{}); fmt.Sprint(problems) != "[a.conf: contains no entries: nobody could connect]" {
			t.Errorf("%q: %v", empty, problems)
		}
	}
}

func TestAllProblemsInOrder(t *testing.T) {
	files := fstest.MapFS{
		"etc/pg_hba.conf": {Data: []byte("hots\ninclude more.conf\nhost all all all trust x=1\nhost @names all all trust\ninclude /gone\nlocal all\n")},
		"etc/more.conf":   {Data: []byte("local all all trust\nlocal all all cert\n")},
		"etc/names":       {Data: []byte("a\n@more.names\n")},
	}
	opt := Options{ReadFile: func(p string) ([]byte, error) { return fs.ReadFile(files, strings.TrimPrefix(p, "/")) }}
	rules, problems := Parse("/etc/pg_hba.conf", files["etc/pg_hba.conf"].Data, opt)
	want := `/etc/names:2: could not open file "/etc/more.names": file does not exist
/etc/pg_hba.conf:1: invalid connection type "hots"
/etc/pg_hba.conf:3: unrecognized authentication option name: "x"
/etc/pg_hba.conf:5: could not open file "/gone": file does not exist
/etc/pg_hba.conf:6: end-of-line before role specification
/etc/more.conf:2: cert authentication is only supported on hostssl connections
`
	var got strings.Builder
	for _, p := range problems {
		got.WriteString(p.String() + "\n")
	}
	if rules != nil || got.String() != want {
		t.Errorf("got\n%swant\n%s", got.String(), want)
	}
}

func TestBounds(t *testing.T) {
	read := func(text string) Options {
		return Options{
			ReadFile: func(string) ([]byte, error) { return []byte(text), nil },
			ReadDir:  func(string) ([]fs.DirEntry, error) { return nil, errors.New("broken") },
		}
	}
	for _, tt := range []struct{ name, text, included, reason string }{
		{"loop", "include x\nlocal all all trust", "include x\nlocal all all trust\n", "maximum nesting depth exceeded"},
		{"loop of names", "local @x all trust", "a @x", "maximum nesting depth exceeded"},
		{"wide loop", "include x", strings.Repeat("include x\n", 1000), "more than 100 problems"},
		{"large", "include x\ninclude x", strings.Repeat("#", maxText/2), "more than 4194304 bytes"},
		{"many problems", strings.Repeat("x\n", 1000), "", "more than 100 problems"},
		{"directory", "include_dir x", "", `could not open directory "x": broken`},
	} {
		_, problems := Parse("a.conf", []byte(tt.text), read(tt.included))
		if !slices.ContainsFunc(problems, func(p Problem) bool { return strings.Contains(p.Reason, tt.reason) }) || len(problems) > maxProblems+1 {
			t.Errorf("%s: %d problems, want %q; the first is %v", tt.name, len(problems), tt.reason, problems[:1])
		}
	}
	if _, problems := Parse("a.conf", []byte("host @x all all trust"), read(strings.Repeat("a\n", 1000))); problems != nil {
		t.Errorf("a thousand names: %v", problems)
	}
}

func TestNeeds(t *testing.T) {
	for _, tt := range []struct {
		line string
		want Needs
	}{
		{"host db alice 127.0.0.1/32 trust", Needs{}},
		{`host "samerole" "+staff" all trust`, Needs{}},
		{"host all +staff all trust", Needs{Roles: true}},
		{"host a,samerole all all trust", Needs{Roles: true}},
		{"host samegroup all all trust", Needs{Roles: true}},
		{"host all all example.com trust", Needs{HostNames: true}},
		{"host all +staff .example.com trust", Needs{Roles: true, HostNames: true}},
		{"host all all samenet trust", Needs{Interfaces: true}},
		{"host all all samehost trust", Needs{Interfaces: true}},
	} {
		if got := must(t, "local all all trust\n"+tt.line).Needs(); got != tt.want {
			t.Errorf("%s needs %+v, want %+v", tt.line, got, tt.want)
		}
		for _, lack := range []Needs{{Roles: true}, {HostNames: true}, {Interfaces: true}} {
			_, problems := Parse("a.conf", []byte("local all all trust\n"+tt.line), Options{Lack: lack})
			refused := tt.want.and(lack) == tt.want
			if refused != (len(problems) == 1) || refused && problems[0].Line != 2 {
				t.Errorf("%s without %+v: %v, want a problem of line 2: %v", tt.line, lack, problems, refused)
			}
		}
	}
}

// TestLacking: a request that lacks what a rule needs gets no rule, not the next one.
func TestLacking(t *testing.T) {
	for _, line := range []string{"host all +staff all reject", "host samerole all all reject", "host all all example.com reject"} {
		rules := must(t, line+"\nhost all all all trust")
		rule, err := rules.Match(&Request{User: "alice", Database: "db"})
		if rule != nil || err == nil || !strings.HasPrefix(err.Error(), "pg_hba.conf:1: the rule needs ") {
			t.Errorf("%s: %v, %v", line, rule, err)
		}
		if rule, err := rules.Match(&Request{Local: true}); rule != nil || err != nil {
			t.Errorf("%s asks where it cannot fit: %v, %v", line, rule, err)
		}
	}
}

func TestHostNames(t *testing.T) {
	for _, tt := range []struct {
		rule, name string
		want       bool
	}{
		{"a.example.com", "a.example.com", true},
		{"a.example.com", "A.Example.COM", true},
		{"example.com", "a.example.com", false},
		{".example.com", "a.example.com", true},
		{".example.com", "a.b.EXAMPLE.com", true},
		{".example.com", "example.com", false},
		{".example.com", "xexample.com", false},
		{".example.com", ".example.com", true},
		{"a.example.com", "a.example.co", false},
		{`"samehost"`, "samehost", true},
		{`""`, "", false},
	} {
		asked := 0
		q := Request{Addr: netip.MustParseAddr("192.0.2.1"), User: "u", Database: "d", HostName: func() string { asked++; return tt.name }}
		rules := must(t, fmt.Sprintf("host x u %s trust\nhost d u other trust\nhost d u %s trust", tt.rule, tt.rule))
		rule, err := rules.Match(&q)
		if (rule != nil) != tt.want || err != nil || asked != 1 {
			t.Errorf("%s by %s: %v, %v, asked %d times", tt.name, tt.rule, rule, err, asked)
		}
	}
}

func TestAddresses(t *testing.T) {
	rules := must(t, "host all all 127.0.0.0/8 trust\nhost all all fe80::/64 md5\nhost all all samehost reject")
	for _, tt := range []struct {
		addr string
		want Method
	}{
		{"127.0.0.1", Trust},
		{"::ffff:127.0.0.1", Trust},
		{"fe80::1%eth0", MD5},
		{"fe81::1%eth0", Reject},
		{"fe81::2", ""},
		{"", ""},
	} {
		q := Request{Interfaces: []netip.Prefix{netip.PrefixFrom(netip.MustParseAddr("fe81::1"), 0)}}
		if tt.addr != "" {
			q.Addr = netip.MustParseAddr(tt.addr)
		}
		rule, err := rules.Match(&q)
		if err != nil || (rule == nil) != (tt.want == "") || rule != nil && rule.Method != tt.want {
			t.Errorf("%s: %v, %v, want %s", tt.addr, rule, err, tt.want)
		}
	}
}

func TestGSS(t *testing.T) {
	rules := must(t, "hostgssenc all all all trust\nhostnogssenc all a all reject\nhostnossl all all all md5")
	for _, tt := range []struct {
		user     string
		tls, gss bool
		want     int
	}{{"a", false, true, 1}, {"a", true, false, 2}, {"a", false, false, 2}, {"b", false, false, 3}, {"b", true, false, 0}} {
		rule, err := rules.Match(&Request{User: tt.user, TLS: tt.tls, GSS: tt.gss})
		if err != nil || (rule == nil) != (tt.want == 0) || rule != nil && rule.Line != tt.want {
			t.Errorf("%+v: %v, %v", tt, rule, err)
		}
	}
}

func TestString(t *testing.T) {
	for line, want := range map[string]string{
		"local  all\tall  ident":                        "local all all peer",
		"host samegroup all 10.0.0.0 255.255.0.0 trust": "host samerole all 10.0.0.0/16 trust",
		"host a all 10.0.0.0 255.0.255.0 trust":         "host a all 10.0.0.0 255.0.255.0 trust",
		`host "all","a"  "+x",+"y z","all",+ "all" pam pamservice=x pam_use_hostname=1 pam_use_hostname=1`: `host "all",a "+x",+"y z","all",+ "all" pam pamservice=x pam_use_hostname=1`,
		`hostssl "a""b","@c","","d\" "/^a,b$",/c samenet cert map="a b" clientname=DN`:                     `hostssl "a""b","@c","","d\" "/^a,b$",/c samenet cert "map=a b" clientname=DN`,
		"hostssl all all ::1/128 md5 clientcert=verify-ca clientname=CN":                                   "hostssl all all ::1/128 md5 clientcert=verify-ca",
	} {
		rules := must(t, line)
		if got := rules.Text(); got != want+"\n" {
			t.Errorf("%s\nis   %swant %s", line, got, want)
		}
		if again := must(t, rules.Text()); again.Text() != rules.Text() {
			t.Errorf("%s reads as %s", rules.Text(), again.Text())
		}
	}
}

// TestMaps is about what testdata/table cannot show.
func TestMaps(t *testing.T) {
	maps, problems := ParseIdent("pg_ident.conf", []byte("m a +staff\nm a b\n"), Options{})
	if problems != nil || !maps.NeedsRoles() {
		t.Fatalf("%v, %v", problems, maps)
	}
	if maps.Allows("m", "a", "alice", nil) || !maps.Allows("m", "a", "b", nil) || !maps.Allows("m", "a", "alice", isMember) {
		t.Error("without member, nobody is a member and the rest is as with it")
	}
	if none := (*Maps)(nil); none.Allows("m", "a", "a", nil) || !none.Allows("", "a", "a", nil) || none.Allows("", "a", "A", nil) {
		t.Error("without maps, equal names are allowed if no map is named")
	}
	_, problems = ParseIdent("i", []byte("m\nm a\nm,n a b\n# \nm a b,c\nm /( b\nm a /(\nm a +b\n"), Options{Lack: Needs{Roles: true}})
	lines := make([]int, len(problems))
	for i, p := range problems {
		lines[i] = p.Line
	}
	if !slices.Equal(lines, []int{1, 2, 3, 5, 6, 7, 8}) {
		t.Errorf("problems are %v", problems)
	}
	if maps, problems := ParseIdent("i", nil, Options{}); problems != nil || maps.NeedsRoles() || maps.Text() != "" {
		t.Errorf("an empty file: %v", problems)
	}
}

// many is rules of which the last but one is for the request.
func many(t testing.TB, n int) (*Rules, *Request) {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "host db%d user%d,another,\"all\" 10.0.%d.0/24 scram-sha-256\n", i, i, i%256)
	}
	b.WriteString("hostssl all alice fd00::/8 md5\nhostssl sameuser,replication,db all samenet cert map=m\nhost all all all reject\n")
	return must(t, b.String()), &Request{
		User: "alice", Database: "db", TLS: true, Addr: netip.MustParseAddr("::ffff:127.0.0.1"),
		Interfaces: []netip.Prefix{netip.MustParsePrefix("192.0.2.1/24"), netip.MustParsePrefix("127.0.0.1/8")},
	}
}

func TestMatchDoesNotAllocate(t *testing.T) {
	rules, q := many(t, 100)
	if n := testing.AllocsPerRun(100, func() {
		if rule, err := rules.Match(q); err != nil || rule.Method != Cert {
			t.Fatal(rule, err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkMatch(b *testing.B) {
	rules, q := many(b, 100)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := rules.Match(q); err != nil {
			b.Fatal(err)
		}
	}
}
