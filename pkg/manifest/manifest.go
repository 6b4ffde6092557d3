// Package manifest is resources as people write them: YAML or JSON with apiVersion, kind, metadata and spec. It never decides whether a resource is valid, only whether it says something.
package manifest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/heliosproxy/heliosproxy/pkg/resource"
)

// APIVersion is that of all kinds.
const APIVersion = "helios/v1"

// Document is a resource, and where it was written.
type Document struct {
	Kind     resource.Kind
	Message  resource.Message
	Revision *uint64 // the revision that it was read at; nil if it does not say
	File     string
	Line     int
}

// Problem is something in a file that means nothing.
type Problem struct {
	File   string
	Line   int
	Path   string // "spec.maxConnections"; empty if it is the document
	Reason string // a clause without capital and full stop
}

// String is `pool.yaml:7: spec.mode: "transactoin" is not one of session, transaction`.
func (p Problem) String() string {
	if p.Path == "" {
		return fmt.Sprintf("%s:%d: %s", p.File, p.Line, p.Reason)
	}
	return fmt.Sprintf("%s:%d: %s: %s", p.File, p.Line, p.Path, p.Reason)
}

// InvalidError is everything in a file that means nothing.
type InvalidError struct{ Problems []Problem }

// Error is a line a problem.
func (e *InvalidError) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

// Parse reads the documents of a file, whose name is for problems. A document may also be a List of others. Its
// error is an [*InvalidError].
func Parse(file string, data []byte) ([]Document, error) {
	p := &parser{file: file}
	if docs, ok := fromJSON(data); ok {
		for _, n := range docs {
			p.document(n, true)
		}
		return p.result()
	}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	for {
		var doc yaml.Node
		err := dec.Decode(&doc)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			line, reason := syntax(err)
			p.problems = append(p.problems, Problem{File: file, Line: line, Reason: reason})
			break
		}
		if len(doc.Content) > 0 && !isNull(doc.Content[0]) {
			p.document(doc.Content[0], true)
		}
	}
	return p.result()
}

// syntax takes the line out of an error of the YAML library, and a word that may be a password which begins with
// a star.
func syntax(err error) (line int, reason string) {
	s := strings.TrimPrefix(err.Error(), "yaml: ")
	if strings.HasPrefix(s, "unknown anchor") {
		s = "a word begins with * and so stands for an anchor, which is not there; a text that begins with * has to be in quotes"
	}
	if n, _ := fmt.Sscanf(s, "line %d:", &line); n == 1 {
		_, s, _ = strings.Cut(s, ": ")
		return line, s
	}
	return 1, s
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.Tag == "!!null" }

// meant is what an alias stands for, or the node itself.
func meant(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}

// parser collects documents and problems.
type parser struct {
	file      string
	documents []Document
	problems  []Problem
}

func (p *parser) result() ([]Document, error) {
	if len(p.problems) > 0 {
		return nil, &InvalidError{p.problems}
	}
	return p.documents, nil
}

func (p *parser) fail(n *yaml.Node, path, format string, args ...any) {
	p.problems = append(p.problems, Problem{p.file, n.Line, path, fmt.Sprintf(format, args...)})
}

// fields returns the values of a mapping by name, or says what is wrong with it.
func (p *parser) fields(n *yaml.Node, path string) ([][2]*yaml.Node, bool) {
	n = meant(n)
	if n.Kind != yaml.MappingNode {
		p.fail(n, path, "has to be a mapping")
		return nil, false
	}
	var all [][2]*yaml.Node
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k := n.Content[i]
		if seen[k.Value] {
			p.fail(k, join(path, k.Value), "is there twice")
			continue
		}
		seen[k.Value] = true
		all = append(all, [2]*yaml.Node{k, meant(n.Content[i+1])})
	}
	return all, true
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

// document reads one document. A List holds no further one: through an alias it could hold itself.
func (p *parser) document(n *yaml.Node, list bool) {
	fields, ok := p.fields(n, "")
	if !ok {
		return
	}
	var version, kind, metadata, spec, items *yaml.Node
	for _, f := range fields {
		switch f[0].Value {
		case "apiVersion":
			version = f[1]
		case "kind":
			kind = f[1]
		case "metadata":
			metadata = f[1]
		case "spec":
			spec = f[1]
		case "items":
			items = f[1]
		default:
			p.fail(f[0], f[0].Value, "unknown field%s", nearest(f[0].Value, []string{"apiVersion", "kind", "metadata", "spec"}))
		}
	}
	switch {
	case kind == nil:
		p.fail(n, "kind", "missing")
		return
	case kind.Value == "List" && list:
		if items == nil || items.Kind != yaml.SequenceNode {
			p.fail(n, "items", "a List has to have a list of resources")
			return
		}
		for _, it := range items.Content {
			p.document(it, false)
		}
		return
	case items != nil:
		p.fail(items, "items", "only a List at the top of a document has items")
		return
	}
	if version == nil {
		p.fail(n, "apiVersion", "missing; it is %s", APIVersion)
	} else if version.Value != APIVersion {
		p.fail(version, "apiVersion", "%q is not %s", version.Value, APIVersion)
	}
	t, ok := resource.TypeOf(kind.Value)
	if !ok {
		var known []string
		for _, t := range resource.Types() {
			known = append(known, string(t.Kind))
		}
		p.fail(kind, "kind", "%q is no kind%s", kind.Value, nearest(kind.Value, known))
		return
	}
	d := Document{Kind: t.Kind, Message: t.New(), File: p.file, Line: n.Line}
	name := p.metadata(n, metadata, &d)
	if spec != nil && !isNull(spec) {
		p.message(spec, "spec", d.Message.ProtoReflect())
	}
	setName(d.Message, name)
	p.documents = append(p.documents, d)
}

// metadata reads name and revision.
func (p *parser) metadata(doc, n *yaml.Node, d *Document) (name string) {
	if n == nil {
		p.fail(doc, "metadata.name", "missing")
		return ""
	}
	fields, ok := p.fields(n, "metadata")
	if !ok {
		return ""
	}
	for _, f := range fields {
		switch path := join("metadata", f[0].Value); f[0].Value {
		case "name":
			if f[1].Kind != yaml.ScalarNode || isNull(f[1]) {
				p.fail(f[1], path, "has to be a word")
				continue
			}
			name = f[1].Value
		case "revision":
			var r uint64
			if err := f[1].Decode(&r); err != nil {
				p.fail(f[1], path, "has to be a number")
				continue
			}
			d.Revision = &r
		default:
			p.fail(f[0], path, "unknown field%s", nearest(f[0].Value, []string{"name", "revision"}))
		}
	}
	if name == "" {
		p.fail(n, "metadata.name", "missing")
	}
	return name
}

// nearest names the known word that is closest to one that is not.
func nearest(word string, known []string) string {
	best, at := "", len(word)/2+2
	for _, k := range known {
		if d := distance(strings.ToLower(word), strings.ToLower(k)); d < at {
			best, at = k, d
		}
	}
	if best == "" {
		return "; known are " + strings.Join(known, ", ")
	}
	return "; the nearest known one is " + best
}

// distance is how many letters have to be changed, added or left out (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		left := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := left
			if a[i] != b[j] {
				cost++
			}
			left = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
