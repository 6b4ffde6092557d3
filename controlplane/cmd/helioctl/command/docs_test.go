package command

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/heliosproxy/heliosproxy/pkg/manifest"
	"github.com/heliosproxy/heliosproxy/pkg/resource"
)

var update = flag.Bool("update", false, "write docs/resources.md")

// TestCommandDocs wants every command and every flag in docs/helioctl.md.
func TestCommandDocs(t *testing.T) {
	doc, err := os.ReadFile("../../../../docs/helioctl.md")
	if err != nil {
		t.Fatal(err)
	}
	want := func(s string) {
		if !strings.Contains(string(doc), s) {
			t.Errorf("docs/helioctl.md lacks %s", s)
		}
	}
	s := &session{Program: Program{Env: func(string) string { return "" }}}
	root := s.command()
	var visit func(c *cobra.Command)
	visit = func(c *cobra.Command) {
		if len(c.Commands()) == 0 {
			want("## `" + c.CommandPath() + "`")
		}
		c.LocalNonPersistentFlags().VisitAll(func(f *pflag.Flag) { want("--" + f.Name) })
		for _, sub := range c.Commands() {
			visit(sub)
		}
	}
	visit(root)
	root.PersistentFlags().VisitAll(func(f *pflag.Flag) { want("`--" + f.Name) })
}

// examples are a resource of each kind. They are valid together, which TestExamples looks at.
func examples() map[string]string {
	return map[string]string{
		"Cluster":     "metadata: {name: main}",
		"Node":        "metadata: {name: pg-1}\nspec:\n  cluster: main\n  host: 10.0.0.5\n  port: 5432\n  role: primary",
		"PoolProfile": "metadata: {name: web}\nspec:\n  mode: transaction\n  maxConnections: 20\n  idleTimeout: 10m",
		"Listener":    "metadata: {name: main}\nspec:\n  address: 0.0.0.0:6432\n  auth: scram",
		"Database":    "metadata: {name: shop}\nspec:\n  cluster: main\n  serverName: shop_production\n  poolProfile: web",
		"User":        "metadata: {name: app}\nspec:\n  secret: change-me\n  serverUser: shop",
		"Limits":      "metadata: {name: default}\nspec:\n  maxPreparedStatements: 1000",
		"Console":     "metadata: {name: default}\nspec:\n  adminUsers: [ops]\n  statsUsers: [exporter]",
		"Resolver":    "metadata: {name: default}\nspec:\n  resolvConf: /etc/heliosproxy/resolv.conf\n  maxTtl: 5s",
	}
}

func example(kind string) string {
	return "apiVersion: helios/v1\nkind: " + kind + "\n" + examples()[kind] + "\n"
}

// TestExamples: what the documentation shows can be applied.
func TestExamples(t *testing.T) {
	set := &resource.Set{}
	for _, typ := range resource.Types() {
		docs, err := manifest.Parse(string(typ.Kind), []byte(example(string(typ.Kind))))
		if err != nil || len(docs) != 1 {
			t.Fatal(docs, err)
		}
		if err := set.Put(docs[0].Kind, docs[0].Message); err != nil {
			t.Fatal(err)
		}
	}
	set.Complete()
	if err := set.Validate(); err != nil {
		t.Error(err)
	}
}

// TestResourceDocs wants docs/resources.md to be what the contracts say; -update writes it.
func TestResourceDocs(t *testing.T) {
	file, err := compileResources(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	b.WriteString("# Resources\n\n" +
		"What `helioctl apply` takes: YAML or JSON documents with `apiVersion: helios/v1`, `kind`, `metadata.name` (unique within its kind)\n" +
		"and `spec`. Times are written with their units (`30s`, `5m`, `1h30m`); a secret is a word, and shown as `{redacted: true}`, with which\n" +
		"it keeps its value. This page is made from the comments in `proto/helios/v1/resources.proto`, as is `helioctl explain`.\n")
	for _, typ := range resource.Types() {
		m := file.Messages().ByName(protoreflect.Name(typ.Kind))
		fmt.Fprintf(&b, "\n## %s\n\n%s\n\n```yaml\n%s```\n", typ.Kind, comment(file, m), example(string(typ.Kind)))
		if m.Fields().Len() > 1 {
			b.WriteString("\n| field of spec | type | |\n|---|---|---|\n")
		}
		for i := range m.Fields().Len() {
			if fd := m.Fields().Get(i); fd.Name() != "name" {
				text := strings.ReplaceAll(comment(file, fd), "\n", " ")
				if e := fd.Enum(); e != nil {
					for i := 1; i < e.Values().Len(); i++ {
						if v := e.Values().Get(i); comment(file, v) != "" {
							text += fmt.Sprintf(" `%s`: %s", manifest.WordOf(e, v.Number()), strings.ReplaceAll(comment(file, v), "\n", " "))
						}
					}
				}
				fmt.Fprintf(&b, "| `%s` | %s | %s |\n", fd.JSONName(), strings.ReplaceAll(typeWords(fd), "|", "or"), strings.TrimSpace(text))
			}
		}
	}
	const path = "../../../../docs/resources.md"
	if *update {
		if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != b.String() {
		t.Error("docs/resources.md is not what the contracts say: go test ./controlplane/cmd/helioctl/command -update")
	}
}
