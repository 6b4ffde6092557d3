package manifest

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// deepest is how deep JSON may be nested; no resource comes near.
const deepest = 100

// fromJSON reads JSON documents, one after the other, into the nodes that the same in YAML would be. YAML is not
// quite a superset: it knows no surrogate pairs, and takes U+0085 for the end of a line. What is not JSON may be
// YAML still.
func fromJSON(data []byte) (docs []*yaml.Node, ok bool) {
	if !utf8.Valid(data) || !bytes.HasPrefix(bytes.TrimLeft(data, " \t\r\n"), []byte("{")) {
		return nil, false
	}
	r := &jsonReader{data: data, dec: json.NewDecoder(bytes.NewReader(data)), line: 1}
	r.dec.UseNumber()
	for {
		n, err := r.node(0)
		if errors.Is(err, io.EOF) {
			return docs, true
		}
		if err != nil {
			return nil, false
		}
		docs = append(docs, n)
	}
}

// jsonReader counts lines, which tokens do not know.
type jsonReader struct {
	data       []byte
	dec        *json.Decoder
	line, seen int // the line of the byte at seen
}

var errTooDeep = errors.New("nested too deep")

// node reads one value.
func (r *jsonReader) node(depth int) (*yaml.Node, error) {
	if depth > deepest {
		return nil, errTooDeep
	}
	t, err := r.dec.Token()
	if err != nil {
		return nil, err
	}
	at := int(r.dec.InputOffset())
	r.line += bytes.Count(r.data[r.seen:at], []byte("\n"))
	r.seen = at
	n := &yaml.Node{Kind: yaml.ScalarNode, Line: r.line}
	switch t := t.(type) {
	case json.Delim:
		n.Kind = yaml.SequenceNode
		if t == '{' {
			n.Kind = yaml.MappingNode
		}
		return n, r.content(n, depth)
	case string:
		n.Tag, n.Value = "!!str", t
	case json.Number:
		n.Tag, n.Value = "!!int", t.String()
	case bool:
		n.Tag, n.Value = "!!bool", "false"
		if t {
			n.Value = "true"
		}
	default:
		n.Tag = "!!null"
	}
	return n, nil
}

// content reads what is between brackets; in a mapping, names and values in turn.
func (r *jsonReader) content(n *yaml.Node, depth int) error {
	for r.dec.More() {
		c, err := r.node(depth + 1)
		if err != nil {
			return unexpected(err)
		}
		n.Content = append(n.Content, c)
	}
	_, err := r.dec.Token()
	return unexpected(err)
}

// unexpected makes an end within a value an error of its own.
func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
