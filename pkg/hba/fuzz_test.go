package hba

import (
	"io/fs"
	"net/netip"
	"strings"
	"testing"
	"testing/fstest"
)

// included are files that any rules may include.
func included() Options {
	files := fstest.MapFS{
		"a":           {Data: []byte("b,\"c d\" +e @f\n")},
		"f":           {Data: []byte("# none\n")},
		"r":           {Data: []byte("host all,\"all\" @a ::/0 md5\n")},
		"d/1.conf":    {Data: []byte("m x\\y \"z\\1\"\n")},
		"loop":        {Data: []byte("include loop\n")},
		"d/.old.conf": {Data: []byte("no\n")},
	}
	return Options{
		ReadFile: func(p string) ([]byte, error) { return fs.ReadFile(files, p) },
		ReadDir:  func(p string) ([]fs.DirEntry, error) { return fs.ReadDir(files, p) },
	}
}

// parseFault says what is wrong with how a text is read: Text must read back to the same rules. text is Rules.Text or a faulty one.
func parseFault(input string, text func(*Rules) string) string {
	rules, problems := Parse("pg_hba.conf", []byte(input), included())
	if (rules == nil) == (len(problems) == 0) {
		return "neither rules nor problems, or both"
	}
	for _, p := range problems {
		if p.Line < 0 || p.Line > strings.Count(input, "\n")+1 && p.File == "pg_hba.conf" || p.Reason == "" {
			return "a problem that is nowhere: " + p.String()
		}
	}
	if rules == nil {
		return ""
	}
	again, problems := Parse("pg_hba.conf", []byte(text(rules)), Options{})
	switch {
	case again == nil:
		return "its text is refused: " + problems[0].String() + "\n" + text(rules)
	case again.Text() != rules.Text() || again.Needs() != rules.Needs():
		return "its text reads as\n" + again.Text() + "instead of\n" + rules.Text()
	}
	for _, q := range requestsFor(rules) {
		if got, want := matched(again, &q), matched(rules, &q); got != want {
			return "a request gets another rule by the text:\n" + again.Text()
		}
	}
	return ""
}

// requestsFor are some that the names of the rules may fit.
func requestsFor(rules *Rules) (all []Request) {
	for i := range min(len(rules.rules), 5) {
		r := &rules.rules[i]
		q := Request{
			User: r.users[0].text, Database: r.databases[0].text, Addr: r.address.ip, Member: isMember,
			HostName: func() string { return r.address.host }, Interfaces: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/8")},
		}
		q.Local, q.TLS = r.Type == Local, r.Type == HostSSL
		all = append(all, q)
		q.Replication = true
		all = append(all, q)
		q.Replication, q.User, q.Database = false, r.users[len(r.users)-1].text, "all"
		all = append(all, q)
	}
	return all
}

// matched is the place of the rule that fits.
func matched(rules *Rules, q *Request) int {
	rule, err := rules.Match(q)
	if err != nil {
		return -1
	}
	for i := range rules.rules {
		if rule == &rules.rules[i] {
			return i
		}
	}
	return len(rules.rules)
}

// identFault is parseFault for maps.
func identFault(input, systemUser, databaseUser string, text func(*Maps) string) string {
	maps, problems := ParseIdent("pg_ident.conf", []byte(input), included())
	if (maps == nil) == (len(problems) == 0) {
		return "neither maps nor problems, or both"
	}
	if maps == nil {
		return ""
	}
	again, problems := ParseIdent("pg_ident.conf", []byte(text(maps)), Options{})
	switch {
	case again == nil:
		return "its text is refused: " + problems[0].String() + "\n" + text(maps)
	case again.Text() != maps.Text() || again.NeedsRoles() != maps.NeedsRoles():
		return "its text reads as\n" + again.Text() + "instead of\n" + maps.Text()
	}
	for _, e := range maps.entries {
		for _, user := range []string{databaseUser, e.databaseUser.text} {
			if again.Allows(e.mapName, systemUser, user, isMember) != maps.Allows(e.mapName, systemUser, user, isMember) {
				return "its text maps otherwise:\n" + again.Text()
			}
		}
	}
	return ""
}

func FuzzParse(f *testing.F) {
	for _, tb := range tables(f) {
		f.Add(tb.section("pg_hba.conf"))
	}
	f.Add("host @a,@f all 10.0.0.0 255.0.255.0 trust\ninclude r\ninclude_if_exists no\ninclude loop\ninclude_dir \"d\"\n")
	f.Add("hostgssenc all all fe80::1%1 255 radius\nhost @a @a all pam \"pamservice=\"\"\" \\\n# \\\n\r\nlocal \"\" +\"\" md5\\")
	f.Fuzz(func(t *testing.T, input string) {
		if fault := parseFault(input, (*Rules).Text); fault != "" {
			t.Errorf("%q: %s", input, fault)
		}
	})
}

func FuzzParseIdent(f *testing.F) {
	for _, tb := range tables(f) {
		f.Add(tb.section("pg_ident.conf"), "alice@x", "alice")
	}
	f.Add("m @f a @a\ninclude_dir d\n\"m \" \"/^(.)\xff*\" \"\\1\\1\"\n", "é\xff", "\xc3")
	f.Fuzz(func(t *testing.T, input, systemUser, databaseUser string) {
		if fault := identFault(input, systemUser, databaseUser, (*Maps).Text); fault != "" {
			t.Errorf("%q: %s", input, fault)
		}
	})
}

// TestPlantedTexts shows that the fuzz targets would notice a text that says something else.
func TestPlantedTexts(t *testing.T) {
	noQuotes := func(r *Rules) string { return strings.ReplaceAll(r.Text(), `"`, "") }
	first := func(r *Rules) string { return r.rules[0].String() }
	noQuotesInMaps := func(m *Maps) string { return strings.ReplaceAll(m.Text(), `"`, "") }
	for name, fault := range map[string]string{
		"no quotes":         parseFault("host \"all\" all all trust\n", noQuotes),
		"first rule only":   parseFault("local all all trust\nhost all all all trust\n", first),
		"no quotes in maps": identFault("m alice \"all\"\n", "alice", "bob", noQuotesInMaps),
	} {
		if fault == "" {
			t.Errorf("%s: not found", name)
		}
	}
}
