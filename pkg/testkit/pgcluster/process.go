package pgcluster

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
)

// A process is a running server: the postmaster, and below it one process a connection.
type process struct {
	pid    int
	exited chan struct{} // closed when the postmaster was reaped
	err    error         // how it ended; read after exited
}

// startProcess starts a server that writes to the file log and that does not outlive us.
//
// The kernel's "parent died" signal goes by thread, not by process. A test that locks goroutines to threads ends threads,
// so the one that started the server is kept, by a goroutine of its own, until the server has ended.
func startProcess(cmd *exec.Cmd, log string) (*process, error) {
	out, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	cmd.Stdout, cmd.Stderr = out, out
	DieWithParent(cmd.SysProcAttr)
	cmd.SysProcAttr.Setpgid = true // Ctrl-C at a terminal is for the test, which then stops us in order
	p := &process{exited: make(chan struct{})}
	started := make(chan error)
	go func() {
		defer out.Close()
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		if err == nil {
			p.pid = cmd.Process.Pid
		}
		started <- err
		if err != nil {
			return
		}
		p.err = cmd.Wait()
		close(p.exited)
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", cmd.Path, err)
	}
	return p, nil
}

// signal sends to the postmaster alone. An error means that it has just ended, which is what every caller waits for.
func (p *process) signal(sig syscall.Signal) { _ = syscall.Kill(p.pid, sig) }

// signalTree sends to the postmaster and its children; to the postmaster first, so that it starts no more of them.
func (p *process) signalTree(sig syscall.Signal) {
	select {
	case <-p.exited:
		return
	default:
	}
	kids := p.children()
	p.signal(sig)
	for _, kid := range append(kids, p.children()...) {
		_ = syscall.Kill(kid, sig)
	}
}

// freeze stops the postmaster and returns when it has stopped, so that whoever lists its children has all of them.
func (p *process) freeze() {
	p.signal(syscall.SIGSTOP)
	_ = poll(stopTimeout, func() (bool, error) { // one that cannot be stopped has ended
		state, _ := stat("/proc/" + strconv.Itoa(p.pid) + "/stat")
		return state == "T" || state == "" || state == "Z", nil
	})
}

// thaw undoes a Pause that a test left.
func (p *process) thaw() { p.signalTree(syscall.SIGCONT) }

// children lists the processes whose parent is the postmaster.
func (p *process) children() []int {
	var kids []int
	stats, _ := filepath.Glob("/proc/[0-9]*/stat") // the only error is a bad pattern
	for _, path := range stats {
		if _, parent := stat(path); parent == strconv.Itoa(p.pid) {
			kids = append(kids, atoi(filepath.Base(filepath.Dir(path))))
		}
	}
	return kids
}

// alive says whether a process has not ended yet. One that nobody has reaped has ended.
func alive(pid int) bool {
	state, _ := stat("/proc/" + strconv.Itoa(pid) + "/stat")
	return state != "" && state != "Z" && state != "X"
}

// stat reads the state of a process and its parent, both empty where it is gone.
func stat(path string) (state, parent string) {
	text, err := os.ReadFile(path)
	if err != nil {
		return "", ""
	}
	rest := string(text[strings.LastIndexByte(string(text), ')')+1:]) // the name before it may hold anything
	fields := strings.Fields(rest)
	if len(fields) < 2 {
		return "", ""
	}
	return fields[0], fields[1]
}
