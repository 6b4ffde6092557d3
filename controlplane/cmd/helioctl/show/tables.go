package show

import (
	"cmp"
	"fmt"
	"io"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/heliosproxy/heliosproxy/controlplane/cmd/helioctl/exit"
	"github.com/heliosproxy/heliosproxy/controlplane/cmd/helioctl/table"
	"github.com/heliosproxy/heliosproxy/pkg/manifest"
	"github.com/heliosproxy/heliosproxy/pkg/release"
	"github.com/heliosproxy/heliosproxy/pkg/resource"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// Tables prints a table a kind, or says to errs that there is nothing.
func Tables(out, errs io.Writer, all []*heliosv1.Resource, kind string, wide bool) error {
	if len(all) == 0 {
		what := "resources"
		if t, ok := resource.TypeOf(kind); ok {
			what = t.Plural
		}
		_, err := fmt.Fprintf(errs, "There are no %s.\n", what)
		return err
	}
	separate := false
	for _, t := range resource.Types() {
		var rows [][]string
		for _, r := range all {
			if r.GetItem().GetKind() != string(t.Kind) {
				continue
			}
			_, m, fault := release.Decode(r.GetItem())
			if fault != nil {
				return exit.Refused(fmt.Errorf("%s %q: %s", fault.GetKind(), fault.GetName(), fault.GetReason()))
			}
			if rows == nil {
				rows = [][]string{heads(m, wide)}
			}
			rows = append(rows, row(m, r.GetRevision(), wide))
		}
		if rows == nil {
			continue
		}
		if separate {
			fmt.Fprintln(out)
		}
		separate = true
		if kind == "" {
			fmt.Fprintln(out, strings.ToUpper(t.Plural))
		}
		if err := table.Print(out, rows); err != nil {
			return err
		}
	}
	return nil
}

// shown is how many fields a table has unless it is wide.
const shown = 6

func heads(m resource.Message, wide bool) []string {
	h := []string{"NAME"}
	fields(m, wide, func(fd protoreflect.FieldDescriptor) {
		h = append(h, strings.ToUpper(strings.ReplaceAll(string(fd.Name()), "_", " ")))
	})
	return append(h, "REVISION")
}

func row(m resource.Message, revision uint64, wide bool) []string {
	r := []string{m.GetName()}
	fields(m, wide, func(fd protoreflect.FieldDescriptor) { r = append(r, cell(m.ProtoReflect(), fd)) })
	if revision == 0 { // a proxy does not know
		return append(r, "-")
	}
	return append(r, fmt.Sprint(revision))
}

func fields(m resource.Message, wide bool, yield func(protoreflect.FieldDescriptor)) {
	all := m.ProtoReflect().Descriptor().Fields()
	for i := range all.Len() {
		if i > shown && !wide {
			return
		}
		if fd := all.Get(i); fd.Name() != "name" {
			yield(fd)
		}
	}
}

// cell is a field in a few letters.
func cell(m protoreflect.Message, fd protoreflect.FieldDescriptor) string {
	if !m.Has(fd) {
		return "-"
	}
	v := m.Get(fd)
	switch {
	case fd.IsList():
		return fmt.Sprintf("%d", v.List().Len())
	case fd.IsMap():
		return fmt.Sprintf("%d", v.Map().Len())
	case fd.Enum() != nil:
		return manifest.WordOf(fd.Enum(), v.Enum())
	case fd.Message() != nil:
		switch x := v.Message().Interface().(type) {
		case *durationpb.Duration:
			return manifest.Duration(x.AsDuration())
		case interface{ GetMode() heliosv1.SSLMode }:
			return cmp.Or(manifest.WordOf(x.GetMode().Descriptor(), x.GetMode().Number()), "(set)")
		default: // its fields are for describe
			return "(set)"
		}
	}
	if s := v.String(); strings.Contains(s, "\n") {
		return fmt.Sprintf("%d lines", strings.Count(s, "\n"))
	}
	return v.String()
}
