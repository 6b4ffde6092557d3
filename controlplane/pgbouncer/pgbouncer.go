// Package pgbouncer reads a pgbouncer.ini and says what proxy.toml means the same. It never guesses: what proxy.toml cannot say is a finding with file, line, key and a sentence, and what PgBouncer itself would not read is an error.
package pgbouncer

import (
	"cmp"
	"net"
	"os"
	"path/filepath"
	"slices"

	"github.com/heliosproxy/heliosproxy/controlplane/configfile"
)

// Options are what a translation may see of the machine.
type Options struct {
	// Dir is the working directory. As for PgBouncer, relative names of files are those in it, whatever file names them.
	Dir string
	// ReadFile reads the ini, what it includes, and auth_file.
	ReadFile func(path string) ([]byte, error)
	// LookupHost returns the addresses of a name in listen_addr.
	LookupHost func(name string) ([]string, error)
	// IPv6 says whether the machine has IPv6, so that listen_addr = * is for it too.
	IPv6 bool
	// Key says what a key of proxy.toml takes and whether there is one: configfile.Key.
	Key func(name string) (configfile.Takes, bool)
}

// Machine are the options of this machine.
func Machine() (Options, error) {
	dir, err := os.Getwd()
	if err != nil {
		return Options{}, err
	}
	l, err := net.Listen("tcp6", "[::1]:0")
	if err == nil {
		l.Close()
	}
	return Options{Dir: dir, ReadFile: os.ReadFile, LookupHost: net.LookupHost, IPv6: err == nil, Key: configfile.Key}, nil
}

// Config is what an ini means here.
type Config struct {
	TOML     []byte           // a proxy.toml, with comments
	File     *configfile.File // what it says; nil after an error
	Findings configfile.Findings
	// Logfile and Pidfile are absolute paths, and empty where the ini has none. They are no part of proxy.toml.
	Logfile, Pidfile string
	// Verbose says that the log tells more from the start on. It is no part of proxy.toml either.
	Verbose bool
}

// Load reads the ini at path, what it includes and the files that it names. TOML has what could be carried over even after an error; nobody
// is to run it then. Findings are by the order of the files and lines.
func Load(path string, o Options) *Config {
	t := &translator{o: o, file: path, out: newDocument(), general: map[string]setting{}}
	reader := &ini{read: func(name string) ([]byte, error) { return o.ReadFile(t.path(name)) }}
	if f := reader.file(path, place{path, 1}, "ini", 0); f != nil {
		t.add(failure, origin{f.place, f.key}, "%s", f.reason)
	}
	t.gather(reader.entries)
	t.translate()
	c := &Config{Logfile: t.log, Pidfile: t.pid, Verbose: t.verbose}
	all := t.out.lines()
	c.TOML = append(c.TOML, header(path)...)
	for _, l := range all {
		c.TOML = append(append(c.TOML, l.text...), '\n')
	}
	file, findings := configfile.Parse(tomlName, c.TOML, func(string) (string, bool) { return "", false })
	if !t.findings.Failed() {
		if c.File = file; file != nil {
			file.Bootstrap.AdminOptional = true
		}
		t.retell(findings, all)
	}
	c.Findings = inOrder(t.findings, reader.entries, path)
	return c
}

const (
	headerLines = 2
	tomlName    = "proxy.toml"
)

// header begins a proxy.toml. It has headerLines lines.
func header(path string) string {
	return "# What " + quote(filepath.Base(path)) + " means, written by heliosproxy import pgbouncer. Defaults of PgBouncer that\n# are others here are spelt out. Each key is in docs/configuration.md.\n"
}

// retell says what was found in the proxy.toml of the lines of the ini that it comes from. What is about another file stays so.
func (t *translator) retell(findings configfile.Findings, all []line) {
	for _, f := range findings {
		if f.File != tomlName {
			t.add(f.Severity, origin{place{f.File, f.Line}, f.Key}, "%s", f.Sentence)
			continue
		}
		from := t.missing(f.Key)
		if n := f.Line - headerLines - 1; n >= 0 && n < len(all) && all[n].from.line > 0 {
			from = all[n].from
		}
		t.add(f.Severity, from, "%s", f.Sentence)
	}
}

// missing is where a key of proxy.toml would be that no line of the ini says: at the one that asks for it.
func (t *translator) missing(to string) origin {
	for _, k := range keys() {
		if k.wanted != "" && slices.Contains(k.to, to) {
			return origin{t.get(k.wanted).from.place, k.name}
		}
	}
	return origin{place{t.file, 1}, to}
}

// inOrder sorts findings by the first mention of their file, then by line.
func inOrder(findings configfile.Findings, entries []entry, first string) configfile.Findings {
	rank := map[string]int{first: 0}
	for _, e := range entries {
		if _, ok := rank[e.file]; !ok {
			rank[e.file] = len(rank)
		}
	}
	for _, f := range findings { // of the files that the ini names
		if _, ok := rank[f.File]; !ok {
			rank[f.File] = len(rank)
		}
	}
	slices.SortStableFunc(findings, func(a, b configfile.Finding) int {
		return cmp.Or(cmp.Compare(rank[a.File], rank[b.File]), cmp.Compare(a.Line, b.Line))
	})
	return findings
}
