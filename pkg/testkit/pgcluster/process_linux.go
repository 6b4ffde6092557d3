package pgcluster

import "syscall"

// DieWithParent makes the kernel end a server with the thread that has started it.
func DieWithParent(attr *syscall.SysProcAttr) { attr.Pdeathsig = syscall.SIGQUIT }
