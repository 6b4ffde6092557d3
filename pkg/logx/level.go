package logx

import (
	"fmt"
	"slices"
	"strings"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// Level is from where on a logger writes. It may be changed while others log and others change it.
type Level struct {
	at    zap.AtomicLevel
	begun string
}

// Set has the logger, and all that were made of it, write from a level on. An error says what it may be.
func (l *Level) Set(level string) error {
	if !slices.Contains(Levels(), level) {
		return fmt.Errorf("log level %q is not one of %s", level, strings.Join(Levels(), ", "))
	}
	at, err := zapcore.ParseLevel(level)
	if err != nil {
		return fmt.Errorf("log level: %w", err)
	}
	l.at.SetLevel(at)
	return nil
}

// Begin is Set for what the process starts with, before others know the level.
func (l *Level) Begin(level string) error {
	if err := l.Set(level); err != nil {
		return err
	}
	l.begun = level
	return nil
}

// String is the level.
func (l *Level) String() string { return l.at.Level().String() }

// Begun is the level that the process has started with.
func (l *Level) Begun() string { return l.begun }
