package command

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

// moment is a time for programs; nil if there is none.
func moment(t *timestamppb.Timestamp) any {
	if t == nil {
		return nil
	}
	return t.AsTime().UTC().Format(time.RFC3339Nano)
}

// generation is epoch and revision, for people.
func generation(g *heliosv1.Generation) string {
	if g == nil {
		return "-"
	}
	return fmt.Sprintf("%d/%d", g.GetEpoch(), g.GetRevision())
}

// generationOf is a generation for programs; nil if there is none.
func generationOf(g *heliosv1.Generation) any {
	if g == nil {
		return nil
	}
	return output.Object("epoch", g.GetEpoch(), "revision", g.GetRevision())
}

// node is a resource as a manifest.
func node(r *heliosv1.Resource) (*yaml.Node, error) {
	kind, m, fault := release.Decode(r.GetItem())
	if fault != nil {
		return nil, exit.Refused(fmt.Errorf("%s %q: %s: is helioctl older than the control plane?", fault.GetKind(), fault.GetName(), fault.GetReason()))
	}
	return manifest.Node(kind, m, r.GetRevision()), nil
}

// yamlOf is a resource as YAML.
func yamlOf(r *heliosv1.Resource) (string, error) {
	n, err := node(r)
	if err != nil {
		return "", err
	}
	text, err := manifest.YAML(n)
	return string(text), err
}

func fieldNamed(d protoreflect.MessageDescriptor, name string) protoreflect.FieldDescriptor {
	if fd := d.Fields().ByName(protoreflect.Name(name)); fd != nil {
		return fd
	}
	return d.Fields().ByJSONName(name)
}
