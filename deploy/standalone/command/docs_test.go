package command

import (
	"os"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// TestDocs wants every command and every flag in docs/cli.md.
func TestDocs(t *testing.T) {
	doc, err := os.ReadFile("../../../docs/cli.md")
	if err != nil {
		t.Fatal(err)
	}
	want := func(s string) {
		if !strings.Contains(string(doc), s) {
			t.Errorf("docs/cli.md lacks %s", s)
		}
	}
	root := Program{}.command()
	for _, c := range append([]*cobra.Command{root}, root.Commands()...) {
		want("## `" + c.CommandPath())
		c.LocalNonPersistentFlags().VisitAll(func(f *pflag.Flag) { want("`--" + f.Name) })
	}
}
