package stage

import (
	"bytes"
	"sync"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/heliosproxy/heliosproxy/dataplane/assembly"
)

// Record is a log that can be looked through. Several goroutines may write and read.
type Record struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write implements [zapcore.WriteSyncer].
func (r *Record) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.Write(p)
}

// Sync implements [zapcore.WriteSyncer].
func (*Record) Sync() error { return nil }

// String is all that was written.
func (r *Record) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.String()
}

// Log makes it the log of a proxy, from debug on.
func (r *Record) Log(o *assembly.Options) {
	o.Log = zap.New(zapcore.NewCore(zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig()), r, zap.DebugLevel))
}
