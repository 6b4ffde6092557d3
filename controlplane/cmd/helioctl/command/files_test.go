package command_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/protoadapt"

	"github.com/heliosproxy/heliosproxy/pkg/resource"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

func write(t *testing.T, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestFiles reads files, directories and the input together, and tells what is wrong in all of them.
func TestFiles(t *testing.T) {
	x := start(t)
	dir, empty := t.TempDir(), t.TempDir()
	docs := strings.Split(resources, "---\n")
	write(t, dir, "1.yaml", docs[0]+"---\n"+docs[1])
	write(t, dir, "2.yml", docs[2])
	write(t, dir, "3.json", `{"apiVersion": "helios/v1", "kind": "Database", "metadata": {"name": "*"}, "spec": {"cluster": "main", "poolProfile": "web"}}`)
	write(t, dir, "notes.txt", "kind: Frob")
	if err := os.Mkdir(filepath.Join(dir, "4.yaml"), 0o700); err != nil {
		t.Fatal(err)
	}
	x.want(0, docs[4], []string{"apply", "-f", dir, "-f", "-"}, `^user/app created$`, `^database/\* created$`, `^revision 1$`)
	x.want(1, "", []string{"apply", "-f", empty}, `has no \.yaml, \.yml or \.json files`)
	one, two := write(t, empty, "one.yaml", "\nkind: Clust"), write(t, empty, "two.json", `{"kind": 7}`)
	x.want(1, "", []string{"apply", "-f", two, "-f", one}, regexp.QuoteMeta(one)+`:2: kind: "Clust" is no kind; the nearest known one is Cluster`, regexp.QuoteMeta(two)+`:1: apiVersion: missing`)

	// What a file was read at is what is deleted, or nothing.
	read := x.want(0, "", words("get user app -o yaml"))
	x.want(0, strings.Replace(docs[4], "geheim", "geheimer", 1), words("apply -f - --dry-run"), `^  \(secret changes\)$`)
	x.want(0, strings.Replace(docs[4], "geheim", "geheimer", 1), words("apply -f -"), `^  \(secret changes\)$`, `^user/app updated$`)
	x.want(3, read, words("delete -f - --allow-destructive"), `conflict`, `revision: 2`)
	x.want(0, docs[4], words("delete -f - --allow-destructive"), `^-kind: User$`, `^user/app deleted$`)
}

// TestEditConflict: who edits what somebody else has changed meanwhile sees that, and keeps what he wrote.
func TestEditConflict(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	p := answers(t)
	p.write = func(heliosv1.AdminService_WriteServer) error {
		now := stored(t, resource.KindPoolProfile, &heliosv1.PoolProfile{Name: "web", MaxConnections: 77}, 9)
		s, err := status.New(codes.Aborted, "sentence").WithDetails(protoadapt.MessageV1Of(&heliosv1.Conflict{Kind: "PoolProfile", Name: "web", ExpectedRevision: proto.Uint64(7), Current: now}))
		if err != nil {
			return err
		}
		return s.Err()
	}
	x, _ := serve(t, p)
	x.env["EDITOR"] = "sed -i s/20/33/"
	_, _, errs := x.run("", "edit", "pool", "web")
	kept := regexp.MustCompile(`(?m)^What you wrote is in (.*)$`).FindStringSubmatch(errs)
	if kept == nil || !strings.Contains(errs, "conflict, nothing was changed") || !strings.Contains(errs, "maxConnections: 77") {
		t.Fatalf("got %s", errs)
	}
	text, err := os.ReadFile(kept[1])
	if err != nil || !strings.Contains(string(text), "maxConnections: 33") {
		t.Errorf("kept %s, %v", text, err)
	}
	x.want(3, "", words("edit pool/web"))
}

// TestCompletionOfNames completes what only a control plane, or the file of contexts, knows.
func TestCompletionOfNames(t *testing.T) {
	x, _ := serve(t, answers(t))
	x.want(0, "", []string{"__complete", "node", "config", ""}, `^proxy-two$`)
	x.want(0, "", []string{"__complete", "describe", "proxy", ""}, `^proxy-3$`)
	x.want(0, "", []string{"__complete", "describe", ""}, `^proxy$`, `^users$`)
	x.want(0, "", []string{"__complete", "get", "all", "-o", ""}, `^wide$`)
	x.want(0, "", words("config set-context here --server 127.0.0.1:1"))
	x.want(0, "", []string{"__complete", "get", "--context", ""}, `^here$`)
	x.want(0, "", []string{"__complete", "config", "use-context", ""}, `^here$`)
}

// TestContextsFile is where contexts are, and what is said of a file that holds none.
func TestContextsFile(t *testing.T) {
	x := newTool(t, "127.0.0.1:1")
	home := t.TempDir()
	x.env = map[string]string{"HOME": home}
	x.want(0, "", words("config set-context a --server unix:/a"))
	x.env["XDG_CONFIG_HOME"] = filepath.Join(home, "xdg")
	x.want(0, "", words("config set-context b --server unix:/b"))
	for _, path := range []string{".config/helioctl/config.yaml", "xdg/helioctl/config.yaml"} {
		if _, err := os.Stat(filepath.Join(home, path)); err != nil {
			t.Error(err)
		}
	}
	x.env = map[string]string{}
	x.want(1, "", words("config set-context a"), `set HELIOCTL_CONFIG`)
	x.env["HELIOCTL_CONFIG"] = write(t, home, "bad", "contexts: 1")
	x.want(1, "", words("get all"), `read contexts: .*bad`)
}
