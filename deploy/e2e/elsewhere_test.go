package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgcluster"
)

// judging is a program that knows who may log in at the proxy, which the configuration does not.
const judging = `IFS= read -r password || exit 2
case $HELIOS_USER in odd) exit 3 ;; esac
test "$password" = "c4n4ry of $HELIOS_USER" || exit 1
`

// TestElsewhere: a program judges who logs in, and the passwords for the server are in a passfile, in a file and in what a command prints. What
// changes there is good at once. No password is in the log.
func TestElsewhere(t *testing.T) {
	t.Parallel()
	server := pgcluster.Start(t, pgcluster.Options{HBA: []string{"host all postgres 127.0.0.1/32 trust", "host all all 127.0.0.1/32 scram-sha-256"}}).Primary
	users := []string{"ann", "bob", "cat"}
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		at := filepath.Join(dir, name)
		if err := os.WriteFile(at+".new", []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(at+".new", at); err != nil {
			t.Fatal(err)
		}
	}
	// give lets everybody have another password at the server, and new connections to it.
	give := func(word string) {
		t.Helper()
		for _, name := range users {
			server.Exec(t, fmt.Sprintf("set password_encryption = 'scram-sha-256'; alter role %s password '%s %s'", name, word, name))
		}
		server.Exec(t, "select pg_terminate_backend(pid, 10000) from pg_stat_activity where usename in ('ann', 'bob', 'cat')")
	}
	store := func(word string) {
		t.Helper()
		write("pass", fmt.Sprintf("# host:port:database:user:password\n127.0.0.1:%d:*:ann:%s ann\n*:*:*:postgres:not asked for\n", server.Port(), word))
		write("token", word+" bob\n")
		write("vault", word+" ")
	}
	for _, name := range users {
		server.CreateRole(t, name, "c4n4ry at first "+name, "scram-sha-256")
	}
	store("c4n4ry at first")
	write("judge", judging)
	p := StartProxy(t, server, Options{
		Auth: fmt.Sprintf("mode = \"program\"\nprogram = [\"sh\", %q]\n", filepath.Join(dir, "judge")),
		More: fmt.Sprintf("[server_auth]\npassfile = %q\n[[users]]\nname = \"bob\"\nserver_password_file = %q\n"+
			"[[users]]\nname = \"cat\"\nserver_password_command = [\"sh\", \"-c\", 'echo run >> \"$1/runs\"; cat \"$1/vault\"; echo \"$2\"', \"sh\", %q, \"{user}\"]\n",
			filepath.Join(dir, "pass"), filepath.Join(dir, "token"), dir),
	})
	a := access{p, dir}
	as := func(user, password string) string {
		return a.says(t, "select current_user", fmt.Sprintf("sslmode=disable user=%s password='%s'", user, password))
	}
	want := func(what, user, password, want string) {
		t.Helper()
		if got := as(user, password); got != want && (want == user || !strings.Contains(got, want)) {
			t.Errorf("%s, %s: %s; want %s", what, user, got, want)
		}
	}
	all := func(what string) {
		t.Helper()
		for _, name := range users {
			want(what, name, "c4n4ry of "+name, name)
		}
	}
	all("at first")
	all("again")
	want("who is trusted by the server", "postgres", "c4n4ry of postgres", "postgres")
	want("a wrong password", "ann", "c4n4ry at first ann", `password authentication failed for user "ann"`)
	want("who is not there", "eve", "c4n4ry of bob", `password authentication failed for user "eve"`)
	want("of whom nobody has a password", "dan", "c4n4ry of dan", `asks for a password that the proxy does not have`)
	want("whom the program does not judge", "odd", "c4n4ry of odd", "log-ins cannot be judged at the moment")

	store("c4n4ry and then")
	give("c4n4ry and then")
	all("what has changed")
	if text, err := os.ReadFile(filepath.Join(dir, "runs")); err != nil || strings.Count(string(text), "run") != 2 {
		t.Errorf("the command has run so often: %q, %v; want once for each password", text, err)
	}

	give("c4n4ry in the end")
	for _, name := range users {
		want("what is not there yet", name, "c4n4ry of "+name, `password authentication failed for user "`+name+`"`)
	}
	store("c4n4ry in the end")
	for _, name := range users { // a command is not run again at once
		Within(t, patience, "the password of "+name+" that came later", func() bool { return as(name, "c4n4ry of "+name) == name })
	}
	if err := os.Remove(filepath.Join(dir, "token")); err != nil {
		t.Fatal(err)
	}
	give("c4n4ry in the end")
	want("a file that is gone", "bob", "c4n4ry of bob", `there is no password for server`)
	want("somebody else", "ann", "c4n4ry of ann", "ann")

	_, metrics := fetch(fmt.Sprintf("127.0.0.1:%d", p.AdminPort), "/metrics")
	for _, count := range []string{
		"helios_login_program_runs_total", "helios_login_program_refusals_total", "helios_login_program_failures_total", "helios_password_command_runs_total",
	} {
		if n := found(t, "^"+count+` (\d+)$`, metrics); n == "0" {
			t.Errorf("%s is 0", count)
		}
	}
	if n := found(t, `^helios_password_command_failures_total (\d+)$`, metrics); n != "0" {
		t.Errorf("%s commands have failed", n)
	}
	if strings.Contains(p.log.String(), "c4n4ry") {
		t.Error("a password is in the log")
	}
	checkElsewhere(t, p.cmd.Args[2], filepath.Join(dir, "pass"))
}

// checkElsewhere has the program look through the configuration that a proxy runs with: what passwords come from is found, and nothing is run.
func checkElsewhere(t *testing.T, config, passfile string) {
	t.Helper()
	out, err := exec.Command(program(t), "check", "--config", config, "--offline", "-o", "json").Output()
	var said struct {
		Passed bool
		Tried  []struct{ Level, What, Why string }
	}
	if jerr := json.Unmarshal(out, &said); jerr != nil {
		t.Fatalf("%v: %v in %s", err, jerr, out)
	}
	levels := map[string]string{}
	for _, x := range said.Tried {
		levels[x.What+" "+x.Why] = x.Level
	}
	// The file that was removed is what it finds.
	if err == nil || said.Passed || levels["passwords of cluster default "+passfile+" can be read"] != "ok" {
		t.Errorf("check: %v, %s", err, out)
	}
	for what, level := range levels {
		switch {
		case strings.HasPrefix(what, "passwords of user cat ") && (level != "ok" || !strings.HasSuffix(what, "is there, and was not run")),
			strings.HasPrefix(what, "passwords of user bob ") && (level != "fail" || !strings.HasSuffix(what, "no such file or directory")),
			strings.HasPrefix(what, "listener ") && level != "warn":
			t.Errorf("check: %s: %s", what, level)
		}
	}
}
