// Package show is how helioctl shows what a control plane tells of resources, generations and faults, to people and to programs. It never asks for anything.
package show

import (
	"fmt"
	"time"

	"go.yaml.in/yaml/v3"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/heliosproxy/heliosproxy/controlplane/cmd/helioctl/exit"
	"github.com/heliosproxy/heliosproxy/controlplane/cmd/helioctl/output"
	"github.com/heliosproxy/heliosproxy/pkg/manifest"
	"github.com/heliosproxy/heliosproxy/pkg/release"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// Moment is a time for programs; nil if there is none.
func Moment(t *timestamppb.Timestamp) any {
	if t == nil {
		return nil
	}
	return t.AsTime().UTC().Format(time.RFC3339Nano)
}

// Generation is epoch and revision, for people.
func Generation(g *heliosv1.Generation) string {
	if g == nil {
		return "-"
	}
	return fmt.Sprintf("%d/%d", g.GetEpoch(), g.GetRevision())
}

// GenerationOf is a generation for programs; nil if there is none.
func GenerationOf(g *heliosv1.Generation) any {
	if g == nil {
		return nil
	}
	return output.Object("epoch", g.GetEpoch(), "revision", g.GetRevision())
}

// Node is a resource as a manifest.
func Node(r *heliosv1.Resource) (*yaml.Node, error) {
	kind, m, fault := release.Decode(r.GetItem())
	if fault != nil {
		return nil, exit.Refused(fmt.Errorf("%s %q: %s: is helioctl older than the control plane?", fault.GetKind(), fault.GetName(), fault.GetReason()))
	}
	return manifest.Node(kind, m, r.GetRevision()), nil
}

// YAML is a resource as YAML.
func YAML(r *heliosv1.Resource) (string, error) {
	n, err := Node(r)
	if err != nil {
		return "", err
	}
	text, err := manifest.YAML(n)
	return string(text), err
}

// Field is the field of a message that is called so in a contract or in a manifest; nil if there is none.
func Field(d protoreflect.MessageDescriptor, name string) protoreflect.FieldDescriptor {
	if fd := d.Fields().ByName(protoreflect.Name(name)); fd != nil {
		return fd
	}
	return d.Fields().ByJSONName(name)
}
