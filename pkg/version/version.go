// Package version says which build this is. It never looks anything up at run time but what the linker left in the binary.
package version

import (
	"runtime"
	"runtime/debug"
)

// version is set by the linker: -ldflags "-X github.com/heliosproxy/heliosproxy/pkg/version.version=v1.2.3".
var version string

// String is the version: what the linker was told, else the module's version, which is the commit for a
// build from a work tree, else "devel".
func String() string {
	info, _ := debug.ReadBuildInfo()
	return describe(version, info)
}

// Line is one line for people: the program, its version, the Go release and the platform.
func Line() string {
	return "heliosproxy " + String() + " " + runtime.Version() + " " + runtime.GOOS + "/" + runtime.GOARCH
}

func describe(linked string, info *debug.BuildInfo) string {
	switch {
	case linked != "":
		return linked
	case info != nil && info.Main.Version != "" && info.Main.Version != "(devel)":
		return info.Main.Version
	}
	return "devel"
}
