package e2e

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgcluster"
)

// secrets are what must not be found, by name.
type secrets map[string]string

// make makes a random one.
func (s secrets) make(name string) string {
	var b [12]byte
	_, _ = rand.Read(b[:]) // never fails
	s[name] = "Zq" + hex.EncodeToString(b[:])
	return s[name]
}

// in returns which secrets a text has.
func (s secrets) in(text string) (names []string) {
	for name, v := range s {
		// Within base64 a word begins at one of three places.
		forms := []string{v, hex.EncodeToString([]byte(v))}
		for i := range 3 {
			forms = append(forms, base64.StdEncoding.EncodeToString([]byte(v)[i:])[:12])
		}
		for _, f := range forms {
			if strings.Contains(text, f) {
				names = append(names, name)
				break
			}
		}
	}
	return names
}

// TestRandomSecretsAreNowhere looks for passwords and tokens, as they are and encoded, in everything that anybody is shown: the
// logs of all processes at the level debug, what every command prints, the metrics, and the errors of wrong values beside
// passwords and of passwords in the wrong place. What get prints can be applied, changes nothing, and the password still opens.
//
// It was seen to find a resource that is listed with its secret (release: Redacted), one in a fault of
// validation, and a token in an answer and a log; and, unplanted, passwords in errors of manifests: as a name within the mapping of a
// secret, beside redacted, and behind a star.
func TestRandomSecretsAreNowhere(t *testing.T) {
	t.Parallel()
	s := secrets{}
	client, atServer := s.make("password of a client"), s.make("password at the server")
	server := pgcluster.Start(t, pgcluster.Options{HBA: []string{"host all app 127.0.0.1/32 scram-sha-256", "host all all 127.0.0.1/32 trust"}}).Primary
	server.CreateRole(t, "app", atServer, "scram-sha-256")
	p := startProcesses(t)
	p.kill(p.control)
	controlAdmin, proxyAdmin := loopbackPort(t), loopbackPort(t)
	p.startControl("--log-level", "debug", "--admin-address", controlAdmin)
	p.through(p.stream, "a", "--log-level", "debug", "--admin-address", proxyAdmin)

	base := strings.Replace(resources(server, 3), "auth: trust", "auth: scram", 1)
	user := func(spec string) string {
		return base + "---\napiVersion: helios/v1\nkind: User\nmetadata: {name: app}\nspec: " + spec + "\n"
	}
	good := user(fmt.Sprintf("{secret: {value: %s}, serverPassword: {value: %s}}", client, atServer))
	var shown strings.Builder
	run := func(code int, in string, args ...string) string {
		t.Helper()
		got, out := p.helioctl(in, args...)
		if got != code {
			t.Errorf("helioctl %v: exit code %d, want %d\n%s", args, got, code, out)
		}
		if names := s.in(out); len(names) > 0 {
			t.Errorf("helioctl %v shows the %v:\n%s", args, names, out)
		}
		shown.WriteString(out)
		return out
	}
	run(0, good, "apply", "-f", "-", "--dry-run")
	run(0, good, "apply", "-f", "-", "-m", "first")
	hash := p.follow(patience, "", "a")
	opens := func(password string) error {
		c, err := pgx.Connect(t.Context(), fmt.Sprintf("host=127.0.0.1 port=%d dbname=postgres user=app password=%s sslmode=disable", p.ports["a"], password))
		if err != nil {
			return err
		}
		defer c.Close(t.Context())
		_, err = c.Exec(t.Context(), "select 1")
		return err
	}
	if err := opens(client); err != nil {
		t.Fatalf("log in: %v", err)
	}

	// Wrong in every way, with the passwords beside it or in the wrong place.
	for _, spec := range []string{
		"{secret: %[1]s, serverPassword: %[2]s, frob: 1}",
		"{secret: {value: %[1]s, frob: 1}, serverPassword: {value: %[2]s}}",
		"{secret: {frob: %[1]s}, serverPassword: {value: [%[2]s]}}",
		"{secret: [%[1]s], serverPassword: {%[2]s: value}}",
		"{secret: {value: %[1]s, redacted: %[2]s}}",
		"{secret: %[1]s, secret: %[2]s}",
		"{secret: %[1]s, serverPassword: %[2]s",
		"{secret: \"%[1]s\\x\", serverPassword: %[2]s}",
		"{secret: \"%[1]s\\0\", serverPassword: \"%[2]s\\0\"}",
		"{secret: 'SCRAM-SHA-256$%[1]s', serverPassword: 'SCRAM-SHA-256$4096:%[2]s$x:y'}",
		"{secret: md5%[1]s, serverPassword: 'SCRAM-SHA-256$4096:c2FsdHNhbHRzYWx0c2FsdA==$%[2]s:%[2]s'}",
		"{secret: !!int %[1]s, serverPassword: !!binary %[2]s}",
		"{secret: &%[1]s x, serverPassword: *%[2]s}",
		"\t{secret: %[1]s}\n  serverPassword: %[2]s",
	} {
		text := strings.Replace(user(fmt.Sprintf(spec, client, atServer)), "maxConnections: 3", "maxConnections: 0", 1)
		run(1, text, "apply", "-f", "-")
	}
	run(1, fmt.Sprintf(`{"apiVersion": "helios/v1", "kind": "User", "metadata": {"name": "app"}, "spec": {"secret": "%s", "serverPassword": "%s" "x"}}`, client, atServer), "apply", "-f", "-")

	// Everything there is to read, after a change of both and an undo.
	text := run(0, "", "get", "all", "-o", "yaml")
	for _, out := range []string{run(0, text, "apply", "-f", "-"), run(0, run(0, "", "get", "all", "-o", "json"), "apply", "-f", "-")} {
		if !strings.Contains(out, "nothing has changed") {
			t.Errorf("to apply what get prints is not nothing:\n%s", out)
		}
	}
	old := run(0, "", "get", "user", "app", "-o", "yaml")
	changed := user(fmt.Sprintf("{secret: {value: %s}, serverPassword: {value: %s}}", s.make("second password of a client"), s.make("second password at the server")))
	run(1, changed, "diff", "-f", "-")
	run(0, changed, "apply", "-f", "-", "-o", "json")
	hash = p.follow(patience, hash, "a")
	if err := opens(client); err == nil {
		t.Error("the old password still opens")
	}
	if err := opens(s["second password of a client"]); err == nil { // the server does not know the other one
		t.Error("a wrong password at the server opens")
	} else if names := s.in(err.Error()); len(names) > 0 {
		t.Errorf("a client is told the %v: %v", names, err)
	}
	run(3, strings.Replace(old, "spec:", "spec:\n  serverUser: x", 1), "apply", "-f", "-")
	run(0, "", "undo")
	p.follow(patience, hash, "a")
	if err := opens(client); err != nil {
		t.Errorf("log in after undo: %v", err)
	}
	if err := opens(s.make("wrong password")); err == nil {
		t.Error("a wrong password opens")
	} else if names := s.in(err.Error()); len(names) > 0 {
		t.Errorf("a client is told the %v: %v", names, err)
	}
	for _, file := range []string{"admin.token", "node.token"} {
		b, err := os.ReadFile(filepath.Join(p.dir, "cp", file))
		if err != nil {
			t.Fatal(err)
		}
		s[file] = strings.TrimSpace(string(b))
	}
	wrong := writeFile(t, "wrong.token", s.make("a wrong token"))
	run(1, "", "--token-file", wrong, "get", "all")
	run(1, "", "--token-file", writeFile(t, "two.token", s["a wrong token"]+" "+s["node.token"]), "get", "all")
	p.through(p.stream, "stranger", "--token-file", wrong)
	Within(t, patience, "a stranger is turned away", func() bool { return strings.Contains(p.log.String(), "turns this proxy away") })
	for _, args := range []string{
		"get all", "get all -o name", "get users -o wide", "get user app -o json", "describe user app", "describe proxy a", "node config a",
		"node config a -o json", "node config a -o yaml", "audit", "audit -o json", "events", "events -o json", "history", "history -o json", "fleet status",
		"fleet status -o json", "version", "explain user.secret", "delete user app --dry-run --allow-destructive", "delete user app --allow-destructive",
	} {
		run(0, "", strings.Fields(args)...)
	}
	for name, address := range map[string]string{"the control plane": controlAdmin, "the proxy": proxyAdmin} {
		code, metrics := fetch(address, "/metrics")
		if code != 200 || !strings.Contains(metrics, "helios_") {
			t.Errorf("metrics of %s: %d %s", name, code, metrics)
		}
		_, ready := fetch(address, "/readyz")
		if names := s.in(metrics + ready); len(names) > 0 {
			t.Errorf("%s shows the %v at its admin address", name, names)
		}
	}
	if names := s.in(p.log.String()); len(names) > 0 {
		t.Errorf("the logs have the %v", names)
	}
	if names := s.in(shown.String()); len(names) > 0 {
		t.Errorf("shown are the %v", names)
	}
	if len(p.log.String()) < 1000 || shown.Len() < 10_000 {
		t.Errorf("%d bytes of log and %d bytes of output: nothing was looked through", len(p.log.String()), shown.Len())
	}
}
