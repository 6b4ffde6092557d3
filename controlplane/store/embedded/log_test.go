package embedded

import (
	"errors"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
)

// TestLogger: of etcd's log comes what is an error, but not that a storage that has just been opened has no term.
func TestLogger(t *testing.T) {
	core, logged := observer.New(zapcore.InfoLevel)
	l := logger(zap.New(core))
	const version = "failed to update storage version"
	l.Warn("slow fdatasync")
	l.Error(version, zap.Error(errors.New("cannot detect storage schema version: missing term information")))
	l.With(zap.Int("member", 1)).Error(version, zap.Error(errors.New("missing term information")))
	if n := logged.Len(); n != 0 {
		t.Errorf("%d lines of a start that goes well: %v", n, logged.All())
	}
	l.Error(version, zap.Error(errors.New("disk full")))
	l.With(zap.Int("member", 1)).Error("failed to save the snapshot")
	if n := logged.Len(); n != 2 {
		t.Errorf("%d of 2 errors: %v", n, logged.All())
	}
}
