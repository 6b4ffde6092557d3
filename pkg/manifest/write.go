package manifest

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"time"

	"go.yaml.in/yaml/v3"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/heliosproxy/heliosproxy/pkg/resource"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// Node makes a resource a YAML document, in the order of the proto, what is not set left out. A revision of 0
// is left out too.
func Node(kind resource.Kind, m resource.Message, revision uint64) *yaml.Node {
	meta := mapping("name", text(m.GetName()))
	if revision != 0 {
		meta.Content = append(meta.Content, plain("revision"), plain(strconv.FormatUint(revision, 10)))
	}
	doc := mapping("apiVersion", plain(APIVersion), "kind", plain(string(kind)), "metadata", meta)
	if spec := write(m.ProtoReflect(), true); len(spec.Content) > 0 {
		doc.Content = append(doc.Content, plain("spec"), spec)
	}
	return doc
}

// YAML is the text of documents, separated by lines of dashes.
func YAML(docs ...*yaml.Node) ([]byte, error) {
	var b bytes.Buffer
	e := yaml.NewEncoder(&b)
	e.SetIndent(2)
	for _, d := range docs {
		if err := e.Encode(d); err != nil {
			return nil, fmt.Errorf("write YAML: %w", err)
		}
	}
	if err := e.Close(); err != nil {
		return nil, fmt.Errorf("write YAML: %w", err)
	}
	return b.Bytes(), nil
}

// JSON is a document as JSON, in the same order. Numbers are numbers.
func JSON(n *yaml.Node) json.RawMessage {
	var b bytes.Buffer
	writeJSON(&b, n)
	return b.Bytes()
}

func writeJSON(b *bytes.Buffer, n *yaml.Node) {
	switch n.Kind {
	case yaml.MappingNode:
		b.WriteByte('{')
		for i := 0; i+1 < len(n.Content); i += 2 {
			if i > 0 {
				b.WriteByte(',')
			}
			quoted(b, n.Content[i].Value)
			b.WriteByte(':')
			writeJSON(b, n.Content[i+1])
		}
		b.WriteByte('}')
	case yaml.SequenceNode:
		b.WriteByte('[')
		for i, e := range n.Content {
			if i > 0 {
				b.WriteByte(',')
			}
			writeJSON(b, e)
		}
		b.WriteByte(']')
	default:
		if n.Tag == "!!int" || n.Tag == "!!bool" || n.Tag == "!!float" {
			b.WriteString(n.Value)
			return
		}
		quoted(b, n.Value)
	}
}

func quoted(b *bytes.Buffer, s string) {
	q, _ := json.Marshal(s) // a string can always be written
	b.Write(q)
}

// mapping makes a mapping of names and nodes.
func mapping(pairs ...any) *yaml.Node {
	n := &yaml.Node{Kind: yaml.MappingNode}
	for i := 0; i+1 < len(pairs); i += 2 {
		n.Content = append(n.Content, plain(pairs[i].(string)), pairs[i+1].(*yaml.Node))
	}
	return n
}

// plain is a word or number that needs no quotes, by what it looks like.
func plain(s string) *yaml.Node {
	n := &yaml.Node{Kind: yaml.ScalarNode, Value: s}
	if _, err := strconv.ParseUint(s, 10, 64); err == nil {
		n.Tag = "!!int"
	}
	return n
}

// text is a string, in quotes where it would be read as something else.
func text(s string) *yaml.Node {
	n := &yaml.Node{}
	n.SetString(s)
	return n
}

// write makes a mapping of what a message has. The name of a resource is elsewhere.
func write(m protoreflect.Message, unnamed bool) *yaml.Node {
	n := mapping()
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		fd := fields.Get(i)
		if m.Has(fd) && !(unnamed && fd.Name() == nameField) {
			n.Content = append(n.Content, plain(fd.JSONName()), field(fd, m.Get(fd)))
		}
	}
	return n
}

// field is all that a field holds.
func field(fd protoreflect.FieldDescriptor, v protoreflect.Value) *yaml.Node {
	switch {
	case fd.IsList():
		n := &yaml.Node{Kind: yaml.SequenceNode}
		for i := range v.List().Len() {
			n.Content = append(n.Content, value(fd, v.List().Get(i)))
		}
		return n
	case fd.IsMap():
		entries := map[string]*yaml.Node{}
		v.Map().Range(func(k protoreflect.MapKey, v protoreflect.Value) bool {
			entries[k.String()] = value(fd.MapValue(), v)
			return true
		})
		n := mapping()
		for _, k := range slices.Sorted(maps.Keys(entries)) {
			n.Content = append(n.Content, text(k), entries[k])
		}
		return n
	}
	return value(fd, v)
}

func value(fd protoreflect.FieldDescriptor, v protoreflect.Value) *yaml.Node {
	switch fd.Kind() {
	case protoreflect.MessageKind:
		switch m := v.Message().Interface().(type) {
		case *durationpb.Duration:
			return text(Duration(m.AsDuration()))
		case *heliosv1.Secret:
			if !m.GetRedacted() {
				return text(m.GetValue())
			}
		}
		return write(v.Message(), false)
	case protoreflect.EnumKind:
		if e := fd.Enum().Values().ByNumber(v.Enum()); e != nil {
			return text(word(e))
		}
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!int", Value: strconv.Itoa(int(v.Enum()))}
	case protoreflect.StringKind:
		return text(v.String())
	case protoreflect.BytesKind:
		return text(base64.StdEncoding.EncodeToString(v.Bytes()))
	case protoreflect.BoolKind:
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!bool", Value: strconv.FormatBool(v.Bool())}
	case protoreflect.DoubleKind:
		if x := v.Float(); !math.IsNaN(x) && !math.IsInf(x, 0) {
			return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!float", Value: strconv.FormatFloat(x, 'g', -1, 64)}
		}
		return text(v.String())
	default:
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!int", Value: v.String()}
	}
}

// Duration is a duration without the units that say nothing: 5m, not 5m0s.
func Duration(d time.Duration) string {
	s := d.String()
	if d == 0 || d%time.Minute != 0 {
		return s
	}
	s = s[:len(s)-len("0s")]
	if d%time.Hour == 0 {
		s = s[:len(s)-len("0m")]
	}
	return s
}
