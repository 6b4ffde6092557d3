package command_test

import (
	"bytes"
	"context"
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/heliosproxy/heliosproxy/controlplane/assembly"
	"github.com/heliosproxy/heliosproxy/controlplane/cmd/helioctl/command"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

const resources = `apiVersion: helios/v1
kind: Cluster
metadata: {name: main}
---
apiVersion: helios/v1
kind: Node
metadata: {name: pg1}
spec: {cluster: main, host: db, port: 5432, role: primary}
---
apiVersion: helios/v1
kind: PoolProfile
metadata: {name: web}
spec: {mode: transaction, maxConnections: 10}
---
apiVersion: helios/v1
kind: Database
metadata: {name: "*"}
spec: {cluster: main, poolProfile: web}
---
apiVersion: helios/v1
kind: User
metadata: {name: app}
spec: {secret: geheim}
`

// tool is helioctl in front of one control plane.
type tool struct {
	t      *testing.T
	server string
	env    map[string]string
}

// start runs a control plane for the length of a test.
func start(t *testing.T) *tool {
	t.Helper()
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	c, err := assembly.Start(context.Background(), assembly.Options{
		Log: zap.NewNop(), Store: assembly.Memory(), MaxConfigBytes: 1 << 20,
		Admin: []assembly.Door{{Listener: l, Role: "admin", Token: "secret-token", Where: "/data/admin.token"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return newTool(t, "unix:"+l.Addr().String())
}

func newTool(t *testing.T, server string) *tool {
	dir := t.TempDir()
	token := filepath.Join(dir, "token")
	if err := os.WriteFile(token, []byte("secret-token\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return &tool{t, server, map[string]string{
		"HELIOCTL_SERVER": server, "HELIOCTL_TOKEN_FILE": token, "HELIOCTL_CONFIG": filepath.Join(dir, "config.yaml"),
	}}
}

// run runs helioctl with an input.
func (x *tool) run(in string, args ...string) (code int, out, errs string) {
	x.t.Helper()
	var o, e bytes.Buffer
	p := command.Program{In: strings.NewReader(in), Out: &o, Err: &e, Env: func(k string) string { return x.env[k] }, Now: time.Now}
	code = p.Main(args)
	return code, o.String(), e.String()
}

// want runs helioctl and wants an exit code and patterns in what it prints.
func (x *tool) want(code int, in string, args []string, patterns ...string) string {
	x.t.Helper()
	got, out, errs := x.run(in, args...)
	if got != code {
		x.t.Errorf("%v: exit code %d, want %d\n%s%s", args, got, code, out, errs)
	}
	for _, p := range patterns {
		if !regexp.MustCompile("(?m)" + p).MatchString(out + errs) {
			x.t.Errorf("%v: lacks %s in\n%s%s", args, p, out, errs)
		}
	}
	if strings.Contains(out+errs, "geheim") || strings.Contains(out+errs, "secret-token") {
		x.t.Errorf("%v: shows a secret:\n%s%s", args, out, errs)
	}
	return out
}

func words(s string) []string { return strings.Fields(s) }

// TestTour is a day with helioctl.
func TestTour(t *testing.T) {
	x := start(t)
	x.want(0, "", words("get all"), `^There are no resources\.$`)
	x.want(0, resources, words("apply -f - --dry-run"), `^cluster/main created \(dry run\)$`, `^nothing was written \(dry run\)$`)
	x.want(0, resources, words("apply -f - -m first"), `^\+\+\+ poolprofile/web$`, `^\+  maxConnections: 10$`, `^    redacted: true$|^\+    redacted: true$`, `^user/app created$`, `^revision 1$`)
	x.want(0, resources, words("apply -f -"), `^user/app unchanged$`, `^nothing has changed, revision 1$`)
	x.want(0, "", words("get poolprofiles"), `^NAME   MODE          MAX CONNECTIONS`, `^web    transaction   10 `)
	x.want(0, "", words("get pool web -o yaml"), `^kind: PoolProfile$`, `^  revision: 1$`)
	x.want(0, "", words("get user app -o json"), `"redacted": true`)
	x.want(0, "", words("get pool/web user/app -o yaml"), `^kind: PoolProfile$`, `^kind: User$`)
	x.want(0, "", words("describe pool/web"), `^Used by: database/\*$`)
	x.want(0, "", words("get all -o name"), `^cluster/main$`, `^database/\*$`)
	x.want(0, "", words("describe poolprofile web"), `^Used by: database/\*$`)
	x.want(1, "", words("get user nobody"), `^helioctl: there is no User "nobody"$`)

	changed := strings.Replace(resources, "maxConnections: 10", "maxConnections: 20", 1)
	x.want(1, changed, words("diff -f -"), `^-  maxConnections: 10$`, `^\+  maxConnections: 20$`)
	x.want(0, resources, words("diff -f -"))
	x.want(0, changed, words("apply -f - -m larger"), `^revision 2$`)
	x.want(0, "", words("history"), `^2 \(current\) +2 .*larger$`, `^1 +1 .*first$`)
	x.want(0, "", words("undo --dry-run"), `^-  maxConnections: 20$`)
	x.want(0, "", words("undo"), `^\+  maxConnections: 10$`, `^revision 3$`)
	x.want(0, "", words("undo --to 2"), `^revision 4$`)
	x.want(1, "", words("undo --to 77"), `there is no release 77`)

	x.want(0, "", words("audit"), `^4 .*admin \(.*updated PoolProfile/web +back to release 2`)
	x.want(0, "", words("audit -o json"), `"fields": \[\n +"maxConnections"`)
	x.want(1, "", words("audit --request nope"), `request nope was not carried out`)
	id := regexp.MustCompile(`[0-9a-f]{16}`).FindString(x.want(0, "", words("audit --limit 1")))
	x.want(0, "", []string{"audit", "--request", id}, `^4 .*`+id)
	x.want(0, "", words("events"), `written +- +- +revision 1 by admin`, `released`)
	x.want(0, "", words("events -o json"), `"type":"released"`)
	x.want(0, "", words("fleet status"), `^Current generation 1/\d+, hash [0-9a-f]{64}$`, `^No proxy has come yet`)
	x.want(0, "", words("fleet status -o json"), `"nodes": \[\]`)
	x.want(1, "", words("node config nobody"), `no proxy "nobody" is known here`)
	x.want(0, "", words("version"), `^control plane  .*store memory`)
	x.want(1, "", words("delete user app"), `1 of 1 of kind User.*--allow-destructive`)
	x.want(1, "", words("delete user/app pool/none"), `there is no PoolProfile "none"`)
	x.want(0, "", words("delete user app --allow-destructive -o name"), `^user/app$`)
}

// TestRefused: everything that is wrong is told, with object, field and reason, and nothing changes.
func TestRefused(t *testing.T) {
	x := start(t)
	x.want(0, resources, words("apply -f -"))
	bad := `apiVersion: helios/v1
kind: Database
metadata: {name: shop}
spec: {cluster: main, poolProfile: none}
---
apiVersion: helios/v1
kind: PoolProfile
metadata: {name: small}
spec: {mode: session}
`
	x.want(1, bad, words("apply -f -"), `refused, nothing was changed`, `^  -:1: Database "shop": spec\.poolProfile: there is no PoolProfile "none"$`, `^  -:6: PoolProfile "small": spec\.maxConnections: must be at least 1$`)
	x.want(1, "", words("get database shop"), `there is no Database "shop"`)
	x.want(1, "kind: Frob\nmetadata: {}\n", words("apply -f -"), `nothing was changed`, `^  -:1: apiVersion: missing`)
	x.want(1, "", words("apply -f /nowhere"), `no such file`)
	x.want(1, "# nothing\n", words("apply -f -"), `there are no resources in -`)
	large := strings.Repeat("x", 600<<10)
	x.want(1, strings.Replace(resources, "geheim", large, 1), words("apply -f -"), `User "app" would have \d+ bytes, more than the \d+`)
	x.want(1, strings.Replace(strings.Split(resources, "---\n")[4], "{name: app}\nspec: {secret: geheim}", "{name: new}\nspec: {secret: {redacted: true}}", 1),
		words("apply -f -"), `User "new": spec\.secret: is redacted`)
}

// TestConflict: of two who change the same, the second hears of the first.
func TestConflict(t *testing.T) {
	x := start(t)
	x.want(0, resources, words("apply -f -"))
	read := x.want(0, "", words("get pool web -o yaml"))
	x.want(0, strings.Replace(read, "10", "11", 1), words("apply -f -"), `^revision 2$`)
	x.want(3, strings.Replace(read, "10", "12", 1), words("apply -f -"), `is at revision 2 meanwhile; the change was made to revision 1`, `^  +maxConnections: 11$`, `helioctl get -o yaml`)
	x.want(0, x.want(0, "", words("get all -o yaml")), words("apply -f -"), `^nothing has changed, revision 2$`)
}

// TestEdit changes a resource with an editor, which is a program that the test names.
func TestEdit(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir()) // what is kept is not kept for ever
	x := start(t)
	x.want(0, resources, words("apply -f -"))
	x.env["EDITOR"] = "sed -i s/10/33/"
	x.want(0, "", words("edit pool web"), `^\+  maxConnections: 33$`, `^revision 2$`)
	x.want(0, "", words("edit pool web"), `^nothing has changed$`)
	x.env["EDITOR"] = "sed -i s/transaction/transactoin/"
	x.want(1, "", words("edit pool web"), `is not one of session, transaction`, `What you wrote is in `)
	x.env["EDITOR"] = "sed -i s/web/other/"
	x.want(1, "", words("edit pool/web"), `PoolProfile "web" was edited and something else came back`, `What you wrote is in `)
	x.env["EDITOR"] = "truncate -s 0"
	x.want(1, "", words("edit pool/web"), `something else came back`)
	x.env["EDITOR"] = "false"
	x.want(1, "", words("edit pool web"), `editor false`)
}

func TestUsage(t *testing.T) {
	x := newTool(t, "127.0.0.1:1")
	for _, args := range []string{
		"frob", "get", "get frobs", "apply", "apply -f - extra", "get all -o xml", "delete user", "--frob", "fleet frob", "node", "explain", "edit user a b", "edit user", "get pool/", "get frob/x", "get all/x", "describe pool", "delete all x", "delete pool/a -f x",
		"--server 10.0.0.1:7400 get all", "--context nowhere get all",
	} {
		if args == "node" { // shows its help
			x.want(0, "", words(args), "Available Commands")
			continue
		}
		x.want(2, "", words(args), `Run 'helioctl.*--help' for usage`)
	}
}

// TestUnreachable: without a control plane the exit code is 4, without its token 1, and both say what to do.
func TestUnreachable(t *testing.T) {
	x := newTool(t, "unix:"+filepath.Join(t.TempDir(), "nobody"))
	x.want(4, resources, words("apply -f -"), `is not reached, nothing was changed`)
	x.want(4, "", words("get all"))
	y := start(t)
	y.env["HELIOCTL_TOKEN_FILE"] = ""
	y.want(1, "", words("get all"), `no token was sent: give one with --token-file.*/data/admin\.token`)
	wrong := filepath.Join(t.TempDir(), "wrong")
	if err := os.WriteFile(wrong, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	y.want(1, "", []string{"get", "all", "--token-file", wrong}, `this is not the admin token`)
	y.want(1, "", []string{"get", "all", "--token-file", wrong + "x"}, `no such file`)
}

// mute is a control plane that dies of a commit.
type mute struct {
	heliosv1.UnimplementedAdminServiceServer
}

func (mute) Write(s heliosv1.AdminService_WriteServer) error {
	for {
		r, err := s.Recv()
		if err != nil {
			return err
		}
		if r.GetCommit() != nil {
			return status.Error(codes.Unavailable, "connection reset by peer")
		}
	}
}

// TestOutcomeUnknown: a write that got no answer is 5, and says how to find out.
func TestOutcomeUnknown(t *testing.T) {
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer()
	heliosv1.RegisterAdminServiceServer(s, mute{})
	go s.Serve(l)
	t.Cleanup(s.Stop)
	x := newTool(t, "unix:"+l.Addr().String())
	x.want(5, resources, words("apply -f -"), `To find out: helioctl audit --request [0-9a-f]{16}$`)
	x.want(4, resources, words("apply -f - --dry-run"), `nothing was changed`)
}

func TestContexts(t *testing.T) {
	x := start(t)
	server := x.env["HELIOCTL_SERVER"]
	x.env["HELIOCTL_SERVER"] = ""
	x.want(1, "", words("config current-context"), "there is no current context")
	x.want(0, "", []string{"config", "set-context", "here", "--server", server, "--token-file", x.env["HELIOCTL_TOKEN_FILE"]})
	x.want(0, "", words("config set-context away --server 127.0.0.1:1"))
	x.env["HELIOCTL_TOKEN_FILE"] = ""
	x.want(0, "", words("get all"))
	x.want(0, "", words("config get-contexts"), `^\* +here +unix:`, `^ +away +127\.0\.0\.1:1`)
	x.want(4, "", words("get all --context away"))
	x.want(0, "", words("config use-context away"))
	x.want(0, "", words("config current-context"), `^away$`)
	x.want(0, "", words("config delete-context away"))
	x.want(1, "", words("config use-context away"), `there is no context "away"`)
	if info, err := os.Stat(x.env["HELIOCTL_CONFIG"]); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
}

func TestExplain(t *testing.T) {
	x := newTool(t, "127.0.0.1:1")
	x.want(0, "", words("explain poolprofile"), `^KIND: PoolProfile$`, `^  maxConnections  <uint32>$`, `The most server connections that one pool has at any moment`)
	x.want(0, "", words("explain PoolProfile.mode"), `^FIELD: PoolProfile\.mode  <session \| transaction \| statement>$`, `^  transaction$`, `until its transaction ends`)
	x.want(0, "", words("explain user.secret.value"), `^FIELD: User\.secret\.value  <string>$`)
	x.want(1, "", words("explain user.frob"), `User has no field "frob"`)
}

func TestCompletion(t *testing.T) {
	x := start(t)
	x.want(0, resources, words("apply -f -"))
	x.want(0, "", []string{"__complete", "get", ""}, `^poolprofiles$`)
	x.want(0, "", []string{"__complete", "get", "pool", ""}, `^web$`)
	x.want(0, "", words("completion bash"), `helioctl`)
}

// TestJSON: what programs read is JSON, with numbers that are numbers.
func TestJSON(t *testing.T) {
	x := start(t)
	x.want(0, resources, words("apply -f -"))
	for _, args := range []string{"get all -o json", "history -o json", "audit -o json", "fleet status -o json", "version -o json"} {
		if out := x.want(0, "", words(args)); !json.Valid([]byte(out)) {
			t.Errorf("%s: %s", args, out)
		}
	}
	var fleet struct {
		Generation struct{ Epoch, Revision int64 }
	}
	if err := json.Unmarshal([]byte(x.want(0, "", words("fleet status -o json"))), &fleet); err != nil || fleet.Generation.Epoch != 1 || fleet.Generation.Revision == 0 {
		t.Errorf("%v, %v", fleet, err)
	}
}
