// Package systemd speaks with the service manager that has started the process: it takes the sockets that are handed over, and tells it what happens. It never needs a library of systemd's.
package systemd

import (
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"
)

// Manager is the service manager of the process. Where there is none nothing is handed over, and what it is told goes nowhere; nil is such a one.
type Manager struct {
	getenv func(string) string
	pid    int
	clock  func() time.Duration
}

// New is the manager of the process with the number pid, whose environment getenv reads. clock is the kernel's CLOCK_MONOTONIC.
func New(getenv func(string) string, pid int, clock func() time.Duration) *Manager {
	return &Manager{getenv, pid, clock}
}

// firstSocket is the descriptor of the first socket that is handed over: behind standard input, output and error.
const firstSocket = 3

// maxSockets bounds how many sockets are believed to be handed over.
const maxSockets = 1024

// Variables are those of the environment that speak of sockets. They are this process's: its children should not have them.
func Variables() []string { return []string{"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"} }

// Sockets are the descriptors that are handed over, each with the name that FileDescriptorName= gives it, or else its unit's.
func (m *Manager) Sockets() (map[int]string, error) {
	if m == nil || m.getenv("LISTEN_FDS") == "" || m.getenv("LISTEN_PID") != strconv.Itoa(m.pid) {
		return nil, nil // there are none, or they are another process's
	}
	n, err := strconv.Atoi(m.getenv("LISTEN_FDS"))
	if err != nil || n < 0 || n > maxSockets {
		return nil, fmt.Errorf("LISTEN_FDS %q is not a number from 0 to %d", m.getenv("LISTEN_FDS"), maxSockets)
	}
	var names []string
	if s := m.getenv("LISTEN_FDNAMES"); s != "" {
		if names = strings.Split(s, ":"); len(names) != n {
			return nil, fmt.Errorf("LISTEN_FDNAMES has %d names for %d sockets", len(names), n)
		}
	}
	sockets := map[int]string{}
	for i := range n {
		name := ""
		if names != nil {
			name = names[i]
		}
		sockets[firstSocket+i] = name
	}
	return sockets, nil
}

// Ready tells that the service works, after its start and after a reload, and how it is, in a few words that systemctl status shows. The
// process is the service's main one from then on.
func (m *Manager) Ready(status string) error {
	if m == nil {
		return nil
	}
	return m.tell("READY=1", "MAINPID="+strconv.Itoa(m.pid), "STATUS="+line(status))
}

// Reloading tells that the configuration is read again; Ready ends that.
func (m *Manager) Reloading() error {
	if m == nil {
		return nil
	}
	return m.tell("RELOADING=1", fmt.Sprintf("MONOTONIC_USEC=%d", m.clock().Microseconds()))
}

// Stopping tells that the service is about to end, and what it waits for.
func (m *Manager) Stopping(status string) error {
	return m.tell("STOPPING=1", "STATUS="+line(status))
}

// Watchdog is how long the manager waits for a sign of life before it ends the process; 0 is for ever.
func (m *Manager) Watchdog() (time.Duration, error) {
	if m == nil || m.getenv("WATCHDOG_USEC") == "" {
		return 0, nil
	}
	if pid := m.getenv("WATCHDOG_PID"); pid != "" && pid != strconv.Itoa(m.pid) {
		return 0, nil // another process is watched
	}
	n, err := strconv.ParseInt(m.getenv("WATCHDOG_USEC"), 10, 64)
	if err != nil || n <= 0 || n > int64(24*time.Hour/time.Microsecond) {
		return 0, fmt.Errorf("WATCHDOG_USEC %q is not a number of microseconds of at most a day", m.getenv("WATCHDOG_USEC"))
	}
	return time.Duration(n) * time.Microsecond, nil
}

// Alive is a sign of life.
func (m *Manager) Alive() error { return m.tell("WATCHDOG=1") }

// tell sends assignments in one datagram.
func (m *Manager) tell(assignments ...string) error {
	if m == nil {
		return nil
	}
	socket := m.getenv("NOTIFY_SOCKET")
	if socket == "" {
		return nil
	}
	if socket[0] != '/' && socket[0] != '@' { // @ is Linux's abstract namespace
		return fmt.Errorf("NOTIFY_SOCKET %q is no unix socket", socket)
	}
	c, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Net: "unixgram", Name: socket})
	if err != nil {
		return fmt.Errorf("notify systemd: %w", err)
	}
	defer c.Close()
	if err := c.SetWriteDeadline(time.Now().Add(patience)); err != nil {
		return fmt.Errorf("notify systemd: %w", err)
	}
	if _, err := c.Write([]byte(strings.Join(assignments, "\n"))); err != nil {
		return fmt.Errorf("notify systemd: %w", err)
	}
	return nil
}

// patience is how long it is waited for a manager whose queue is full.
const patience = 5 * time.Second

// line is a text without ends of lines, which end an assignment.
func line(s string) string { return strings.ReplaceAll(s, "\n", " ") }
