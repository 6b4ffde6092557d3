// Package logx builds the logger that main hands to everybody. It never keeps one: there is no global logger.
package logx

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// Levels and Formats are what [New] takes, for help texts.
func Levels() []string  { return []string{"debug", "info", "warn", "error"} }
func Formats() []string { return []string{"console", "json"} }

// New returns a logger that writes one line an entry to w, from level on, in the given format.
// Writes to w are serialised. An error names the setting and what it may be.
func New(w io.Writer, level, format string) (*zap.Logger, error) {
	if !slices.Contains(Levels(), level) {
		return nil, fmt.Errorf("log level %q is not one of %s", level, strings.Join(Levels(), ", "))
	}
	at, err := zapcore.ParseLevel(level)
	if err != nil {
		return nil, fmt.Errorf("log level: %w", err)
	}
	enc, err := encoder(format)
	if err != nil {
		return nil, err
	}
	return zap.New(zapcore.NewCore(enc, zapcore.Lock(zapcore.AddSync(w)), at)), nil
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
