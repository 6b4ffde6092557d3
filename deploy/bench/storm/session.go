package storm

import (
	"bufio"
	"crypto/rand"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/heliosproxy/heliosproxy/pkg/pgwire"
	"github.com/heliosproxy/heliosproxy/pkg/scram"
)

// Target is where to log in, and as whom.
type Target struct {
	Address, User, Database, Password string
	TLS                               bool

	wrong bool // prove nothing

	made sync.Map // salt and iterations to *keys
}

type keys struct {
	server scram.Keys
	client scram.ClientKey
}

// refused is an ErrorResponse.
type refused struct{ state, words string }

func (e *refused) Error() string { return e.state + ": " + e.words }

// kind is what a log-in is counted as that went wrong.
func kind(err error) string {
	var r *refused
	var n net.Error
	switch {
	case errors.As(err, &r):
		return r.state
	case errors.As(err, &n) && n.Timeout():
		return "timeout"
	}
	return "broken"
}

// once logs in and says good-bye.
func (t *Target) once(until time.Time) error {
	c, err := t.login(until)
	if err != nil {
		return err
	}
	_, err = c.Write([]byte{'X', 0, 0, 0, 4})
	return errors.Join(err, c.Close())
}

// login returns a session that is ready for a query.
func (t *Target) login(until time.Time) (c net.Conn, err error) {
	d := net.Dialer{Deadline: until}
	if c, err = d.Dial("tcp", t.Address); err != nil {
		return nil, err
	}
	raw := c
	defer func() {
		if err != nil {
			raw.Close()
		}
	}()
	c.SetDeadline(until)
	if t.TLS {
		if c, err = t.secure(c); err != nil {
			return nil, err
		}
	}
	if _, err = c.Write(startup(t.User, t.Database)); err != nil {
		return nil, err
	}
	return c, t.prove(c)
}

func (t *Target) secure(c net.Conn) (net.Conn, error) {
	if _, err := c.Write([]byte{0, 0, 0, 8, 4, 210, 22, 47}); err != nil {
		return nil, err
	}
	var answer [1]byte
	if _, err := io.ReadFull(c, answer[:]); err != nil {
		return nil, err
	}
	switch answer[0] {
	case 'S':
		// What libpq offers with the OpenSSL of most clients, which has no post-quantum groups.
		s := tls.Client(c, &tls.Config{InsecureSkipVerify: true, CurvePreferences: []tls.CurveID{tls.X25519}})
		return s, s.Handshake()
	case 'E':
		body, err := rest(c)
		if err != nil {
			return nil, err
		}
		return nil, refusal(body)
	}
	return nil, fmt.Errorf("the answer to an SSLRequest is %q", answer)
}

func startup(user, database string) []byte {
	p := []byte{0, 0, 0, 0, 0, 3, 0, 0}
	for _, s := range []string{"user", user, "database", database, "application_name", "logins", ""} {
		p = append(append(p, s...), 0)
	}
	binary.BigEndian.PutUint32(p, uint32(len(p)))
	return p
}

// prove answers what it is asked until it may begin.
func (t *Target) prove(c net.Conn) error {
	in := bufio.NewReader(c)
	var client *scram.Client
	for {
		kind, err := in.ReadByte()
		if err != nil {
			return err
		}
		body, err := rest(in)
		if err != nil {
			return err
		}
		var answer []byte
		switch {
		case kind == 'E':
			return refusal(body)
		case kind == 'Z':
			return nil
		case kind == 'R' && len(body) >= 4:
			if answer, err = t.answer(&client, binary.BigEndian.Uint32(body), body[4:]); err != nil {
				return err
			}
		}
		if answer == nil {
			continue
		}
		if _, err := c.Write(append(binary.BigEndian.AppendUint32([]byte{'p'}, uint32(len(answer)+4)), answer...)); err != nil {
			return err
		}
	}
}

func (t *Target) answer(client **scram.Client, code uint32, data []byte) (answer []byte, err error) {
	switch code {
	case pgwire.AuthSASL:
		if *client, err = scram.NewClient(rand.Reader); err != nil {
			return nil, err
		}
		first := (*client).First()
		answer = append([]byte(scram.Mechanism), 0)
		return append(binary.BigEndian.AppendUint32(answer, uint32(len(first))), first...), nil
	case pgwire.AuthSASLContinue:
		salt, n, err := (*client).Salt(data)
		if err != nil {
			return nil, err
		}
		if t.wrong {
			return (*client).Final(scram.ClientKey{}, scram.Key{}), nil
		}
		k := t.keys(salt, n)
		return (*client).Final(k.client, k.server.ServerKey), nil
	case pgwire.AuthSASLFinal:
		return nil, (*client).Verify(data)
	case pgwire.AuthOK:
		return nil, nil
	}
	return nil, fmt.Errorf("authentication method %d is not known here", code)
}

// keys returns those of the password, made once for a salt.
func (t *Target) keys(salt []byte, n int) *keys {
	id := fmt.Sprint(string(salt), n)
	if k, ok := t.made.Load(id); ok {
		return k.(*keys)
	}
	server, client := scram.Derive(t.Password, salt, n)
	k, _ := t.made.LoadOrStore(id, &keys{server, client})
	return k.(*keys)
}

// rest reads a message behind its type.
func rest(in io.Reader) ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(in, head[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(head[:])
	if n < 4 || n > 1<<20 {
		return nil, fmt.Errorf("a message of %d bytes", n)
	}
	body := make([]byte, n-4)
	_, err := io.ReadFull(in, body)
	return body, err
}

// refusal reads an ErrorResponse.
func refusal(body []byte) error {
	e := &refused{}
	for len(body) > 1 {
		field := body[0]
		value, more, ok := pgwire.CString(body[1:])
		if !ok {
			break
		}
		switch field {
		case 'C':
			e.state = string(value)
		case 'M':
			e.words = string(value)
		}
		body = more
	}
	return e
}
