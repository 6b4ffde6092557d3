package command

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/proto"

	"github.com/heliosproxy/heliosproxy/controlplane/cmd/helioctl/exit"
	"github.com/heliosproxy/heliosproxy/controlplane/cmd/helioctl/output"
	"github.com/heliosproxy/heliosproxy/controlplane/cmd/helioctl/show"
	"github.com/heliosproxy/heliosproxy/pkg/manifest"
	"github.com/heliosproxy/heliosproxy/pkg/release"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// messageBytes bounds what is put into one message.
const messageBytes = 900 << 10

// slow is how large a write is of which progress is shown.
const slow = 1 << 20

// writing are the flags of commands that write.
type writing struct {
	dryRun, destructive bool
	message             string
	output              output.Format
}

func (w *writing) register(c *cobra.Command) {
	c.Flags().BoolVar(&w.dryRun, "dry-run", false, "say what would happen and change nothing")
	c.Flags().BoolVar(&w.destructive, "allow-destructive", false, "more than 30 % of a kind, or all of it, may be removed")
	c.Flags().StringVarP(&w.message, "message", "m", "", "why, for the audit record")
	w.output.Register(c, "json", "yaml", "name")
}

func (w *writing) header() *heliosv1.WriteHeader {
	return &heliosv1.WriteHeader{RequestId: newRequest(), DryRun: w.dryRun, AllowDestructive: w.destructive, Message: w.message}
}

func newRequest() string {
	var b [8]byte
	rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

// written is the answer to a write.
type written struct {
	effects []*heliosv1.Effect
	outcome *heliosv1.WriteOutcome
}

// write sends a write and waits for the answer.
func (s *session) write(ctx context.Context, client heliosv1.AdminServiceClient, h *heliosv1.WriteHeader, changes []*heliosv1.Change) (*written, error) {
	ctx, stop := context.WithTimeout(ctx, s.flags.timeout)
	defer stop()
	s.request = h.GetRequestId()
	stream, err := client.Write(ctx)
	if err != nil {
		return nil, err
	}
	if err := s.send(stream, h, changes); err != nil {
		// Why a stream is broken is what receiving from it says.
		if _, said := stream.Recv(); said != nil && !ended(said) {
			return nil, said
		}
		return nil, err
	}
	w := &written{}
	for {
		m, err := stream.Recv()
		if err != nil {
			if ended(err) {
				err = fmt.Errorf("the answer is cut off: %w", context.Canceled)
			}
			return nil, err
		}
		w.effects = append(w.effects, m.GetEffects()...)
		if w.outcome = m.GetOutcome(); w.outcome != nil {
			s.sent = false // there is an answer
			return w, nil
		}
	}
}

// send sends header, changes and commit. Once it begins to send the commit nobody knows.
func (s *session) send(stream heliosv1.AdminService_WriteClient, h *heliosv1.WriteHeader, changes []*heliosv1.Change) error {
	if err := stream.Send(&heliosv1.WriteRequest{Message: &heliosv1.WriteRequest_Header{Header: h}}); err != nil {
		return err
	}
	total, done := 0, 0
	for _, c := range changes {
		total += proto.Size(c)
	}
	for len(changes) > 0 {
		n, size := 0, 0
		for n < len(changes) && (n == 0 || size+proto.Size(changes[n]) < messageBytes) {
			size += proto.Size(changes[n])
			n++
		}
		m := &heliosv1.WriteRequest{Message: &heliosv1.WriteRequest_Changes{Changes: &heliosv1.Changes{Changes: changes[:n]}}}
		if err := stream.Send(m); err != nil {
			return err
		}
		changes, done = changes[n:], done+size
		if total > slow && s.progress {
			fmt.Fprintf(s.Err, "\rsent %d of %d KiB", done>>10, total>>10)
			if len(changes) == 0 {
				fmt.Fprintln(s.Err)
			}
		}
	}
	s.sent = !h.GetDryRun()
	if err := stream.Send(&heliosv1.WriteRequest{Message: &heliosv1.WriteRequest_Commit{Commit: &heliosv1.WriteCommit{}}}); err != nil {
		return err
	}
	return stream.CloseSend()
}

// puts are the changes that documents ask for. What was read with a revision expects it.
func puts(docs []manifest.Document) ([]*heliosv1.Change, error) {
	var all []*heliosv1.Change
	for _, d := range docs {
		it, err := release.Encode(d.Kind, d.Message)
		if err != nil {
			return nil, err
		}
		all = append(all, &heliosv1.Change{Change: &heliosv1.Change_Put{Put: it}, ExpectedRevision: d.Revision})
	}
	return all, nil
}

func (s *session) applyCommand() *cobra.Command {
	var files []string
	var w writing
	c := &cobra.Command{
		Use:   "apply -f FILE",
		Short: "Write resources, all or none",
		Long: `Write resources, all or none. Files hold YAML or JSON, several documents each; a directory is its .yaml, .yml and
.json files; - is the input. A resource that has metadata.revision, as get prints it, is written only if nobody has written
it since. Secrets that are redacted keep their value. What differs is shown.`,
		Args: exit.Args(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			if err := w.output.Check("json", "yaml", "name"); err != nil {
				return err
			}
			docs, err := s.readFiles(files)
			if err != nil {
				return err
			}
			changes, err := puts(docs)
			if err != nil {
				return err
			}
			return s.change(c, w.header(), changes, w.output)
		},
	}
	c.Flags().StringArrayVarP(&files, "filename", "f", nil, "a file, a directory, or - for the input; may be given again")
	w.register(c)
	return c
}

// change writes and shows what that did.
func (s *session) change(c *cobra.Command, h *heliosv1.WriteHeader, changes []*heliosv1.Change, o output.Format) error {
	client, err := s.dial()
	if err != nil {
		return err
	}
	result, err := s.write(c.Context(), client, h, changes)
	if err != nil {
		return err
	}
	return s.showWritten(result, h.GetDryRun(), o)
}

func (s *session) deleteCommand() *cobra.Command {
	var files []string
	var w writing
	c := &cobra.Command{
		Use:   "delete KIND NAME... | KIND/NAME... | -f FILE",
		Short: "Delete resources, all or none",
		Long: `Delete resources, all or none. With -f those that a file has: a resource that has metadata.revision there is deleted only if
nobody has written it since.`,
		Args:              cobra.ArbitraryArgs,
		ValidArgsFunction: s.completeKind,
		RunE: func(c *cobra.Command, given []string) error {
			if err := w.output.Check("json", "yaml", "name"); err != nil {
				return err
			}
			var changes []*heliosv1.Change
			remove := func(kind, name string, expected *uint64) {
				changes = append(changes, &heliosv1.Change{Change: &heliosv1.Change_Delete{Delete: &heliosv1.Ref{Kind: kind, Name: name}}, ExpectedRevision: expected})
			}
			switch {
			case len(files) > 0 && len(given) == 0:
				docs, err := s.readFiles(files)
				if err != nil {
					return err
				}
				for _, d := range docs {
					remove(string(d.Kind), d.Message.GetName(), d.Revision)
				}
			case len(files) == 0 && len(given) > 0:
				all, err := targets(given, "helioctl delete")
				if err != nil {
					return err
				}
				for _, t := range all {
					for _, name := range t.names {
						remove(t.kind, name, nil)
					}
				}
			}
			if len(changes) == 0 || changes[0].GetDelete().GetKind() == "" {
				return exit.Usage(errors.New("want KIND NAME..., KIND/NAME... or -f FILE"), "helioctl delete")
			}
			return s.change(c, w.header(), changes, w.output)
		},
	}
	c.Flags().StringArrayVarP(&files, "filename", "f", nil, "delete what this file has; may be given again")
	w.register(c)
	return c
}

func (s *session) undoCommand() *cobra.Command {
	var to uint64
	var w writing
	c := &cobra.Command{
		Use:   "undo",
		Short: "Go back to an older release: write what it has as a new one",
		Args:  exit.Args(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			if err := w.output.Check("json", "yaml", "name"); err != nil {
				return err
			}
			h := w.header()
			h.UndoTo = &to
			return s.change(c, h, nil, w.output)
		},
	}
	c.Flags().Uint64Var(&to, "to", 0, "the release to go back to (default: the one before the current one)")
	w.register(c)
	return c
}

func (s *session) diffCommand() *cobra.Command {
	var files []string
	c := &cobra.Command{
		Use:   "diff -f FILE",
		Short: "Show what apply would change; the exit code is 0 if nothing, else 1",
		Args:  exit.Args(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			docs, err := s.readFiles(files)
			if err != nil {
				return err
			}
			changes, err := puts(docs)
			if err != nil {
				return err
			}
			client, err := s.dial()
			if err != nil {
				return err
			}
			w, err := s.write(c.Context(), client, &heliosv1.WriteHeader{RequestId: newRequest(), DryRun: true, AllowDestructive: true}, changes)
			if err != nil {
				return err
			}
			if err := showDiffs(s.Out, w.effects); err != nil || !w.outcome.GetChanged() {
				return err
			}
			return exit.Silently(exit.CodeRefused)
		},
	}
	c.Flags().StringArrayVarP(&files, "filename", "f", nil, "a file, a directory, or - for the input; may be given again")
	return c
}

// showWritten prints what differs, a line a resource, and the revision.
func (s *session) showWritten(w *written, dryRun bool, o output.Format) error {
	switch o.Word {
	case "name":
		for _, e := range w.effects {
			fmt.Fprintf(s.Out, "%s/%s\n", lower(e.GetKind()), e.GetName())
		}
		return nil
	case "json", "yaml":
		effects := []any{}
		for _, e := range w.effects {
			effects = append(effects, output.Object("action", manifest.Word(e.GetAction()), "kind", e.GetKind(), "name", e.GetName(), "changedSecrets", show.FieldNames(e.GetKind(), e.GetChangedSecrets())))
		}
		return o.Print(s.Out, output.Object("revision", w.outcome.GetRevision(), "changed", w.outcome.GetChanged(), "dryRun", dryRun, "effects", effects))
	}
	if err := showDiffs(s.Out, w.effects); err != nil {
		return err
	}
	suffix := ""
	if dryRun {
		suffix = " (dry run)"
	}
	unchanged := 0
	for _, e := range w.effects {
		if e.GetAction() == heliosv1.Action_ACTION_UNCHANGED && len(w.effects) > 20 {
			unchanged++
			continue
		}
		fmt.Fprintf(s.Out, "%s/%s %s%s\n", lower(e.GetKind()), e.GetName(), manifest.Word(e.GetAction()), suffix)
	}
	if unchanged > 0 {
		fmt.Fprintf(s.Out, "%d resources unchanged%s\n", unchanged, suffix)
	}
	switch {
	case dryRun && w.outcome.GetChanged():
		fmt.Fprintln(s.Out, "nothing was written (dry run)")
	case w.outcome.GetChanged():
		fmt.Fprintf(s.Out, "revision %d\n", w.outcome.GetRevision())
	default:
		fmt.Fprintf(s.Out, "nothing has changed, revision %d\n", w.outcome.GetRevision())
	}
	return nil
}

func (s *session) editCommand() *cobra.Command {
	var w writing
	c := &cobra.Command{
		Use:   "edit KIND NAME",
		Short: "Change a resource in an editor ($VISUAL, $EDITOR, vi)",
		Long: `Change a resource in an editor ($VISUAL, $EDITOR, vi). It is written only if nobody has written it since it was read. What
is not taken is kept in a file.`,
		Args:              exit.Args(cobra.RangeArgs(1, 2)),
		ValidArgsFunction: s.completeKind,
		RunE: func(c *cobra.Command, given []string) error {
			if err := w.output.Check("json", "yaml", "name"); err != nil {
				return err
			}
			kind, name, err := oneTarget(given, "helioctl edit")
			if err != nil {
				return err
			}
			all, err := s.list(c, kind, []string{name})
			if err != nil {
				return err
			}
			return s.edit(c, w, all[0])
		},
	}
	w.register(c)
	return c
}

// edit lets the user change a resource and writes it. What he wrote is kept where it is not taken.
func (s *session) edit(c *cobra.Command, w writing, r *heliosv1.Resource) (err error) {
	text, err := show.YAML(r)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp("", "helioctl-*.yaml")
	if err != nil {
		return exit.Refused(err)
	}
	path, keep := f.Name(), false
	defer func() {
		if keep {
			fmt.Fprintf(s.Err, "What you wrote is in %s\n", path)
		} else {
			os.Remove(path)
		}
	}()
	if _, err := io.WriteString(f, text); err != nil {
		return exit.Refused(err)
	}
	if err := f.Close(); err != nil {
		return exit.Refused(err)
	}
	if err := s.runEditor(c.Context(), path); err != nil {
		return exit.Refused(err)
	}
	changed, err := os.ReadFile(path)
	if err != nil {
		return exit.Refused(err)
	}
	if string(changed) == text {
		_, err := fmt.Fprintln(s.Out, "nothing has changed")
		return err
	}
	keep = true
	docs, err := manifest.Parse(path, changed)
	if err != nil {
		return err
	}
	if it := r.GetItem(); len(docs) != 1 || string(docs[0].Kind) != it.GetKind() || docs[0].Message.GetName() != it.GetName() {
		return exit.Refused(fmt.Errorf("%s %q was edited and something else came back: apply -f is for that", it.GetKind(), it.GetName()))
	}
	docs[0].Revision = proto.Uint64(r.GetRevision()) // that was read, whatever became of it in the text
	changes, err := puts(docs)
	if err != nil {
		return err
	}
	// The editor may have been open for hours: the time counts from now.
	if err := s.change(c, w.header(), changes, w.output); err != nil {
		return err
	}
	keep = false
	return nil
}
