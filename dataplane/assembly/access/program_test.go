package access

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/heliosproxy/heliosproxy/dataplane/assembly"
	"github.com/heliosproxy/heliosproxy/dataplane/assembly/stage"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgcluster"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgscript"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// gone says whether the processes that a program has written down, if it came to that, have ended.
func gone(t *testing.T, pids string) bool {
	t.Helper()
	text, err := os.ReadFile(pids)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	for pid := range strings.FieldsSeq(string(text)) {
		stat, err := os.ReadFile("/proc/" + pid + "/stat")
		if _, state, _ := strings.Cut(string(stat), ") "); err == nil && !strings.HasPrefix(state, "Z") {
			return false
		}
	}
	return true
}

// TestProgram has a program judge who logs in, of whom the configuration knows nothing.
func TestProgram(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{})
	pg.Primary.CreateRole(t, "ann", "any", "scram-sha-256")
	set, dir := stage.Judged(t, pg.Primary, time.Minute)
	short := proto.Clone(set.Listeners["main"]).(*heliosv1.Listener)
	short.Name, short.Program.Timeout = "short", durationpb.New(2*time.Second)
	set.Listeners["short"] = short
	rec := &stage.Record{}
	p, addr := stage.Start(t, set, rec.Log)
	const unjudged = "57P03 log-ins cannot be judged at the moment"
	if got := stage.Attempt(p.Addresses()["short"], "hang", "c4n4ry of hang"); got != unjudged {
		t.Errorf("a program that does not end: %q", got)
	}
	stage.Eventually(t, 10*time.Second, "the program has ended, and what it has started", func() bool { return gone(t, filepath.Join(dir, "pids")) })
	for _, c := range []struct{ user, password, want string }{
		{"ann", "c4n4ry of ann", ""},
		{"ann", "another c4n4ry", `28P01 password authentication failed for user "ann"`},
		{"ann", "c4n4ry of ann\n", `28P01 password authentication failed for user "ann"`},
		{"nobody", "another c4n4ry", `28P01 password authentication failed for user "nobody"`},
		{"odd", "c4n4ry of odd", unjudged},
		{"shot", "c4n4ry of shot", unjudged},
	} {
		if got := stage.Attempt(addr, c.user, c.password); got != c.want {
			t.Errorf("%s with %q: %q, want %q", c.user, c.password, got, c.want)
		}
	}
	if c, err := stage.TryConnect(addr, "ann", "password", "c4n4ry of ann"); err != nil {
		t.Error(err)
	} else {
		stage.Want(t, c, "SELECT current_user", "ann")
		set.Limits["default"].MaxFailedLogins = proto.Uint32(11)
		if _, err := p.Apply(set, nil); err != nil {
			t.Fatal(err)
		}
		stage.Want(t, c, "SELECT current_user", "ann") // a user who need not be known is none who is gone
		c.Close(context.Background())
	}
	told, err := os.ReadFile(filepath.Join(dir, "told"))
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"HELIOS_USER=ann", "HELIOS_DATABASE=postgres", "HELIOS_ADDRESS=127.0.0.1", "HELIOS_TLS=off", "HELIOS_PAM_SERVICE=postgresql"} {
		if !strings.Contains(string(told), line+"\n") {
			t.Errorf("the program is not told %s: %s", line, told)
		}
	}
	for what, text := range map[string]string{"the program's arguments and environment": string(told), "the log": rec.String()} {
		if strings.Contains(text, "c4n4ry") {
			t.Errorf("the password is in %s: %s", what, text)
		}
	}
	for _, cause := range []string{"has not ended within 2s", "exit status 3", "signal: killed"} {
		if !strings.Contains(rec.String(), "cannot judge a log-in") || !strings.Contains(rec.String(), cause) {
			t.Errorf("the log does not say %q: %s", cause, rec)
		}
	}
}

// TestProgramHangs lets others in, by other doors and by the same one, while more programs hang than goroutines may block, and ends
// a program whose client has left.
func TestProgramHangs(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{})
	set, dir := stage.Judged(t, pg.Primary, time.Minute)
	set.Listeners["other"] = &heliosv1.Listener{Name: "other", Address: "127.0.0.1:0", Hba: "host all all samehost trust\nhost all all all reject\n"}
	p, addr := stage.Start(t, set, func(o *assembly.Options) { o.Reactor.Blocking = 1 })
	var raw []net.Conn
	for range 4 {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.Write(pgscript.Startup(196608, "user", "hang", "database", "postgres"))
		if _, err := io.ReadFull(c, make([]byte, 9)); err != nil {
			t.Fatal(err)
		}
		c.Write(pgscript.Password("x"))
		raw = append(raw, c)
	}
	stage.Eventually(t, 20*time.Second, "4 programs hang", func() bool {
		text, err := os.ReadFile(filepath.Join(dir, "pids"))
		return err == nil && len(strings.Fields(string(text))) == 8
	})
	if got := stage.Attempt(addr, "postgres", "c4n4ry of postgres"); got != "" {
		t.Errorf("by the same door: %s", got)
	}
	// Its rule needs the addresses of this machine, which is work that blocks.
	if got := stage.Attempt(p.Addresses()["other"], "postgres", ""); got != "" {
		t.Errorf("by another door: %s", got)
	}
	for _, c := range raw {
		c.Close()
	}
	stage.Eventually(t, 10*time.Second, "the programs of clients who have left have ended", func() bool { return gone(t, filepath.Join(dir, "pids")) })
}

// TestProgramFailures counts who is refused by a program among those who fail, and asks it no more for who has to wait.
func TestProgramFailures(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{})
	set, dir := stage.Judged(t, pg.Primary, time.Minute)
	set.Limits["default"].MaxFailedLogins = proto.Uint32(2)
	_, addr := stage.Start(t, set)
	for range 3 { // which is nobody's failure who logs in
		if got := stage.Attempt(addr, "odd", "x"); !strings.HasPrefix(got, "57P03 ") {
			t.Errorf("no judgement: %q", got)
		}
	}
	for range 2 {
		if got := stage.Attempt(addr, "postgres", "x"); !strings.HasPrefix(got, "28P01 ") {
			t.Errorf("a wrong password: %q", got)
		}
	}
	if err := os.Remove(filepath.Join(dir, "told")); err != nil {
		t.Fatal(err)
	}
	if got := stage.Attempt(addr, "postgres", "c4n4ry of postgres"); !strings.HasPrefix(got, `28000 too many failed log-ins of user "postgres"`) {
		t.Errorf("who has to wait: %q", got)
	}
	if _, err := os.Stat(filepath.Join(dir, "told")); err == nil {
		t.Error("the program is asked for who has to wait")
	}
}

// TestProgramOfRules has a program judge for the method pam, and no other.
func TestProgramOfRules(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{})
	set, dir := stage.Judged(t, pg.Primary, time.Minute)
	set.Listeners["main"].Hba = "host all postgres all pam pamservice=staff\nhost all all all scram-sha-256\n"
	set.Users["bob"] = &heliosv1.User{Name: "bob", Secret: stage.Secret("bob's"), ServerUser: "postgres"}
	_, addr := stage.Start(t, set)
	for _, c := range []struct{ user, password, code string }{
		{"postgres", "c4n4ry of postgres", ""}, {"postgres", "x", "28P01"}, {"bob", "bob's", ""}, {"bob", "c4n4ry of bob", "28P01"},
	} {
		if got := stage.Attempt(addr, c.user, c.password); got != c.code && (c.code == "" || !strings.HasPrefix(got, c.code+" ")) {
			t.Errorf("%s with %q: %q, want %q", c.user, c.password, got, c.code)
		}
	}
	if told, err := os.ReadFile(filepath.Join(dir, "told")); err != nil || !strings.Contains(string(told), "HELIOS_PAM_SERVICE=staff\n") {
		t.Errorf("the program is told %s, %v", told, err)
	}
}

// TestProgramMissing refuses a configuration whose program is not on this machine, and goes on with the one before.
func TestProgramMissing(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{})
	set, dir := stage.Judged(t, pg.Primary, time.Minute)
	p, addr := stage.Start(t, set)
	for _, program := range []string{filepath.Join(dir, "missing"), "helios-check-that-is-not-there", dir} {
		set.Listeners["main"].Program.Command[0] = program
		_, err := p.Apply(set, nil)
		if want := fmt.Sprintf("%q", program); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "program.command") {
			t.Errorf("%s: %v", program, err)
		}
	}
	if got := stage.Attempt(addr, "postgres", "x"); !strings.HasPrefix(got, "28P01 ") {
		t.Errorf("by the configuration before: %q", got)
	}
}
