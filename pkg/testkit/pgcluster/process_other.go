//go:build !linux

package pgcluster

import "syscall"

// DieWithParent does nothing where the kernel has no such signal: a server outlives a test that is killed.
func DieWithParent(*syscall.SysProcAttr) {}
