// Package logx builds the logger that main hands to everybody. It never keeps one: there is no global logger.
package logx

import (
	"fmt"
	"io"
	"strings"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// Levels and Formats are what [New] takes, for help texts.
func Levels() []string  { return []string{"debug", "info", "warn", "error"} }
func Formats() []string { return []string{"console", "json"} }

// New returns a logger that writes one line an entry to w, from level on, in the given format, and its level.
// Writes to w are serialised. An error names the setting and what it may be.
func New(w io.Writer, level, format string) (*zap.Logger, *Level, error) {
	l := &Level{at: zap.NewAtomicLevel()}
	if err := l.Begin(level); err != nil {
		return nil, nil, err
	}
	enc, err := encoder(format)
	if err != nil {
		return nil, nil, err
	}
	return zap.New(zapcore.NewCore(enc, zapcore.Lock(zapcore.AddSync(w)), l.at)), l, nil
}

func encoder(format string) (zapcore.Encoder, error) {
	cfg := zap.NewProductionEncoderConfig()
	cfg.EncodeTime = zapcore.RFC3339NanoTimeEncoder
	cfg.EncodeDuration = zapcore.StringDurationEncoder
	cfg.TimeKey = "time"
	switch format {
	case "console":
		cfg.EncodeTime = zapcore.ISO8601TimeEncoder
		cfg.EncodeLevel = zapcore.CapitalLevelEncoder
		return zapcore.NewConsoleEncoder(cfg), nil
	case "json":
		return zapcore.NewJSONEncoder(cfg), nil
	}
	return nil, fmt.Errorf("log format %q is not one of %s", format, strings.Join(Formats(), ", "))
}
