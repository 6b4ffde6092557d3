// Package output is what programs read of what helioctl says: the flag -o, and values in JSON or YAML whose order stays. It never knows what they are about.
package output

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"

	"github.com/heliosproxy/heliosproxy/controlplane/cmd/helioctl/exit"
	"github.com/heliosproxy/heliosproxy/pkg/manifest"
)

// Format is the flag -o.
type Format struct{ Word string }

// Register gives a command the flag.
func (o *Format) Register(c *cobra.Command, formats ...string) {
	c.Flags().StringVarP(&o.Word, "output", "o", "", "how it is printed: "+strings.Join(formats, ", ")+" (default: for people)")
	cobra.CheckErr(c.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(formats, cobra.ShellCompDirectiveNoFileComp)))
}

// Check refuses what is none of the formats that a command has.
func (o *Format) Check(formats ...string) error {
	if o.Word == "" || slices.Contains(formats, o.Word) {
		return nil
	}
	return exit.Usage(fmt.Errorf("-o %s is not one of %s", o.Word, strings.Join(formats, ", ")), "helioctl")
}

// Object is a mapping in the order given, of names and values that JSON knows, nodes or messages in JSON.
func Object(pairs ...any) Ordered { return Ordered(pairs) }

// Ordered is names and values, one after the other.
type Ordered []any

// MarshalJSON implements [json.Marshaler].
func (o Ordered) MarshalJSON() ([]byte, error) {
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

// Print writes a value as JSON or YAML.
func (o *Format) Print(w io.Writer, v any) error {
	j, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if o.Word == "json" {
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
