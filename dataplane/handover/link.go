package handover

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"syscall"

	"google.golang.org/protobuf/proto"
)

// maxMessage bounds a message: a session may have prepared statements of many megabytes.
const maxMessage = 256 << 20

// errCut is the end of a link in mid-message.
var errCut = errors.New("the other process has gone away in the middle of a message")

// link is one end of the socket: messages, each behind its length, and descriptors that come with them.
type link struct {
	c *net.UnixConn

	writing sync.Mutex
	frame   []byte

	in  []byte // received, not read yet
	fds []int
	oob []byte
}

func newLink(c *net.UnixConn) *link { return &link{c: c, oob: make([]byte, syscall.CmsgSpace(253*4))} }

// write sends a message and descriptors, which stay the sender's too. Any goroutine may call it.
func (l *link) write(m proto.Message, fds ...int) error {
	l.writing.Lock()
	defer l.writing.Unlock()
	frame, err := proto.MarshalOptions{}.MarshalAppend(append(l.frame[:0], 0, 0, 0, 0), m)
	if err != nil {
		return fmt.Errorf("message to the other process: %w", err)
	}
	l.frame = frame[:0]
	binary.BigEndian.PutUint32(frame, uint32(len(frame)-4))
	if len(fds) > 0 {
		n, _, err := l.c.WriteMsgUnix(frame, syscall.UnixRights(fds...), nil)
		if err != nil {
			return err
		}
		frame = frame[n:]
	}
	_, err = l.c.Write(frame)
	return err
}

// read receives a message. The descriptors that came with it, and with any before that nobody has taken, are given by take.
func (l *link) read(m proto.Message) error {
	head, err := l.next(4)
	if err != nil {
		return err
	}
	n := binary.BigEndian.Uint32(head)
	if n > maxMessage {
		return fmt.Errorf("the other process announces a message of %d bytes", n)
	}
	body, err := l.next(int(n))
	if err != nil {
		return errors.Join(errCut, err)
	}
	return proto.Unmarshal(body, m)
}

// next returns the next n bytes, which live until it is called again.
func (l *link) next(n int) ([]byte, error) {
	for len(l.in) < n {
		buf := make([]byte, max(64<<10, n-len(l.in)))
		got, oobn, flags, _, err := l.c.ReadMsgUnix(buf, l.oob)
		if err == nil && got == 0 {
			err = io.EOF
		}
		if err == nil && flags&syscall.MSG_CTRUNC != 0 {
			err = errors.New("more descriptors than can be taken: raise the limit of open files")
		}
		if err != nil {
			if len(l.in) > 0 {
				err = errors.Join(errCut, err)
			}
			return nil, err
		}
		if oobn > 0 {
			if err := l.keep(l.oob[:oobn]); err != nil {
				return nil, err
			}
		}
		l.in = append(l.in, buf[:got]...)
	}
	p := l.in[:n:n]
	l.in = l.in[n:]
	return p, nil
}

// keep takes descriptors out of control messages.
func (l *link) keep(oob []byte) error {
	messages, err := syscall.ParseSocketControlMessage(oob)
	if err != nil {
		return fmt.Errorf("descriptors from the other process: %w", err)
	}
	for i := range messages {
		fds, err := syscall.ParseUnixRights(&messages[i])
		if err != nil {
			return fmt.Errorf("descriptors from the other process: %w", err)
		}
		for _, fd := range fds {
			syscall.CloseOnExec(fd)
		}
		l.fds = append(l.fds, fds...)
	}
	return nil
}

// take returns the next n descriptors.
func (l *link) take(n int) ([]int, error) {
	if len(l.fds) < n {
		return nil, fmt.Errorf("%d descriptors came, and %d were announced", len(l.fds), n)
	}
	fds := l.fds[:n:n]
	l.fds = l.fds[n:]
	return fds, nil
}

// close ends the link and drops descriptors that nobody has taken.
func (l *link) close() {
	_ = l.c.Close()
	for _, fd := range l.fds {
		_ = syscall.Close(fd)
	}
	l.fds = nil
}
