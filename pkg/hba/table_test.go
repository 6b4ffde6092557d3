package hba

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"net/netip"
	"net/url"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"
)

// A table is one pg_hba.conf, with a pg_ident.conf and what they include, and what PostgreSQL makes of it: an archive of testdata/table. Its
// section rules is what the view pg_hba_file_rules shows, decisions is what becomes of each request; TestPostgreSQL writes both. A name that
// begins with 16- says that PostgreSQL 15 reads the files in another way.
type table struct {
	name     string
	archive  *txtar.Archive
	requests []request
}

// A request is a Request with what else an answer depends on.
type request struct {
	Request
	from string // an address, or local
	how  string // -, tls, cert:NAME for TLS with a certificate of this common name, physical or logical replication
}

// String is the request as the section decisions has it.
func (q *request) String() string {
	return fmt.Sprintf("%s %s %s %s", url.PathEscape(q.User), url.PathEscape(q.Database), q.from, url.PathEscape(q.how))
}

func tables(t testing.TB) (all []*table) {
	t.Helper()
	paths, err := filepath.Glob("testdata/table/*.txtar")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no tables: %v", err)
	}
	for _, p := range paths {
		archive, err := txtar.ParseFile(p)
		if err != nil {
			t.Fatal(err)
		}
		one := &table{name: strings.TrimSuffix(filepath.Base(p), ".txtar"), archive: archive}
		for line := range strings.Lines(one.section("requests")) {
			one.requests = append(one.requests, expand(t, strings.Fields(line))...)
		}
		all = append(all, one)
	}
	return all
}

// expand makes every combination of the values of a line of requests: users, databases, addresses, and how.
func expand(t testing.TB, columns []string) (all []request) {
	t.Helper()
	combinations := [][]string{nil}
	for _, column := range columns {
		var longer [][]string
		for _, c := range combinations {
			for value := range strings.SplitSeq(column, ",") {
				value, err := url.PathUnescape(value)
				if err != nil {
					t.Fatal(err)
				}
				longer = append(longer, append(slices.Clone(c), value))
			}
		}
		combinations = longer
	}
	for _, c := range combinations {
		q := request{from: c[2], how: c[3], Request: Request{
			User: c[0], Database: c[1], Local: c[2] == "local", Replication: c[3] == "physical",
			TLS: c[3] == "tls" || strings.HasPrefix(c[3], "cert:"),
			// As it is on every machine, and as TestPostgreSQL grants it.
			Interfaces: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/8"), netip.MustParsePrefix("::1/128")},
			Member:     isMember,
		}}
		if !q.Local {
			q.Addr = netip.MustParseAddr(q.from)
		}
		q.HostName = func() string {
			if q.from == "127.0.0.1" {
				return "localhost"
			}
			return ""
		}
		all = append(all, q)
	}
	return all
}

// memberships are the grants and the roles of the server that the tables were made by.
func memberships() map[string][]string {
	return map[string][]string{"alice": {"staff"}, "interns": {"staff"}, "carol": {"interns"}, "bob": nil, "boss": nil, "staff": nil}
}

func isMember(user, role string) bool {
	grants := memberships()
	_, exists := grants[user]
	return exists && (user == role || slices.ContainsFunc(grants[user], func(r string) bool { return isMember(r, role) }))
}

func (tb *table) section(name string) string {
	for _, f := range tb.archive.Files {
		if f.Name == name {
			return string(f.Data)
		}
	}
	return ""
}

// lines are the lines of a section.
func (tb *table) lines(name string) []string {
	return strings.FieldsFunc(tb.section(name), func(r rune) bool { return r == '\n' })
}

// files are the sections that PostgreSQL reads.
func (tb *table) files() (files []txtar.File) {
	for _, f := range tb.archive.Files {
		if !slices.Contains([]string{"requests", "rules", "decisions"}, f.Name) {
			files = append(files, f)
		}
	}
	return files
}

func (tb *table) options(t testing.TB) Options {
	t.Helper()
	files, err := txtar.FS(&txtar.Archive{Files: tb.files()})
	if err != nil {
		t.Fatal(err)
	}
	return Options{
		ReadFile: func(p string) ([]byte, error) { return fs.ReadFile(files, path.Clean(p)) },
		ReadDir:  func(p string) ([]fs.DirEntry, error) { return fs.ReadDir(files, path.Clean(p)) },
	}
}

// parse reads the files of a table.
func (tb *table) parse(t testing.TB) (*Rules, *Maps, []Problem) {
	t.Helper()
	rules, problems := Parse("pg_hba.conf", []byte(tb.section("pg_hba.conf")), tb.options(t))
	maps, bad := ParseIdent("pg_ident.conf", []byte(tb.section("pg_ident.conf")), tb.options(t))
	return rules, maps, append(problems, bad...)
}

// rows are the rules as the section rules has them, or what is wrong with the lines.
func rows(rules *Rules, problems []Problem) (all []string) {
	for _, p := range problems {
		all = append(all, fmt.Sprintf("%d refused: %s", p.Line, p.Reason))
	}
	if rules == nil {
		return all
	}
	for r := range rules.All() {
		address, mask := "", ""
		if r.Type != Local {
			address, mask, _ = strings.Cut(r.address.String(), " ")
		}
		if r.address.kind == network {
			address, mask = r.address.ip.String(), r.address.mask.String()
		}
		if r.address.kind == hostName {
			address = r.address.host
		}
		all = append(all, row(r.Line, string(r.Type), words(r.databases), words(r.users), address, mask, string(r.Method), r.options()))
	}
	return all
}

func row(number int, kind string, databases, users []string, address, mask, method string, options []string) string {
	options = slices.DeleteFunc(options, func(o string) bool { return o == "map=" || o == "pamservice=" }) // as without
	slices.Sort(options)
	text := fmt.Sprintf("%d %s %q %q %s %s %s %q", number, kind, databases, users, address, mask, method, options)
	return strings.ReplaceAll(text, "samegroup", "samerole") // which are one to us
}

// options are those that the view shows.
func (r *Rule) options() (all []string) {
	for option, value := range map[string]string{"map": r.Map, "clientcert": string(r.ClientCert), "pamservice": r.PAMService} {
		if value != "" {
			all = append(all, option+"="+value)
		}
	}
	return all
}

func words(names []name) (all []string) {
	for _, n := range names {
		switch n.kind {
		case exact, pattern:
			all = append(all, n.text)
		case member:
			all = append(all, "+"+n.text)
		default:
			all = append(all, n.String())
		}
	}
	return all
}

// A fileRule is a row of pg_hba_file_rules. That it is refused shows in Type, which is then nil, not in Error: some errors are warnings.
type fileRule struct {
	File      string   `json:"file_name"` // from PostgreSQL 16 on
	Line      int      `json:"line_number"`
	Type      *string  `json:"type"`
	Databases []string `json:"database"`
	Users     []string `json:"user_name"`
	Address   string   `json:"address"`
	Mask      string   `json:"netmask"`
	Method    string   `json:"auth_method"`
	Options   []string `json:"options"`
	Error     string   `json:"error"`
}

// fileRows are the rows of the view as the section rules has them.
func fileRows(t testing.TB, rowsAsJSON string) (all []string) {
	t.Helper()
	var fileRules []fileRule
	if err := json.Unmarshal([]byte(rowsAsJSON), &fileRules); err != nil {
		t.Fatal(err)
	}
	for _, r := range fileRules {
		if r.Type == nil {
			all = append(all, fmt.Sprintf("%d refused: %s", r.Line, r.Error))
		} else {
			all = append(all, row(r.Line, *r.Type, r.Databases, r.Users, r.Address, r.Mask, r.Method, r.Options))
		}
	}
	return all
}

// A matcher is what finds a rule: that of Rules.Match, or a faulty one.
type matcher func(*Request) (*Rule, error)

// right is what is held against the tables. Faults, which have its form, may change what they get.
func right(rules *Rules, _ *Maps) matcher { return rules.Match }

// decide is the first answer that a client gets who matches so.
func (q *request) decide(t testing.TB, match matcher, maps *Maps) string {
	t.Helper()
	rule, err := match(&q.Request)
	switch {
	case err != nil:
		t.Fatalf("%v: %v", q, err)
	case rule == nil:
		return "no entry"
	}
	name, hasCert := strings.CutPrefix(q.how, "cert:")
	if rule.ClientDN {
		name = "CN=" + name
	}
	switch {
	case rule.Method == Peer:
		return "peer fails"
	case rule.ClientCert != "" && !hasCert:
		return "certificate missing"
	case rule.ClientCert == VerifyFull && (rule.Method == Cert || rule.Method == Trust):
		if !maps.Allows(rule.Map, name, q.User, q.Member) {
			return "certificate fails"
		}
		return string(Trust)
	}
	return string(rule.Method)
}

// wrong lists the requests of a table of which a matcher makes something else than PostgreSQL has.
func (tb *table) wrong(t testing.TB, made func(*Rules, *Maps) matcher) (all []string) {
	t.Helper()
	rules, maps, problems := tb.parse(t)
	if len(problems) > 0 {
		return nil
	}
	want := tb.lines("decisions")
	if len(want) != len(tb.requests) {
		t.Fatalf("%s has %d requests and %d decisions: run TestPostgreSQL with -update", tb.name, len(tb.requests), len(want))
	}
	match := made(rules, maps)
	for i, q := range tb.requests {
		if got := q.String() + " " + q.decide(t, match, maps); got != want[i] {
			all = append(all, fmt.Sprintf("got  %s\nwant %s", got, want[i]))
		}
	}
	return all
}

// TestTable holds rules and decisions against what PostgreSQL has made of the same files and requests.
func TestTable(t *testing.T) {
	decisions := 0
	for _, tb := range tables(t) {
		t.Run(tb.name, func(t *testing.T) {
			for _, w := range tb.wrong(t, right) {
				t.Error(w)
			}
			rules, _, problems := tb.parse(t)
			want := tb.lines("rules")
			if len(problems) > 0 {
				want = slices.DeleteFunc(want, func(row string) bool { return !strings.Contains(row, " refused:") })
			}
			if got := rows(rules, problems); !slices.EqualFunc(got, want, sameRow) {
				t.Errorf("the file reads as\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
			if rules == nil {
				return
			}
			again := &table{name: tb.name, requests: tb.requests, archive: &txtar.Archive{Files: []txtar.File{
				{Name: "pg_hba.conf", Data: []byte(rules.Text())},
				{Name: "pg_ident.conf", Data: []byte(tb.mapsText(t))},
				{Name: "decisions", Data: []byte(tb.section("decisions"))},
			}}}
			if _, _, problems := again.parse(t); len(problems) > 0 {
				t.Errorf("the text does not read back: %v\n%s", problems, rules.Text())
			}
			for _, w := range again.wrong(t, right) {
				t.Errorf("after Text: %s", w)
			}
		})
		decisions += len(tb.lines("decisions"))
	}
	if decisions < 300 {
		t.Errorf("only %d decisions", decisions)
	}
	t.Logf("%d decisions", decisions)
}

// sameRow says whether a row is PostgreSQL's. What is wrong with a line is said in its words, where it has any and they need not be others.
func sameRow(got, want string) bool {
	const colon = " refused: "
	line, reason, _ := strings.Cut(got, colon)
	wantLine, wantReason, _ := strings.Cut(want, colon)
	for _, ours := range []string{"could not open ", "invalid regular expression ", "authentication option not in name=value format"} {
		if strings.HasPrefix(reason, ours) && strings.HasPrefix(wantReason, ours) {
			wantReason = reason
		}
	}
	return line == wantLine && (reason == wantReason || wantReason == "")
}

func (tb *table) mapsText(t testing.TB) string {
	t.Helper()
	_, maps, _ := tb.parse(t)
	return maps.Text()
}
