package command

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/heliosproxy/heliosproxy/pkg/manifest"
	"github.com/heliosproxy/heliosproxy/pkg/release"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// output is the flag -o.
type output struct{ format string }

func (o *output) register(c *cobra.Command, formats ...string) {
	c.Flags().StringVarP(&o.format, "output", "o", "", "how it is printed: "+strings.Join(formats, ", ")+" (default: for people)")
	cobra.CheckErr(c.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(formats, cobra.ShellCompDirectiveNoFileComp)))
}

func (o *output) check(formats ...string) error {
	if o.format == "" || slices.Contains(formats, o.format) {
		return nil
	}
	return usage{fmt.Errorf("-o %s is not one of %s", o.format, strings.Join(formats, ", ")), "helioctl"}
}

// object is a mapping in the order given, of names and values that JSON knows, nodes or messages in JSON.
func object(pairs ...any) ordered { return ordered(pairs) }

// ordered is names and values, one after the other.
type ordered []any

// MarshalJSON implements [json.Marshaler].
func (o ordered) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i := 0; i+1 < len(o); i += 2 {
		if i > 0 {
			b.WriteByte(',')
		}
		for k, v := range []any{o[i], o[i+1]} {
			j, err := json.Marshal(v)
			if err != nil {
				return nil, err
			}
			b.Write(j)
			if k == 0 {
				b.WriteByte(':')
			}
		}
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// print writes a value as JSON or YAML.
func (o *output) print(w io.Writer, v any) error {
	j, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if o.format == "json" {
		var b bytes.Buffer
		if err := json.Indent(&b, j, "", "  "); err != nil {
			return err
		}
		b.WriteByte('\n')
		_, err := w.Write(b.Bytes())
		return err
	}
	// JSON is YAML: read so, the order is kept.
	var n yaml.Node
	if err := yaml.Unmarshal(j, &n); err != nil {
		return err
	}
	unstyle(&n)
	text, err := manifest.YAML(&n)
	if err != nil {
		return err
	}
	_, err = w.Write(text)
	return err
}

// unstyle takes away that a node was written as JSON.
func unstyle(n *yaml.Node) {
	if n.Kind == yaml.ScalarNode && n.Tag == "!!str" {
		n.SetString(n.Value)
	}
	n.Style = n.Style &^ (yaml.FlowStyle | yaml.DoubleQuotedStyle)
	for _, c := range n.Content {
		unstyle(c)
	}
}

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
	return object("epoch", g.GetEpoch(), "revision", g.GetRevision())
}

// node is a resource as a manifest.
func node(r *heliosv1.Resource) (*yaml.Node, error) {
	kind, m, fault := release.Decode(r.GetItem())
	if fault != nil {
		return nil, refused{fmt.Errorf("%s %q: %s: is helioctl older than the control plane?", fault.GetKind(), fault.GetName(), fault.GetReason())}
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
