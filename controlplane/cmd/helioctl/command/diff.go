package command

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"

	"github.com/heliosproxy/heliosproxy/controlplane/cmd/helioctl/show"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

func lower(kind string) string { return strings.ToLower(kind) }

// mostDiffs is how many resources are shown line by line; of a larger write only the names.
const mostDiffs = 50

// showDiffs prints what differs, as patches do. Secrets are never in it, only that they change.
func showDiffs(w io.Writer, effects []*heliosv1.Effect) error {
	n := 0
	for _, e := range effects {
		if e.GetAction() == heliosv1.Action_ACTION_UNCHANGED {
			continue
		}
		if n++; n > mostDiffs {
			continue
		}
		before, err := manifestLines(e.GetBefore())
		if err != nil {
			return err
		}
		after, err := manifestLines(e.GetAfter())
		if err != nil {
			return err
		}
		fmt.Fprintf(w, "--- %s/%s\n+++ %s/%s\n", lower(e.GetKind()), e.GetName(), lower(e.GetKind()), e.GetName())
		for _, line := range lineDiff(before, after) {
			fmt.Fprintln(w, line)
		}
		for _, field := range e.GetChangedSecrets() {
			fmt.Fprintf(w, "  (%s changes)\n", show.FieldName(e.GetKind(), field))
		}
	}
	if n > mostDiffs {
		fmt.Fprintf(w, "... and %d more resources that change\n", n-mostDiffs)
	}
	return nil
}

// manifestLines is a resource as YAML without its revision, which differs always.
func manifestLines(r *heliosv1.Resource) ([]string, error) {
	if r == nil {
		return nil, nil
	}
	text, err := show.YAML(&heliosv1.Resource{Item: r.GetItem()})
	return strings.Split(strings.TrimRight(text, "\n"), "\n"), err
}

// lineDiff marks lines that go with - and lines that come with +, the longest common part being kept.
func lineDiff(a, b []string) []string {
	common := make([][]int, len(a)+1) // of a[i:] and b[j:]
	for i := range common {
		common[i] = make([]int, len(b)+1)
	}
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			if a[i] == b[j] {
				common[i][j] = common[i+1][j+1] + 1
			} else {
				common[i][j] = max(common[i+1][j], common[i][j+1])
			}
		}
	}
	var out []string
	i, j := 0, 0
	for i < len(a) || j < len(b) {
		switch {
		case i < len(a) && j < len(b) && a[i] == b[j]:
			out = append(out, " "+a[i])
			i, j = i+1, j+1
		case j == len(b) || i < len(a) && common[i+1][j] >= common[i][j+1]:
			out = append(out, "-"+a[i])
			i++
		default:
			out = append(out, "+"+b[j])
			j++
		}
	}
	return out
}

// runEditor opens a file in the user's editor and waits until he is done.
func (s *session) runEditor(ctx context.Context, path string) error {
	editor := cmp.Or(s.Env("VISUAL"), s.Env("EDITOR"), "vi")
	// An editor may have arguments: "code --wait".
	cmd := exec.CommandContext(ctx, "sh", "-c", editor+` "$1"`, "sh", path)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("editor %s: %w", editor, err)
	}
	return nil
}
