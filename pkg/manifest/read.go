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

// nameField is the field that is written as metadata.name.
const nameField = "name"

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
	for _, f := range fields {
		at := join(path, f[0].Value)
		fd := field(m.Descriptor(), f[0].Value)
		switch {
		case fd == nil || path == "spec" && fd.Name() == nameField:
			p.fail(f[0], at, "unknown field%s", nearest(f[0].Value, fieldNames(m.Descriptor(), path == "spec")))
		case isNull(f[1]): // as if it was not there
		case m.Has(fd):
			p.fail(f[0], at, "is there twice")
		default:
			p.value(f[1], at, m, fd)
		}
	}
}

// field finds a field by its name in YAML or in the proto.
func field(d protoreflect.MessageDescriptor, name string) protoreflect.FieldDescriptor {
	if fd := d.Fields().ByJSONName(name); fd != nil {
		return fd
	}
	return d.Fields().ByName(protoreflect.Name(name))
}

// fieldNames are the names in YAML.
func fieldNames(d protoreflect.MessageDescriptor, top bool) []string {
	var names []string
	for i := range d.Fields().Len() {
		if fd := d.Fields().Get(i); !top || fd.Name() != nameField {
			names = append(names, fd.JSONName())
		}
	}
	return names
}

// value reads a value into a field of m.
func (p *parser) value(n *yaml.Node, path string, m protoreflect.Message, fd protoreflect.FieldDescriptor) {
	if !fd.IsList() {
		if v, ok := p.single(n, path, m, fd); ok {
			m.Set(fd, v)
		}
		return
	}
	if n.Kind != yaml.SequenceNode {
		p.fail(n, path, "has to be a list")
		return
	}
	list := m.Mutable(fd).List()
	for i, e := range n.Content {
		if v, ok := p.single(e, fmt.Sprintf("%s[%d]", path, i), m, fd); ok {
			list.Append(v)
		}
	}
}

// single reads one value of a field's type.
func (p *parser) single(n *yaml.Node, path string, m protoreflect.Message, fd protoreflect.FieldDescriptor) (v protoreflect.Value, ok bool) {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if fd.Message() != nil {
		return p.submessage(n, path, m, fd)
	}
	if n.Kind != yaml.ScalarNode {
		p.fail(n, path, "has to be a single value")
		return v, false
	}
	wrong := func(what string) (protoreflect.Value, bool) {
		p.fail(n, path, "%q is not %s", n.Value, what)
		return protoreflect.Value{}, false
	}
	switch fd.Kind() {
	case protoreflect.StringKind:
		return protoreflect.ValueOfString(n.Value), true
	case protoreflect.BoolKind:
		b, err := strconv.ParseBool(n.Value)
		if err != nil {
			return wrong("true or false")
		}
		return protoreflect.ValueOfBool(b), true
	case protoreflect.Uint32Kind:
		u, err := strconv.ParseUint(n.Value, 0, 32)
		if err != nil {
			return wrong("a whole number from 0 to 4294967295")
		}
		return protoreflect.ValueOfUint32(uint32(u)), true
	case protoreflect.Uint64Kind:
		u, err := strconv.ParseUint(n.Value, 0, 64)
		if err != nil {
			return wrong("a whole number from 0 on")
		}
		return protoreflect.ValueOfUint64(u), true
	case protoreflect.Int64Kind:
		i, err := strconv.ParseInt(n.Value, 0, 64)
		if err != nil {
			return wrong("a whole number")
		}
		return protoreflect.ValueOfInt64(i), true
	case protoreflect.DoubleKind:
		x, err := strconv.ParseFloat(n.Value, 64)
		if err != nil {
			return wrong("a number")
		}
		return protoreflect.ValueOfFloat64(x), true
	case protoreflect.BytesKind:
		b, err := base64.StdEncoding.DecodeString(n.Value)
		if err != nil {
			return wrong("base64")
		}
		return protoreflect.ValueOfBytes(b), true
	case protoreflect.EnumKind:
		if e := enumValue(fd.Enum(), n.Value); e != nil {
			return protoreflect.ValueOfEnum(e.Number()), true
		}
		return wrong("one of " + strings.Join(Words(fd.Enum()), ", "))
	}
	p.fail(n, path, "cannot be written in a manifest")
	return v, false
}

// submessage reads a message: durations and secrets may be a single word.
func (p *parser) submessage(n *yaml.Node, path string, m protoreflect.Message, fd protoreflect.FieldDescriptor) (v protoreflect.Value, ok bool) {
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
	sub := m.NewField(fd)
	if fd.IsList() {
		sub = m.NewField(fd).List().NewElement()
	}
	before := len(p.problems)
	p.message(n, path, sub.Message())
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

// word is POOL_MODE_TRANSACTION as "transaction".
func word(v protoreflect.EnumValueDescriptor) string {
	e := v.Parent().(protoreflect.EnumDescriptor)
	var prefix strings.Builder
	for i, r := range string(e.Name()) {
		if i > 0 && r >= 'A' && r <= 'Z' {
			prefix.WriteByte('_')
		}
		prefix.WriteRune(r)
	}
	s := strings.TrimPrefix(string(v.Name()), strings.ToUpper(prefix.String())+"_")
	return strings.ReplaceAll(strings.ToLower(s), "_", "-")
}

func enumValue(e protoreflect.EnumDescriptor, s string) protoreflect.EnumValueDescriptor {
	for i := range e.Values().Len() {
		v := e.Values().Get(i)
		if v.Number() != 0 && word(v) == s || string(v.Name()) == s {
			return v
		}
	}
	return nil
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
