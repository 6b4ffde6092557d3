package pgwire

import "encoding/binary"

// ReadNotification reads the body of a NotificationResponse. channel and payload alias it.
func ReadNotification(body []byte) (pid uint32, channel, payload []byte, ok bool) {
	if len(body) < 4 {
		return 0, nil, nil, false
	}
	channel, rest, ok := CString(body[4:])
	if !ok {
		return 0, nil, nil, false
	}
	payload, rest, ok = CString(rest)
	return binary.BigEndian.Uint32(body), channel, payload, ok && len(rest) == 0
}

// AppendNotification appends a NotificationResponse.
func AppendNotification(dst []byte, pid uint32, channel, payload string) []byte {
	dst = AppendHeader(dst, NotificationResponse, 4+len(channel)+1+len(payload)+1)
	dst = binary.BigEndian.AppendUint32(dst, pid)
	dst = append(append(dst, channel...), 0)
	return append(append(dst, payload...), 0)
}
