package pgbouncer

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/heliosproxy/heliosproxy/controlplane/configfile"
)

// translator turns the entries of an ini into a proxy.toml and findings.
type translator struct {
	o         Options
	out       *document
	findings  configfile.Findings
	file      string             // the ini
	main      bool               // there is a section [pgbouncer]
	general   map[string]setting // what it says, the last of each
	databases []*item
	users     []*item
	peers     []*item
	log, pid  string
	verbose   bool
	known     map[string]bool // the users of auth_file
}

// setting is a key that has a value, be it PgBouncer's default.
type setting struct {
	key
	from  origin
	value string
	given bool // the file says so
}

// item is a database, user or peer.
type item struct {
	name  string
	from  origin
	pairs map[string]setting

	// Of a database.
	host, cluster string
	port          int64
	spread        string // how connections are spread over several hosts, or addresses of a name; empty: there is one
}

func (t *translator) add(level configfile.Severity, at origin, format string, args ...any) {
	f := configfile.Finding{File: at.file, Line: at.line, Key: at.key, Sentence: fmt.Sprintf(format, args...), Severity: level}
	if !slices.Contains(t.findings, f) {
		t.findings = append(t.findings, f)
	}
}

// path is a name of a file as whoever reads it from elsewhere needs it.
func (t *translator) path(name string) string {
	if name == "" || filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(t.o.Dir, name)
}

// gather sorts entries by what they are of, and refuses what PgBouncer does not know. What comes later goes before what came earlier.
func (t *translator) gather(entries []entry) {
	table := map[string]map[string]key{}
	for _, k := range keys() {
		if table[k.section] == nil {
			table[k.section] = map[string]key{}
		}
		table[k.section][k.name] = k
	}
	for _, e := range entries {
		at := origin{e.place, e.key}
		switch {
		case table[e.section] == nil && e.key == "":
			t.add(failure, origin{e.place, "[" + e.section + "]"}, "invalid section")
		case table[e.section] == nil:
		case e.section == "pgbouncer" && e.key == "":
			t.main, t.general = true, map[string]setting{} // as in PgBouncer, each time
		case e.key == "":
		case e.section != "pgbouncer":
			t.item(e, table[e.section])
		case !utf8.ValidString(e.value):
			t.add(failure, at, "is not UTF-8")
		default:
			if k, ok := table[e.section][e.key]; ok {
				t.general[e.key] = setting{k, at, e.value, true}
				t.value(t.general[e.key]) // it is refused even if another comes later
			} else {
				t.add(warning, at, "unknown parameter: pgbouncer/%s: passed over, where PgBouncer would not start", e.key)
			}
		}
	}
	if !t.main && !t.findings.Failed() {
		t.add(failure, origin{place{t.file, 1}, "[pgbouncer]"}, "main section missing from config file")
	}
}

// item reads a database, user or peer.
func (t *translator) item(e entry, table map[string]key) {
	at := origin{e.place, e.section + "." + spelt(e.key)}
	what := map[string]string{"databases": "connection", "users": "user", "peers": "connection"}[e.section]
	pairs, ok := connString(e.value)
	switch {
	case !utf8.ValidString(e.key + e.value):
		t.add(failure, at, "is not UTF-8")
		return
	case e.section == "databases" && e.key == "pgbouncer":
		t.add(failure, at, "database name %q is reserved", e.key)
		return
	case !ok:
		t.add(failure, at, "syntax error in %s", map[bool]string{true: "user settings", false: "connection string"}[e.section == "users"])
	}
	it := &item{name: e.key, from: at, pairs: map[string]setting{}}
	for _, p := range pairs {
		from := origin{e.place, at.key + "." + spelt(p.key)}
		k, ok := table[p.key]
		if !ok {
			t.add(failure, from, "unrecognized %s parameter: %s", what, p.key)
			continue
		}
		it.pairs[p.key] = setting{k, from, p.value, true}
		t.value(it.pairs[p.key])
	}
	list := map[string]*[]*item{"databases": &t.databases, "users": &t.users, "peers": &t.peers}[e.section]
	*list = slices.DeleteFunc(*list, func(o *item) bool { return o.name == it.name })
	*list = append(*list, it)
}

// spelt is a name in a dotted key.
func spelt(name string) string {
	if name == "" || strings.ContainsFunc(name, func(c rune) bool { return c <= ' ' || c == '.' || c == '"' || c == 0x7f }) {
		return quote(name)
	}
	return name
}

// get is what [pgbouncer] says of a key, or PgBouncer's default.
func (t *translator) get(name string) setting {
	if s, ok := t.general[name]; ok {
		return s
	}
	for _, k := range generalKeys() {
		if k.name == name {
			return t.standard(k)
		}
	}
	for _, k := range networkKeys() {
		if k.name == name {
			return t.standard(k)
		}
	}
	return setting{}
}

// standard is PgBouncer's default of a key.
func (t *translator) standard(k key) setting {
	return setting{k, origin{place{t.file, 1}, k.name}, k.def, false}
}

// translate writes everything. The order is that of the tables within each part.
func (t *translator) translate() {
	t.readUsers()
	t.hosts()
	for _, k := range append(generalKeys(), networkKeys()...) {
		t.one(t.get(k.name), t.out.table, "")
	}
	t.writeDatabases()
	t.writeUsers()
	for _, p := range t.peers {
		t.writePeer(p)
	}
}

// one translates a key. table gives the part of the document that a key of proxy.toml belongs to; prefix is that of an element of a list.
func (t *translator) one(s setting, table func(string) *element, prefix string) {
	if s.how != nil {
		s.how(t, s)
		return
	}
	value, ok := t.value(s)
	if !ok {
		return
	}
	if len(s.to) > 0 {
		t.put(s, value, table, prefix)
		return
	}
	if s.given && !t.isDefault(s) {
		t.add(s.level, s.from, "not carried over, %s", s.lack)
	}
}

// isDefault says whether a setting says what PgBouncer does anyway.
func (t *translator) isDefault(s setting) bool {
	if s.value == s.def {
		return true
	}
	if s.def == "" || s.form == text {
		return false
	}
	standard := s
	standard.value = s.def
	a, okA := t.value(s)
	b, okB := t.value(standard)
	return okA && okB && a == b
}

// value reads a value as PgBouncer does; ok is false if it would not take it, which is reported, or if it says nothing.
func (t *translator) value(s setting) (value any, ok bool) {
	var err error
	switch {
	case !s.given && s.def == "":
		return nil, false
	case s.form == word:
		value, err = choose(s.value, s.words)
	case s.form == text:
		return s.value, true
	case s.form == seconds:
		n, exact, problem := parseSeconds(s.value)
		if value, err = n, problem; err == nil && !exact {
			t.add(warning, s.from, "%s is rounded up to whole seconds", s.value)
		}
	case s.section != "pgbouncer":
		n, clean := lenient(s.value)
		if value = n; !clean {
			t.add(warning, s.from, "%q is read as %d, as PgBouncer does", s.value, n)
		}
	default:
		value, err = parseNumber(s.value)
	}
	if err != nil {
		t.add(failure, s.from, "%q %s", s.value, err)
		return nil, false
	}
	if s.form == onOff {
		value = value != int64(0)
	}
	return value, true
}

// longest is what stands for never where a time must be said.
const longest = int64(365 * 24 * 60 * 60)

// put writes what a key becomes, or says that there is nothing that it could become.
func (t *translator) put(s setting, value any, table func(string) *element, prefix string) {
	if n, isNumber := value.(int64); isNumber {
		switch {
		case s.zero == zeroNone && n <= 0, s.section != "pgbouncer" && n < 0:
			return
		case s.zero == zeroNever && n == 0:
			value = longest
		}
	}
	if value == "" || value == false && !s.given {
		return
	}
	to, takes, ok := t.takes(s.to)
	if !ok {
		t.lacks(s, value, table(tableOf(s.to[0], prefix)))
		return
	}
	switch v := value.(type) {
	case int64:
		if takes.Form == configfile.Number && (v < takes.Min || v > takes.Max) {
			t.add(failure, s.from, "%d is not between %d and %d", v, takes.Min, takes.Max)
			return
		}
	case string:
		if takes.Form == configfile.Texts {
			value = listOf(v)
		}
	}
	table(tableOf(to, prefix)).set(s.from, lastOf(to, prefix), value)
}

// takes finds the first of some keys of proxy.toml that there is.
func (t *translator) takes(to []string) (string, configfile.Takes, bool) {
	for _, name := range to {
		if takes, ok := t.o.Key(name); ok {
			return name, takes, true
		}
	}
	return "", configfile.Takes{}, false
}

// lacks says that a key of proxy.toml is not there. A default of PgBouncer's has no line in the ini to be told of, and is a comment.
func (t *translator) lacks(s setting, value any, in *element) {
	if s.given {
		t.add(s.level, s.from, "%s is not in this release, %s", s.to[0], s.lack)
	}
	if s.name != "password" {
		in.comment(s.from, "%s = %v: %s is not in this release", s.name, literal(value), s.to[0])
	}
}

// tableOf is the table of a key of proxy.toml; an element of a list is whatever there is.
func tableOf(to, prefix string) string {
	if prefix != "" {
		return prefix
	}
	return to[:strings.LastIndexByte(to, '.')]
}

// lastOf is a key within its table.
func lastOf(to, prefix string) string {
	if prefix != "" {
		return strings.TrimPrefix(to, prefix+".")
	}
	return to[strings.LastIndexByte(to, '.')+1:]
}

// write puts a value that was worked out where a key stands.
func (t *translator) write(to string, from origin, value any) {
	t.out.table(tableOf(to, "")).set(from, lastOf(to, ""), value)
}

// asHere is for keys whose default is that of proxy.toml.
func (t *translator) asHere(s setting) {
	if value, ok := t.value(s); ok && s.given {
		t.put(s, value, t.out.table, "")
	}
}

// done is for keys that others ask for.
func (t *translator) done(setting) {}

// logfile notes where the log goes, too.
func (t *translator) logfile(s setting) { t.log = t.path(s.value) }

// wordy notes whether the log tells more.
func (t *translator) wordy(s setting) {
	if value, ok := t.value(s); ok {
		t.verbose = value.(int64) > 0
	}
}

// pidfile notes where the process's number goes.
func (t *translator) pidfile(s setting) { t.pid = t.path(s.value) }

// reserveTimeout is for those who have a reserve.
func (t *translator) reserveTimeout(s setting) {
	reserve := t.get("reserve_pool_size").value
	has := reserve != "0"
	for _, d := range t.databases {
		for _, name := range []string{"reserve_pool_size", "reserve_pool"} {
			if _, ok := d.pairs[name]; ok {
				has = true
			}
		}
	}
	if value, ok := t.value(s); ok && has {
		t.put(s, value, t.out.table, "")
	}
}

// prepared is the number of statements that a server connection keeps.
func (t *translator) prepared(s setting) {
	value, ok := t.value(s)
	if n, _ := value.(int64); ok && n <= 0 {
		t.add(note, s.from, "named prepared statements work in all modes, and cannot be switched off")
	} else if ok {
		t.put(s, value, t.out.table, "")
	}
}

// userTimeout is for both sides, and in milliseconds there.
func (t *translator) userTimeout(s setting) {
	value, ok := t.value(s)
	ms, _ := value.(int64)
	if !ok || ms == 0 {
		return
	}
	t.write("limits.backend_write_timeout_secs", s.from, (ms+999)/1000)
	t.write("limits.client_write_timeout_secs", s.from, (ms+999)/1000)
}

// resetAlways is the strictest of the leak guards.
func (t *translator) resetAlways(s setting) {
	if value, ok := t.value(s); ok && value == true {
		t.write("pool.leak_guard", s.from, "always")
	}
}

// resetQuery is the one that there is, however it is written.
func (t *translator) resetQuery(s setting) {
	words := strings.Fields(strings.TrimRight(s.value, "; \t"))
	if s.given && !strings.EqualFold(strings.Join(words, " "), s.def) {
		t.add(s.level, s.from, "not carried over, %s", s.lack)
	}
}

// reusePort is for TCP.
func (t *translator) reusePort(s setting) {
	value, ok := t.value(s)
	if ok && value == true && len(listOf(t.get("listen_addr").value)) == 0 {
		t.add(note, s.from, "is not used, as there is no listen_addr")
	} else if ok {
		t.put(s, value, t.out.table, "")
	}
}

// ignored leaves options out of what is ignored: what it sets is set.
func (t *translator) ignored(s setting) {
	var names []string
	for _, name := range listOf(s.value) {
		if strings.EqualFold(name, "options") {
			t.add(note, s.from, "options is not ignored: what a client sets there is set in its session")
			continue
		}
		names = append(names, name)
	}
	if len(names) > 0 {
		t.put(s, strings.Join(names, ","), t.out.table, "")
	}
}

// lifetime says of 0, which lets PgBouncer use a connection once, that it is not that here.
func (t *translator) lifetime(s setting) {
	value, ok := t.value(s)
	if ok && value == int64(0) {
		t.add(warning, s.from, "a server connection is not closed after one use")
		return
	}
	if ok {
		t.put(s, value, t.out.table, "")
	}
}
