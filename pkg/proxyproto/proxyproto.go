// Package proxyproto reads the header with which a balancer says whose connection it passes on: PROXY protocol, versions 1 and 2. It never does I/O, and never judges whether a sender may be believed by what it says.
package proxyproto

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"net/netip"
	"strconv"
	"strings"
)

const (
	// maxLine is the longest header of version 1, with its end.
	maxLine = 107
	// maxHeader is the longest header of version 2 that is taken. What it has besides addresses is skipped, certificates among that.
	maxHeader = 8 << 10

	line      = "PROXY "
	signature = "\r\n\r\n\x00\r\nQUIT\n"
	fixed     = len(signature) + 4 // version and command, family, length
)

// The values of version 2.
const (
	cmdLocal, cmdProxy           = 0x20, 0x21
	unspec, tcp4, tcp6, unix     = 0x00, 0x11, 0x21, 0x31
	typeCRC32C                   = 0x03
	sizeTCP4, sizeTCP6, sizeUNIX = 12, 36, 216
)

// ErrNone is that what arrives is no header.
var ErrNone = errors.New("there is none")

// Header is what a sender says of a connection.
type Header struct {
	// Source is where the client is. Not valid: the sender speaks for itself, or does not know (LOCAL, UNKNOWN, a unix socket).
	Source netip.AddrPort
}

// Parse reads the header that p begins with. n is its length; 0 says that more has to come.
func Parse(p []byte) (h Header, n int, err error) {
	switch {
	case begins(p, line):
		return parseLine(p)
	case begins(p, signature):
		return parseBinary(p)
	}
	return Header{}, 0, ErrNone
}

// begins says whether p may go on to begin with a text.
func begins(p []byte, text string) bool {
	n := min(len(p), len(text))
	return string(p[:n]) == text[:n]
}

// parseLine reads version 1.
func parseLine(p []byte) (h Header, n int, err error) {
	end := bytes.Index(p[:min(len(p), maxLine)], []byte("\r\n"))
	if end < 0 {
		if len(p) >= maxLine {
			return h, 0, fmt.Errorf("version 1: the line has no end within %d bytes", maxLine)
		}
		return h, 0, nil
	}
	n = end + 2
	if end < len(line) {
		return h, 0, ErrNone
	}
	f := strings.Split(string(p[len(line):end]), " ")
	if f[0] == "UNKNOWN" {
		return h, n, nil
	}
	if len(f) != 5 || f[0] != "TCP4" && f[0] != "TCP6" {
		return h, 0, errors.New("version 1: it does not say TCP4, TCP6 or UNKNOWN with two addresses and two ports")
	}
	var ends [2]netip.AddrPort
	for i := range ends {
		ip, err := netip.ParseAddr(f[1+i])
		if err != nil || ip.Zone() != "" || ip.Is4() != (f[0] == "TCP4") {
			return h, 0, fmt.Errorf("version 1: %q is no address of %s", f[1+i], f[0])
		}
		port, err := strconv.ParseUint(f[3+i], 10, 16)
		if err != nil || strconv.FormatUint(port, 10) != f[3+i] {
			return h, 0, fmt.Errorf("version 1: %q is no port", f[3+i])
		}
		ends[i] = netip.AddrPortFrom(ip.Unmap(), uint16(port))
	}
	return Header{ends[0]}, n, nil
}

// parseBinary reads version 2.
func parseBinary(p []byte) (h Header, n int, err error) {
	if len(p) < fixed {
		return h, 0, nil
	}
	command, family := p[12], p[13]
	if command != cmdLocal && command != cmdProxy {
		return h, 0, fmt.Errorf("version 2: %#02x is no version and command", command)
	}
	n = fixed + int(binary.BigEndian.Uint16(p[14:]))
	if n > maxHeader {
		return h, 0, fmt.Errorf("version 2: %d bytes are more than %d", n, maxHeader)
	}
	if len(p) < n {
		return h, 0, nil
	}
	if command == cmdLocal || family == unspec {
		return h, n, nil // whatever else it says is not looked at
	}
	body := p[fixed:n]
	size := map[byte]int{tcp4: sizeTCP4, tcp6: sizeTCP6, unix: sizeUNIX}[family]
	switch {
	case size == 0:
		return h, 0, fmt.Errorf("version 2: %#02x is no stream over IPv4, IPv6 or a unix socket", family)
	case len(body) < size:
		return h, 0, fmt.Errorf("version 2: %d bytes have no room for the addresses", len(body))
	case family == tcp4:
		h.Source = netip.AddrPortFrom(netip.AddrFrom4([4]byte(body[:4])), binary.BigEndian.Uint16(body[8:]))
	case family == tcp6:
		h.Source = netip.AddrPortFrom(netip.AddrFrom16([16]byte(body[:16])).Unmap(), binary.BigEndian.Uint16(body[32:]))
	}
	if err := skip(p[:n], fixed+size); err != nil {
		return Header{}, 0, fmt.Errorf("version 2: %w", err)
	}
	return h, n, nil
}

// skip passes over what stands behind the addresses, from at on: types with lengths and values. A checksum is verified.
func skip(header []byte, at int) error {
	const head = 3
	summed := false
	for at < len(header) {
		if len(header)-at < head {
			return errors.New("it ends within a type and length")
		}
		kind, size := header[at], int(binary.BigEndian.Uint16(header[at+1:]))
		at += head
		if len(header)-at < size {
			return fmt.Errorf("it ends within a value of type %#02x", kind)
		}
		if kind == typeCRC32C {
			if size != 4 || summed {
				return errors.New("its checksum has not 4 bytes, or comes twice")
			}
			summed = true
			table := crc32.MakeTable(crc32.Castagnoli)
			sum := crc32.Update(0, table, header[:at])
			sum = crc32.Update(sum, table, make([]byte, 4)) // its own place counts as zeros
			sum = crc32.Update(sum, table, header[at+4:])
			if sum != binary.BigEndian.Uint32(header[at:]) {
				return errors.New("its checksum is wrong")
			}
		}
		at += size
	}
	return nil
}

// Reader reads a header that arrives in pieces. The zero Reader is ready.
type Reader struct{ buf []byte }

// Step takes in what arrived. When done is true, rest is what came behind the header: part of p, or the reader's.
func (r *Reader) Step(p []byte) (h Header, rest []byte, done bool, err error) {
	if len(r.buf) > 0 {
		r.buf = append(r.buf, p...)
		p = r.buf
	}
	h, n, err := Parse(p)
	if err != nil {
		return h, nil, false, err
	}
	if n > 0 {
		return h, p[n:], true, nil
	}
	if len(r.buf) == 0 {
		r.buf = append(r.buf, p...)
	}
	return h, nil, false, nil
}
