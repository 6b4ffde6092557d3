package assembly

import (
	"context"
	"errors"
	"strings"

	"go.uber.org/zap"

	"github.com/heliosproxy/heliosproxy/dataplane/console"
	"github.com/heliosproxy/heliosproxy/dataplane/report"
	"github.com/heliosproxy/heliosproxy/pkg/pgerr"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// Command implements [report.Source].
func (r reporter) Command(ctx context.Context, text, actor string) *report.Outcome {
	if verb, _, _ := strings.Cut(strings.TrimSpace(text), " "); !strings.EqualFold(verb, "SHOW") {
		r.p.o.Log.Info("the control plane hands a command on", zap.String("command", text), zap.String("actor", actor))
	}
	o, err := console.Do(ctx, r.p.desk, text)
	if err != nil {
		var pe *pgerr.Error
		if !errors.As(err, &pe) {
			pe = pgerr.New(pgerr.ConsoleFailed, err)
		}
		return &report.Outcome{Failure: &heliosv1.CommandFailure{
			Sqlstate: pe.SQLState, Message: valid(pe.Message), Detail: valid(pe.Detail), Hint: valid(pe.Hint),
		}}
	}
	out := &report.Outcome{Tag: o.Tag, Notice: valid(o.Notice), Rows: func(yield func(*heliosv1.Row) bool) {
		for values := range o.Rows {
			row := &heliosv1.Row{Values: append([][]byte{}, values...)}
			for i, v := range values {
				if v == nil {
					row.Nulls = append(row.Nulls, uint32(i))
				}
			}
			if !yield(row) {
				return
			}
		}
	}}
	for _, c := range o.Columns {
		out.Columns = append(out.Columns, &heliosv1.Column{Name: c.Name, Type: c.Type})
	}
	return out
}

// valid is a text as protobuf wants it: names of clients may be any bytes.
func valid(s string) string { return strings.ToValidUTF8(s, "\ufffd") }
