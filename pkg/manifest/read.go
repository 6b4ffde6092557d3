package manifest

import (
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/heliosproxy/heliosproxy/pkg/resource"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

const (
	// top is the path of what a resource says.
	top = "spec"
	// nameField is the field that is written as metadata.name.
	nameField = "name"
)

func setName(m resource.Message, name string) {
	r := m.ProtoReflect()
	r.Set(r.Descriptor().Fields().ByName(nameField), protoreflect.ValueOfString(name))
}

// message reads a mapping into a message. At the top, the name is elsewhere.
func (p *parser) message(n *yaml.Node, path string, m protoreflect.Message) {
	fields, ok := p.fields(n, path)
	if !ok {
		return
	}
	seen := map[protoreflect.FieldNumber]bool{} // a field has two names
	for _, f := range fields {
		at := join(path, f[0].Value)
		fd := named(m.Descriptor(), f[0].Value)
		switch {
		case fd == nil:
			p.fail(f[0], at, "unknown field%s", nearest(f[0].Value, fieldNames(m.Descriptor(), path == top)))
			continue
		case path == top && fd.Name() == nameField:
			p.fail(f[0], at, "belongs into metadata.name")
			continue
		case seen[fd.Number()]:
			p.fail(f[0], at, "is there twice")
		case !isNull(f[1]): // else it is as if it was not there
			p.value(f[1], at, m, fd)
		}
		seen[fd.Number()] = true
	}
}

// named finds a field by its name in YAML or in the proto.
func named(d protoreflect.MessageDescriptor, name string) protoreflect.FieldDescriptor {
	if fd := d.Fields().ByJSONName(name); fd != nil {
		return fd
	}
	return d.Fields().ByName(protoreflect.Name(name))
}

// fieldNames are the names in YAML.
func fieldNames(d protoreflect.MessageDescriptor, unnamed bool) []string {
	var names []string
	for i := range d.Fields().Len() {
		if fd := d.Fields().Get(i); !unnamed || fd.Name() != nameField {
			names = append(names, fd.JSONName())
		}
	}
	return names
}

// value reads a value into a field of m.
func (p *parser) value(n *yaml.Node, path string, m protoreflect.Message, fd protoreflect.FieldDescriptor) {
	switch {
	case fd.IsMap():
		p.entries(n, path, m, fd)
	case fd.IsList():
		if n.Kind != yaml.SequenceNode {
			p.fail(n, path, "has to be a list")
			return
		}
		list := m.Mutable(fd).List()
		for i, e := range n.Content {
			if v, ok := p.single(meant(e), fmt.Sprintf("%s[%d]", path, i), fd, list.NewElement); ok {
				list.Append(v)
			}
		}
	default:
		if v, ok := p.single(n, path, fd, func() protoreflect.Value { return m.NewField(fd) }); ok {
			m.Set(fd, v)
		}
	}
}

// entries reads a mapping whose names are not those of fields.
func (p *parser) entries(n *yaml.Node, path string, m protoreflect.Message, fd protoreflect.FieldDescriptor) {
	fields, ok := p.fields(n, path)
	if !ok {
		return
	}
	entries := m.Mutable(fd).Map()
	for _, f := range fields {
		at := join(path, f[0].Value)
		k, ok := p.scalar(f[0], at, fd.MapKey())
		if !ok {
			continue
		}
		if v, ok := p.single(f[1], at, fd.MapValue(), entries.NewValue); ok {
			entries.Set(k.MapKey(), v)
		}
	}
}

// single reads one value of a field's type. Made is what makes an empty one, if it is a message.
func (p *parser) single(n *yaml.Node, path string, fd protoreflect.FieldDescriptor, made func() protoreflect.Value) (protoreflect.Value, bool) {
	if fd.Message() != nil {
		return p.submessage(n, path, fd, made)
	}
	return p.scalar(n, path, fd)
}

// scalar reads a single word. What it is in YAML does not matter, only what it looks like: a name may be 12.
func (p *parser) scalar(n *yaml.Node, path string, fd protoreflect.FieldDescriptor) (v protoreflect.Value, ok bool) {
	if n.Kind != yaml.ScalarNode {
		p.fail(n, path, "has to be a single value")
		return v, false
	}
	v, wanted := scalarOf(n.Value, fd)
	if wanted != "" {
		p.fail(n, path, "%q is not %s", n.Value, wanted)
	}
	return v, wanted == ""
}

// scalarOf is a word as a value of a field's type, or what the word has to be.
func scalarOf(s string, fd protoreflect.FieldDescriptor) (v protoreflect.Value, wanted string) {
	var err error
	switch fd.Kind() {
	case protoreflect.StringKind:
		return protoreflect.ValueOfString(s), ""
	case protoreflect.BoolKind:
		if s != "true" && s != "false" {
			return v, "true or false"
		}
		return protoreflect.ValueOfBool(s == "true"), ""
	case protoreflect.Uint32Kind:
		var u uint64
		u, err = strconv.ParseUint(s, 10, 32)
		v, wanted = protoreflect.ValueOfUint32(uint32(u)), "a whole number from 0 to 4294967295"
	case protoreflect.Uint64Kind:
		var u uint64
		u, err = strconv.ParseUint(s, 10, 64)
		v, wanted = protoreflect.ValueOfUint64(u), "a whole number from 0 on"
	case protoreflect.Int32Kind:
		var i int64
		i, err = strconv.ParseInt(s, 10, 32)
		v, wanted = protoreflect.ValueOfInt32(int32(i)), "a whole number from -2147483648 to 2147483647"
	case protoreflect.Int64Kind:
		var i int64
		i, err = strconv.ParseInt(s, 10, 64)
		v, wanted = protoreflect.ValueOfInt64(i), "a whole number"
	case protoreflect.DoubleKind:
		var x float64
		x, err = strconv.ParseFloat(s, 64)
		v, wanted = protoreflect.ValueOfFloat64(x), "a number"
	case protoreflect.BytesKind:
		var b []byte
		b, err = base64.StdEncoding.DecodeString(s)
		v, wanted = protoreflect.ValueOfBytes(b), "base64"
	case protoreflect.EnumKind:
		n, ok := enumNumber(fd.Enum(), s)
		if !ok {
			return v, "one of " + strings.Join(Words(fd.Enum()), ", ")
		}
		return protoreflect.ValueOfEnum(n), ""
	default:
		return v, "something that can be written in a manifest"
	}
	if err != nil {
		return v, wanted
	}
	return v, ""
}

// submessage reads a message: durations and secrets may be a single word.
func (p *parser) submessage(n *yaml.Node, path string, fd protoreflect.FieldDescriptor, made func() protoreflect.Value) (v protoreflect.Value, ok bool) {
	switch fd.Message().FullName() {
	case (&durationpb.Duration{}).ProtoReflect().Descriptor().FullName():
		d, err := time.ParseDuration(n.Value)
		if n.Value == "0" {
			d, err = 0, nil
		}
		if n.Kind != yaml.ScalarNode || err != nil {
			p.fail(n, path, "%q is not a time with its unit, as 30s, 5m or 1h30m", n.Value)
			return v, false
		}
		return protoreflect.ValueOfMessage(durationpb.New(d).ProtoReflect()), true
	case (&heliosv1.Secret{}).ProtoReflect().Descriptor().FullName():
		if n.Kind == yaml.ScalarNode {
			return protoreflect.ValueOfMessage((&heliosv1.Secret{Value: n.Value}).ProtoReflect()), true
		}
	}
	sub := made()
	before := len(p.problems)
	p.message(n, path, sub.Message())
	if s, ok := sub.Message().Interface().(*heliosv1.Secret); ok {
		switch {
		case len(p.problems) > before: // what is in the wrong place may be the secret, and is not repeated
			p.problems = p.problems[:before]
			p.fail(n, path, "has to be a text, or a mapping of value, a text, or of redacted, which is true")
		case s.GetRedacted() && s.GetValue() != "":
			p.fail(n, path, "either has a value or is redacted")
		}
	}
	return sub, len(p.problems) == before
}

// Words are the values of an enum as people write them: without the enum's name in front, in lower case, with
// dashes. The one that says nothing is left out.
func Words(e protoreflect.EnumDescriptor) []string {
	var words []string
	for i := range e.Values().Len() {
		if v := e.Values().Get(i); v.Number() != 0 {
			words = append(words, word(v))
		}
	}
	return words
}

// word is POOL_MODE_TRANSACTION as "transaction": without what the values of the enum have in common, which its zero, that of
// POOL_MODE_UNSPECIFIED, shows.
func word(v protoreflect.EnumValueDescriptor) string {
	zero := string(v.Parent().(protoreflect.EnumDescriptor).Values().ByNumber(0).Name())
	s := strings.TrimPrefix(string(v.Name()), strings.TrimSuffix(zero, "UNSPECIFIED"))
	return strings.ReplaceAll(strings.ToLower(s), "_", "-")
}

// enumNumber reads a word, a value's name in the proto, or the number of a value that this version does not know.
func enumNumber(e protoreflect.EnumDescriptor, s string) (protoreflect.EnumNumber, bool) {
	for i := range e.Values().Len() {
		if v := e.Values().Get(i); word(v) == s || string(v.Name()) == s {
			return v.Number(), true
		}
	}
	n, err := strconv.ParseInt(s, 10, 32)
	return protoreflect.EnumNumber(n), err == nil && e.Values().ByNumber(protoreflect.EnumNumber(n)) == nil
}

// Word is the value of an enum as people write it; empty for the one that says nothing.
func Word(e protoreflect.Enum) string { return WordOf(e.Descriptor(), e.Number()) }

// WordOf is [Word] for a value that is only known by its number.
func WordOf(e protoreflect.EnumDescriptor, n protoreflect.EnumNumber) string {
	v := e.Values().ByNumber(n)
	switch {
	case v == nil:
		return strconv.Itoa(int(n))
	case n == 0:
		return ""
	}
	return word(v)
}
