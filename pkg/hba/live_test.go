package hba

import (
	"cmp"
	"context"
	"crypto/tls"
	"encoding/binary"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/tools/txtar"

	"github.com/heliosproxy/heliosproxy/pkg/pgwire"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/certs"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/freeport"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgcluster"
)

// To let another version decide, of which only initdb and postgres are needed, and to write down what it says:
//
//	go test ./pkg/hba -run TestPostgreSQL/16- -bin /opt/pg18/bin -update
var (
	update = flag.Bool("update", false, "write what PostgreSQL says into testdata/table")
	bin    = flag.String("bin", "", "the directory of the PostgreSQL programs to run; empty is the newest installed one")
)

// A server is a running PostgreSQL whose pg_hba.conf is changed as a test goes on.
type server struct {
	*pgx.Conn // of the superuser, older than any pg_hba.conf
	t         testing.TB
	port      int
	socketDir string
	dataDir   string
	version   string
	authority *certs.Authority
}

// TestPostgreSQL asks PostgreSQL itself what the tables say.
func TestPostgreSQL(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	l, err := net.Listen("tcp6", "[::1]:0")
	ipv6 := err == nil
	if ipv6 {
		l.Close()
	}
	decisions := 0
	for _, tb := range tables(t) {
		t.Run(tb.name, func(t *testing.T) {
			if strings.HasPrefix(tb.name, "16-") && s.major() < 16 {
				t.Skipf("this is PostgreSQL %s", s.version)
			}
			if names, _ := net.LookupAddr("127.0.0.1"); tb.name == "names" && (len(names) == 0 || names[0] != "localhost") {
				t.Skipf("127.0.0.1 is %v here", names)
			}
			s := *s
			s.t = t
			s.load(tb)
			fileRules := fileRows(t, strings.ReplaceAll(s.query("select coalesce(json_agg(r), '[]') from pg_hba_file_rules r"), s.dataDir+"/", ""))
			decided := make([]string, len(tb.requests))
			for i, q := range tb.requests {
				if q.Addr.Is6() && !ipv6 && !*update {
					decided[i] = tb.lines("decisions")[i] // nobody can be asked
					continue
				}
				decided[i] = q.String() + " " + s.answer(&q)
				decisions++
			}
			if *update {
				tb.write(t, s.version, fileRules, decided)
				return
			}
			same(t, tb.lines("rules"), fileRules)
			same(t, tb.lines("decisions"), decided)
		})
	}
	t.Logf("%d decisions by PostgreSQL %s", decisions, s.version)
}

// same holds what is written down against what the server says. The words of errors differ between versions.
func same(t *testing.T, want, got []string) {
	t.Helper()
	cut := func(s string) string {
		head, _, _ := strings.Cut(s, " refused:")
		return head
	}
	if len(want) != len(got) {
		t.Errorf("PostgreSQL has %d lines, testdata has %d", len(got), len(want))
		return
	}
	for i := range want {
		if cut(want[i]) != cut(got[i]) {
			t.Errorf("PostgreSQL has\n%s\ntestdata has\n%s", got[i], want[i])
		}
	}
}

func (tb *table) write(t *testing.T, version string, fileRules, decided []string) {
	t.Helper()
	intro, _, _ := strings.Cut(string(tb.archive.Comment), "Rules and decisions were made by")
	tb.archive.Comment = fmt.Appendf(nil, "%s\nRules and decisions were made by PostgreSQL %s.\n\n", strings.TrimSpace(intro), version)
	tb.archive.Files = slices.DeleteFunc(tb.archive.Files, func(f txtar.File) bool { return f.Name == "rules" || f.Name == "decisions" })
	for name, lines := range map[string][]string{"rules": fileRules, "decisions": decided} {
		if len(lines) > 0 {
			tb.archive.Files = append(tb.archive.Files, txtar.File{Name: name, Data: []byte(strings.Join(lines, "\n") + "\n")})
		}
	}
	slices.SortStableFunc(tb.archive.Files, func(a, b txtar.File) int { return cmp.Compare(rank(a.Name), rank(b.Name)) })
	s := string(txtar.Format(tb.archive))
	if err := os.WriteFile("testdata/table/"+tb.name+".txtar", []byte(s), 0o644); err != nil {
		t.Fatal(err)
	}
}

func rank(section string) int {
	return slices.Index([]string{"requests", "rules", "decisions"}, section)
}

func startServer(t *testing.T) *server {
	t.Helper()
	s := &server{t: t, authority: certs.NewAuthority(t)}
	if *bin == "" {
		p := pgcluster.Start(t, pgcluster.Options{Conf: map[string]string{"listen_addresses": "127.0.0.1,::1"}}).Primary
		s.port, s.socketDir = p.Port(), p.SocketDir()
		s.connect()
	} else {
		s.start(*bin)
	}
	s.dataDir, s.version = s.query("show data_directory"), s.query("show server_version")
	pair := s.authority.Server("localhost", "127.0.0.1")
	s.file("server.crt", pair.Cert)
	s.file("server.key", pair.Key)
	s.file("root.crt", s.authority.PEM)
	for _, set := range []string{"ssl = on", "ssl_ca_file = 'root.crt'", "password_encryption = 'md5'"} {
		s.exec("alter system set " + set)
	}
	for role := range memberships() {
		s.exec("create role " + role + " login")
	}
	for role, of := range memberships() {
		for _, group := range of {
			s.exec("grant " + group + " to " + role)
		}
	}
	s.exec("alter role boss superuser")
	return s
}

// start runs a PostgreSQL that pgcluster does not find.
func (s *server) start(bin string) {
	dir, err := os.MkdirTemp("", "hba-")
	s.must(err)
	s.t.Cleanup(func() { os.RemoveAll(dir) })
	attr := &syscall.SysProcAttr{}
	pgcluster.DieWithParent(attr)
	if os.Geteuid() == 0 {
		u, err := user.Lookup("postgres")
		s.must(err)
		uid, _ := strconv.Atoi(u.Uid)
		gid, _ := strconv.Atoi(u.Gid)
		attr.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
		s.must(os.Chown(dir, uid, gid))
	}
	command := func(name string, args ...string) *exec.Cmd {
		cmd := exec.Command(filepath.Join(bin, name), append(args, "-D", filepath.Join(dir, "data"))...)
		cmd.Dir, cmd.SysProcAttr, cmd.Env = dir, attr, []string{"PATH=/usr/bin:/bin", "LC_ALL=C.UTF-8"}
		return cmd
	}
	if out, err := command("initdb", "-U", "postgres", "-A", "trust", "--no-sync", "-E", "UTF8").CombinedOutput(); err != nil {
		s.t.Fatalf("initdb: %v\n%s", err, out)
	}
	s.port, s.socketDir = freeport.For(s.t), dir
	cmd := command("postgres", "-p", strconv.Itoa(s.port), "-k", dir, "-h", "127.0.0.1,::1", "-F")
	log, err := cmd.StderrPipe()
	s.must(err)
	s.must(cmd.Start())
	s.t.Cleanup(func() {
		s.must(cmd.Process.Signal(syscall.SIGINT))
		_ = cmd.Wait()
	})
	// It says what it is doing; somebody has to read on, too.
	ready := make(chan struct{})
	go func() {
		var said strings.Builder
		for buf := make([]byte, 4096); ; {
			n, err := log.Read(buf)
			if err != nil {
				return
			}
			if said.Write(buf[:n]); strings.Contains(said.String(), "ready to accept connections") && ready != nil {
				close(ready)
				ready = nil
			}
		}
	}()
	select {
	case <-ready:
	case <-time.After(time.Minute):
		s.t.Fatal("PostgreSQL does not start")
	}
	s.connect()
}

func (s *server) connect() {
	conn, err := pgx.Connect(context.Background(), fmt.Sprintf("host=%s port=%d user=postgres dbname=postgres sslmode=disable", s.socketDir, s.port))
	s.must(err)
	s.Conn = conn
	s.t.Cleanup(func() { conn.Close(context.Background()) })
}

func (s *server) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *server) exec(text string) {
	s.t.Helper()
	_, err := s.Exec(context.Background(), text)
	s.must(err)
}

func (s *server) query(text string) (value string) {
	s.t.Helper()
	s.must(s.QueryRow(context.Background(), text).Scan(&value))
	return value
}

func (s *server) major() int {
	major, _, _ := strings.Cut(s.version, ".")
	n, err := strconv.Atoi(major)
	s.must(err)
	return n
}

// file writes a file of the data directory, with its directory, for the server's account.
func (s *server) file(name string, data []byte) {
	s.t.Helper()
	var owner syscall.Stat_t
	s.must(syscall.Stat(s.dataDir, &owner))
	path := filepath.Join(s.dataDir, name)
	s.must(os.MkdirAll(filepath.Dir(path), 0o755))
	s.must(os.WriteFile(path, data, 0o600))
	s.must(os.Chown(path, int(owner.Uid), int(owner.Gid)))
}

// load makes the server use the files of a table. It takes up a signal before a connection that is made after it.
func (s *server) load(tb *table) {
	s.t.Helper()
	s.file("pg_ident.conf", nil)
	for _, f := range tb.files() {
		s.file(f.Name, f.Data)
	}
	s.exec("select pg_reload_conf()")
}

// answer is what becomes of a request.
func (s *server) answer(q *request) string {
	s.t.Helper()
	conn := s.dial(q)
	defer conn.Close()
	startup := "\x00\x03\x00\x00user\x00" + q.User + "\x00database\x00" + q.Database + "\x00"
	switch q.how {
	case "physical":
		startup += "replication\x00true\x00"
	case "logical":
		startup += "replication\x00database\x00"
	}
	startup += "\x00"
	_, err := conn.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(startup)+4)), startup...))
	s.must(err)
	var header [pgwire.HeaderSize]byte
	if _, err = io.ReadFull(conn, header[:]); err != nil {
		s.t.Fatalf("%v: %v", q, err)
	}
	body := make([]byte, pgwire.Body(header[:]))
	_, err = io.ReadFull(conn, body)
	s.must(err)
	if header[0] == pgwire.Authentication {
		return methodOf(binary.BigEndian.Uint32(body))
	}
	for text, answer := range map[string]string{
		"Mpg_hba.conf rejects ":                           string(Reject),
		"Mno pg_hba.conf entry for ":                      "no entry",
		"Mconnection requires a valid client certificate": "certificate missing",
		"Mcertificate authentication failed for ":         "certificate fails",
		"M\"trust\" authentication failed for ":           "certificate fails", // by clientcert=verify-full
		"MPeer authentication failed for ":                "peer fails",
	} {
		if strings.Contains(string(body), "\x00"+text) {
			return answer
		}
	}
	return fmt.Sprintf("%q", body)
}

func methodOf(code uint32) string {
	switch code {
	case pgwire.AuthOK:
		return string(Trust)
	case pgwire.AuthCleartext:
		return string(Password)
	case pgwire.AuthMD5:
		return string(MD5)
	case pgwire.AuthSASL:
		return string(SCRAM)
	}
	return fmt.Sprint("authentication request ", code)
}

func (s *server) dial(q *request) net.Conn {
	s.t.Helper()
	network, addr := "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port))
	d := net.Dialer{Timeout: time.Minute}
	switch {
	case q.Local:
		network, addr = "unix", filepath.Join(s.socketDir, ".s.PGSQL."+strconv.Itoa(s.port))
	case q.Addr.Is6():
		addr = net.JoinHostPort("::1", strconv.Itoa(s.port))
	default:
		d.LocalAddr = &net.TCPAddr{IP: q.Addr.AsSlice()}
	}
	conn, err := d.Dial(network, addr)
	s.must(err)
	s.must(conn.SetDeadline(time.Now().Add(time.Minute)))
	if !q.TLS {
		return conn
	}
	_, err = conn.Write(binary.BigEndian.AppendUint32([]byte{0, 0, 0, 8}, pgwire.SSLCode))
	s.must(err)
	var yes [1]byte
	if _, err = io.ReadFull(conn, yes[:]); err != nil || yes[0] != 'S' {
		s.t.Fatalf("SSLRequest: %q, %v", yes, err)
	}
	config := &tls.Config{RootCAs: s.authority.Pool(), ServerName: "localhost"}
	if name, ok := strings.CutPrefix(q.how, "cert:"); ok {
		config.Certificates = []tls.Certificate{s.authority.Client(name).TLS(s.t)}
	}
	return tls.Client(conn, config)
}
