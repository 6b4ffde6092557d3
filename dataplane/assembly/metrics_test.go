package assembly_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/heliosproxy/heliosproxy/dataplane/assembly"
	"github.com/heliosproxy/heliosproxy/dataplane/assembly/stage"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgcluster"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// TestProgramMetrics shows at /metrics what came of the programs that judge log-ins, and of those that know the passwords of servers.
func TestProgramMetrics(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{HBA: []string{"host all postgres 127.0.0.1/32 trust", "host all all 127.0.0.1/32 scram-sha-256"}})
	pg.Primary.CreateRole(t, "ann", "c4n4ry at the server", "scram-sha-256")
	set, _ := stage.Judged(t, pg.Primary, time.Minute)
	set.Clusters["main"].Passwords = &heliosv1.PasswordSource{
		Command:  []string{"sh", "-c", `test "$1" = ann && echo c4n4ry at the server`, "sh", "{user}"},
		Lifetime: durationpb.New(time.Hour),
	}
	p, addr := stage.Start(t, set, func(o *assembly.Options) { o.AdminAddress = "127.0.0.1:0" })
	for _, c := range []struct{ user, password, want string }{
		{"ann", "c4n4ry of ann", ""},
		{"ann", "c4n4ry of ann", ""},
		{"ann", "another c4n4ry", "28P01 "},
		{"odd", "c4n4ry of odd", "57P03 "},
		{"bob", "c4n4ry of bob", "08001 "}, // of whom the command knows nothing
	} {
		if got := stage.Attempt(addr, c.user, c.password); got != c.want && (c.want == "" || !strings.HasPrefix(got, c.want)) {
			t.Fatalf("%s with %q: %q, want %q", c.user, c.password, got, c.want)
		}
	}
	r, err := http.Get("http://" + p.Admin().Address().String() + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{
		"helios_login_program_runs_total 5", "helios_login_program_refusals_total 1", "helios_login_program_failures_total 1", "helios_login_program_seconds_count 5",
		"helios_password_command_runs_total 2", "helios_password_command_failures_total 1", "helios_password_command_seconds_count 2",
	} {
		if !strings.Contains(string(text), "\n"+line+"\n") {
			t.Errorf("lacks %s", line)
		}
	}
	if t.Failed() {
		t.Logf("%s", text)
	}
}
