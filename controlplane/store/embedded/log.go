package embedded

import (
	"strings"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// logger is where etcd writes: its errors only, without the one that it makes of a start that goes well.
func logger(to *zap.Logger) *zap.Logger {
	return to.Named("etcd").WithOptions(
		zap.IncreaseLevel(zap.ErrorLevel),
		zap.WrapCore(func(c zapcore.Core) zapcore.Core { return starting{c} }),
	)
}

// starting drops etcd's complaint that its storage has no term yet. etcd looks for the version of its storage when
// the version of the cluster is known, which may be before the first entry of the log is applied, and the term with
// it; it looks again every few seconds (etcdserver/version.Monitor.UpdateStorageVersionIfNeeded).
type starting struct{ zapcore.Core }

func (s starting) With(fields []zap.Field) zapcore.Core { return starting{s.Core.With(fields)} }

func (s starting) Check(e zapcore.Entry, to *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if s.Core.Check(e, nil) == nil {
		return to
	}
	return to.AddCore(e, s)
}

func (s starting) Write(e zapcore.Entry, fields []zap.Field) error {
	if e.Message == "failed to update storage version" {
		for _, f := range fields {
			if err, is := f.Interface.(error); is && strings.Contains(err.Error(), "missing term information") {
				return nil
			}
		}
	}
	return s.Core.Write(e, fields)
}
