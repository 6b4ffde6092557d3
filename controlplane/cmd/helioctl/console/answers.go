package console

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/heliosproxy/heliosproxy/controlplane/cmd/helioctl/exit"
	"github.com/heliosproxy/heliosproxy/controlplane/cmd/helioctl/output"
	"github.com/heliosproxy/heliosproxy/controlplane/cmd/helioctl/table"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// Answers are what proxies say to a command, by their names.
type Answers struct {
	proxies []*proxy
	begun   bool // proxies were asked
}

// proxy is what one says.
type proxy struct {
	node    string
	columns []*heliosv1.Column
	rows    []*heliosv1.Row
	tag     string // it has done it
	fault   string // it has not, or nobody knows
	hint    string
	code    int // the exit code that the fault leads to
}

// run hands a command to proxies and gathers what they say, also where that ends early.
func run(ctx context.Context, client heliosv1.AdminServiceClient, t Target, text string, patience time.Duration) (*Answers, error) {
	stream, err := client.RunCommand(ctx, &heliosv1.RunCommandRequest{Text: text, Nodes: t.nodes, Group: t.group, Patience: durationpb.New(patience)})
	if err != nil {
		return &Answers{}, err
	}
	header, _ := stream.Header() // what is wrong Recv says
	all := &Answers{begun: header != nil}
	defer func() { slices.SortFunc(all.proxies, func(a, b *proxy) int { return strings.Compare(a.node, b.node) }) }()
	byNode := map[string]*proxy{}
	for {
		m, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return all, err
		}
		p := byNode[m.GetNodeId()]
		if p == nil {
			p = &proxy{node: m.GetNodeId()}
			byNode[p.node] = p
			all.proxies = append(all.proxies, p)
		}
		p.take(m)
	}
}

// take takes in a part.
func (p *proxy) take(m *heliosv1.RunCommandResponse) {
	a := m.GetAnswer()
	if a.GetColumns() != nil {
		p.columns = a.GetColumns()
	}
	p.rows = append(p.rows, a.GetRows()...)
	switch f := a.GetFailure(); {
	case m.GetUnasked() != "":
		p.fault, p.code, p.tag = m.GetUnasked(), exit.CodeUnreachable, ""
		if m.GetUnknown() {
			p.code = exit.CodeUnknown
		}
	case f != nil:
		p.fault, p.hint, p.code = fmt.Sprintf("%s (SQLSTATE %s)", f.GetMessage(), f.GetSqlstate()), f.GetHint(), exit.CodeRefused
	case a.GetLast():
		p.tag = a.GetTag()
	}
}

// exit is the exit code of the worst that a proxy has said, and nil if all is well.
func (a *Answers) exit() error {
	worst := 0
	for _, p := range a.proxies {
		worst = max(worst, p.code)
	}
	if worst == 0 {
		return nil
	}
	return exit.Silently(worst)
}

// Exit is the exit code of the worst that a proxy has said to a command that changes nothing.
func (a *Answers) Exit() error {
	for _, p := range a.proxies {
		if p.code == exit.CodeUnknown {
			p.code = exit.CodeUnreachable
		}
	}
	return a.exit()
}

// PrintErrors says which proxies have failed, and why.
func (a *Answers) PrintErrors(w io.Writer) error {
	for _, p := range a.proxies {
		if p.fault == "" {
			continue
		}
		said := fmt.Sprintf("helioctl: proxy %q: %s", p.node, table.Plain(p.fault))
		if p.code != exit.CodeRefused {
			said = "helioctl: " + table.Plain(p.fault) // which names the proxy
		}
		if p.hint != "" {
			said += "\n  " + table.Plain(p.hint)
		}
		if _, err := fmt.Fprintln(w, said); err != nil {
			return err
		}
	}
	return nil
}

// Errors are the faults for programs.
func (a *Answers) Errors() []any {
	all := []any{}
	for _, p := range a.proxies {
		if p.fault != "" {
			all = append(all, output.Object("proxy", p.node, "error", p.fault))
		}
	}
	return all
}

// value is column i of a row as text, or ok false where it is NULL.
func value(r *heliosv1.Row, i int) (text string, ok bool) {
	if i >= len(r.GetValues()) || slices.Contains(r.GetNulls(), uint32(i)) {
		return "", false
	}
	return string(r.GetValues()[i]), true
}

// Each yields the rows of all proxies, each value by its column's name; NULL is left out.
func (a *Answers) Each(yield func(proxy string, row map[string]string) error) error {
	for _, p := range a.proxies {
		for _, r := range p.rows {
			row := map[string]string{}
			for i, c := range p.columns {
				if v, ok := value(r, i); ok {
					row[c.GetName()] = v
				}
			}
			if err := yield(p.node, row); err != nil {
				return err
			}
		}
	}
	return nil
}

// Several says that a table has to name the proxies.
func (a *Answers) Several() bool { return len(a.proxies) > 1 }

// Objects are the rows for programs: numbers are numbers.
func (a *Answers) Objects() []any {
	all := []any{}
	for _, p := range a.proxies {
		for _, r := range p.rows {
			o := output.Ordered{"proxy", p.node}
			for i, c := range p.columns {
				var v any
				if text, ok := value(r, i); ok {
					v = strings.ToValidUTF8(text, "\ufffd")
					switch c.GetType() {
					case 20, 23, 1700:
						v = json.Number(text)
					}
				}
				o = append(o, c.GetName(), v)
			}
			all = append(all, o)
		}
	}
	return all
}
