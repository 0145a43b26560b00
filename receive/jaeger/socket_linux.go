package jaeger

import (
	"encoding/binary"
	"net"
	"syscall"
)

// countDrops has the system tell, with each packet, how many it has dropped before it.
func countDrops(conn *net.UDPConn) {
	if raw, err := conn.SyscallConn(); err == nil { // else they are not counted
		_ = raw.Control(func(fd uintptr) { _ = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RXQ_OVFL, 1) })
	}
}

// dropsOf returns the number of packets that were dropped since the socket was opened, if a packet's control message has it.
func dropsOf(control []byte) (n uint32, ok bool) {
	if len(control) == 0 { // as long as there are none
		return 0, false
	}
	messages, err := syscall.ParseSocketControlMessage(control)
	if err != nil {
		return 0, false
	}
	for _, m := range messages {
		if m.Header.Level == syscall.SOL_SOCKET && m.Header.Type == syscall.SO_RXQ_OVFL && len(m.Data) >= 4 {
			return binary.NativeEndian.Uint32(m.Data), true
		}
	}
	return 0, false
}

// readBuffer returns the size of the system's buffer, as it was asked for: it keeps twice that, for its own needs.
func readBuffer(conn *net.UDPConn) (n int, ok bool) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return 0, false
	}
	_ = raw.Control(func(fd uintptr) { n, err = syscall.GetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF) })
	return n / 2, err == nil
}

// isCut reports whether a packet was larger than the buffer it was read into.
func isCut(flags int) bool { return flags&syscall.MSG_TRUNC != 0 }
