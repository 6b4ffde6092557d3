package show

import (
	"fmt"
	"strings"

	"github.com/heliosproxy/heliosproxy/pkg/resource"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// Faults are lines that name kind, object, field and reason.
func Faults(all []*heliosv1.Fault) []string {
	lines := make([]string, len(all))
	for i, f := range all {
		lines[i] = Fault(f)
	}
	return lines
}

// Fault is a line that names kind, object, field and reason.
func Fault(f *heliosv1.Fault) string {
	switch {
	case f.GetKind() == "":
		return f.GetReason()
	case f.GetField() == "":
		return fmt.Sprintf("%s %q: %s", f.GetKind(), f.GetName(), f.GetReason())
	}
	return fmt.Sprintf("%s %q: %s: %s", f.GetKind(), f.GetName(), yamlField(f.GetKind(), f.GetField()), f.GetReason())
}

// yamlField is where a field stands in a manifest.
func yamlField(kind, field string) string {
	if field == "name" {
		return "metadata.name"
	}
	return "spec." + FieldName(kind, field)
}

// FieldName is what a field is called in a manifest.
func FieldName(kind, field string) string {
	if t, ok := resource.TypeOf(kind); ok {
		if fd := Field(t.New().ProtoReflect().Descriptor(), field); fd != nil {
			return fd.JSONName()
		}
	}
	return field
}

// FieldNames are [FieldName] of several, for programs: never nil.
func FieldNames(kind string, fields []string) []string {
	names := make([]string, len(fields))
	for i, f := range fields {
		names[i] = FieldName(kind, f)
	}
	return names
}

// Indent moves each line to the right.
func Indent(s string) string { return "  " + strings.ReplaceAll(s, "\n", "\n  ") }
