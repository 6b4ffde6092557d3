package manifest_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/heliosproxy/heliosproxy/pkg/manifest"
	"github.com/heliosproxy/heliosproxy/pkg/resource"
)

// dice makes choices of bytes, and 0 when there are none left.
type dice []byte

func (d *dice) roll() byte {
	if len(*d) == 0 {
		return 0
	}
	b := (*d)[0]
	*d = (*d)[1:]
	return b
}

// text is a string of up to 15 bytes that is UTF-8, as protos have it.
func (d *dice) text() string {
	n := min(int(d.roll()%16), len(*d))
	s := strings.ToValidUTF8(string((*d)[:n]), "ü")
	*d = (*d)[n:]
	return s
}

func (d *dice) number() uint64 {
	n := uint64(0)
	for range d.roll() % 9 {
		n = n<<8 | uint64(d.roll())
	}
	return n
}

// fill sets fields by chance to values that a manifest can say.
func (d *dice) fill(m protoreflect.Message) {
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		fd := fields.Get(i)
		if d.roll()%4 == 0 {
			continue
		}
		if fd.IsList() { // of strings: no kind has another list
			for range 1 + d.roll()%3 {
				m.Mutable(fd).List().Append(protoreflect.ValueOfString(d.text()))
			}
			continue
		}
		if fd.IsMap() { // of strings, too
			for range 1 + d.roll()%3 {
				m.Mutable(fd).Map().Set(protoreflect.ValueOfString(d.text()).MapKey(), protoreflect.ValueOfString(d.text()))
			}
			continue
		}
		switch fd.Kind() {
		case protoreflect.StringKind:
			m.Set(fd, protoreflect.ValueOfString(d.text()))
		case protoreflect.BoolKind:
			m.Set(fd, protoreflect.ValueOfBool(d.roll()%2 == 0))
		case protoreflect.Uint32Kind:
			m.Set(fd, protoreflect.ValueOfUint32(uint32(d.number())))
		case protoreflect.Uint64Kind:
			m.Set(fd, protoreflect.ValueOfUint64(d.number()))
		case protoreflect.EnumKind:
			m.Set(fd, protoreflect.ValueOfEnum(protoreflect.EnumNumber(int8(d.roll()))))
		case protoreflect.MessageKind:
			d.message(fd, m.Mutable(fd).Message())
		default:
			panic("no values of kind " + fd.Kind().String())
		}
	}
}

func (d *dice) message(fd protoreflect.FieldDescriptor, m protoreflect.Message) {
	set := func(name string, v any) {
		m.Set(m.Descriptor().Fields().ByName(protoreflect.Name(name)), protoreflect.ValueOf(v))
	}
	switch fd.Message().Name() {
	case "Duration":
		sign := int64(1) - 2*int64(d.roll()%2)
		set("seconds", sign*int64(d.number()%1e9))
		set("nanos", int32(sign)*int32(d.number()%1e9))
	case "Secret":
		if d.roll()%2 == 0 {
			set("redacted", true)
		} else {
			set("value", d.text())
		}
	default:
		d.fill(m)
	}
}

// resourceOf is any resource, with a name, as everything that is stored has one.
func resourceOf(data []byte) (resource.Kind, resource.Message) {
	d := dice(data)
	types := resource.Types()
	t := types[int(d.roll())%len(types)]
	m := t.New()
	d.fill(m.ProtoReflect())
	if m.GetName() == "" {
		r := m.ProtoReflect()
		r.Set(r.Descriptor().Fields().ByName("name"), protoreflect.ValueOfString("x"))
	}
	return t.Kind, m
}

// lossOf states the law: what is written is read as the same.
func lossOf(kind resource.Kind, m resource.Message, write func(*yaml.Node) []byte) string {
	text := write(manifest.Node(kind, m, 3))
	docs, err := manifest.Parse("f", text)
	if err != nil {
		return fmt.Sprintf("%v\nof\n%s", err, text)
	}
	if len(docs) != 1 || docs[0].Kind != kind || *docs[0].Revision != 3 || !proto.Equal(docs[0].Message, m) {
		return fmt.Sprintf("%v\nbecame\n%v\nby\n%s", m, docs, text)
	}
	return ""
}

func asYAML(n *yaml.Node) []byte {
	text, err := manifest.YAML(n)
	if err != nil {
		return []byte(err.Error())
	}
	return text
}

func asJSON(n *yaml.Node) []byte { return manifest.JSON(n) }

// unquoted is a writer with a fault: it leaves quotes out.
func unquoted(n *yaml.Node) []byte {
	var clear func(n *yaml.Node)
	clear = func(n *yaml.Node) {
		n.Tag, n.Style = "", 0
		for _, c := range n.Content {
			clear(c)
		}
	}
	clear(n)
	return asYAML(n)
}

// seeds are texts that YAML takes for something else if it is let.
func seeds() [][]byte {
	var all [][]byte
	for _, s := range []string{"null", "~", "true", "0x1F", "1e3", "2001-01-01", "yes", "- a", "a: b", "#", "|", "\n", " x ", "\t", "\x00", "\u0085", "\ufeff", "'", "\"", "&a", "*", "<<", "---", "..."} {
		for kind := range byte(7) {
			one := append([]byte{1, byte(len(s))}, s...)
			all = append(all, bytes.Join([][]byte{{kind}, one, one, one, one}, nil))
		}
		// A user whose secret and password it is.
		one := append([]byte{1, 1, byte(len(s))}, s...)
		all = append(all, bytes.Join([][]byte{{5, 1, 1, 'u'}, one, {0}, one}, nil))
	}
	return all
}

// FuzzRoundTrip writes resources and reads the same again.
func FuzzRoundTrip(f *testing.F) {
	for _, s := range seeds() {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		kind, m := resourceOf(data)
		for _, write := range []func(*yaml.Node) []byte{asYAML, asJSON} {
			if loss := lossOf(kind, m, write); loss != "" {
				t.Error(loss)
			}
		}
	})
}

func TestRoundTripFinds(t *testing.T) {
	for _, s := range seeds() {
		if kind, m := resourceOf(s); lossOf(kind, m, unquoted) != "" {
			return
		}
	}
	t.Error("a writer without quotes is not found")
}

// unstable states what must hold of any text that is read: what it says can be written and read as the same.
func unstable(text []byte, write func(*yaml.Node) []byte) string {
	docs, err := manifest.Parse("f", text)
	if err != nil {
		if err.Error() == "" {
			return "an error without words"
		}
		return ""
	}
	for _, d := range docs {
		if loss := lossOf(d.Kind, d.Message, write); loss != "" {
			return loss
		}
	}
	return ""
}

// FuzzParse reads any text.
func FuzzParse(f *testing.F) {
	f.Add([]byte(pool))
	f.Add([]byte(tricky))
	f.Add([]byte("&a {kind: List, items: [*a, {kind: User, spec: {secret: *a}}]}"))
	f.Add([]byte("apiVersion: helios/v1\nkind: User\nmetadata: {name: x}\nspec:\n  secret: |+\n    a\n\n  serverUser: \"\\u0085\\0\"\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		if fault := unstable(text, asYAML); fault != "" {
			t.Error(fault)
		}
	})
}

const tricky = "apiVersion: helios/v1\nkind: Database\nmetadata: {name: 'null'}\nspec: {cluster: \"~\", serverName: ''}\n"

func TestParseFinds(t *testing.T) {
	if unstable([]byte(tricky), asYAML) != "" || unstable([]byte(tricky), unquoted) == "" {
		t.Error("a writer without quotes is not found")
	}
}
