package desk

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"go.uber.org/zap"

	"github.com/heliosproxy/heliosproxy/dataplane/console"
	"github.com/heliosproxy/heliosproxy/pkg/logx"
	"github.com/heliosproxy/heliosproxy/pkg/pgerr"
)

// The level of the log is the process's and not the configuration's: it stays until it is set again. PgBouncer calls it verbose, and
// has 0 for the usual.
const (
	logLevel = "log_level"
	verbose  = "verbose"
)

// levels is the level as SHOW CONFIG has it.
func (d *Desk) levels() []console.Setting {
	if d.o.LogLevel == nil {
		return nil
	}
	return []console.Setting{{Key: logLevel, Value: d.o.LogLevel.String(), Default: d.o.LogLevel.Begun(), Changeable: true}}
}

// setLevel is SET of it, under one of its names.
func (d *Desk) setLevel(key, value string) error {
	if d.o.LogLevel == nil {
		return pgerr.New(pgerr.ConsoleSetting, key, "the log is another program's")
	}
	level := value
	if key == verbose {
		n, err := strconv.ParseUint(value, 10, 31)
		switch {
		case err != nil:
			return pgerr.New(pgerr.ConsoleSetting, key, fmt.Sprintf("%q is not a number from 0 on", value))
		case n == 0:
			level = d.o.LogLevel.Begun()
		default:
			level = "debug"
		}
	}
	if !slices.Contains(logx.Levels(), level) {
		return pgerr.New(pgerr.ConsoleSetting, key, fmt.Sprintf("%q is not one of %s", level, strings.Join(logx.Levels(), ", ")))
	}
	writes := d.o.Log.Core().Enabled(zap.InfoLevel)
	if writes { // perhaps not any more afterwards
		d.told(fmt.Sprintf("SET %s = %s", key, value), "")
	}
	err := d.o.LogLevel.Set(level)
	if !writes {
		d.told(fmt.Sprintf("SET %s = %s", key, value), "")
	}
	return err
}
