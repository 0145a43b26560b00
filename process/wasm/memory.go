package wasm

import (
	"errors"
	"time"

	"github.com/tetratelabs/wazero/experimental"
)

// memory is an instance's linear memory: it grows up to a limit, and remembers if more was wanted. It lies beside Go's heap, where the system
// can have it: growth copies nothing, and what is closed is given back at once.
type memory struct {
	room     []byte // as large as it may become
	bytes    []byte // of room, so much is used
	limit    uint64
	refused  bool
	deadline time.Time // when the module's time is over
}

var _ experimental.LinearMemory = (*memory)(nil)

// errDeadline ends a module whose time is over: wazero makes an error of the panic.
var errDeadline = errors.New("the time of the module is over")

// newMemory returns a memory that may have limit bytes. Free gives it back.
func newMemory(limit int64) (*memory, error) {
	room, err := reserve(int(limit))
	if err != nil {
		return nil, err
	}
	return &memory{room: room, limit: uint64(limit)}, nil
}

// Reallocate makes the memory as large as asked for. What is new of it is zero. It is also where a module calls home; see fuel.
func (m *memory) Reallocate(size uint64) []byte {
	if size == uint64(len(m.bytes))+homePages*pageBytes {
		if time.Now().After(m.deadline) {
			panic(errDeadline)
		}
		return nil
	}
	if size > m.limit {
		m.refused = true
		return nil
	}
	m.bytes = m.room[:size:size]
	return m.bytes
}

// Free gives the memory back. The instance must not be called any more.
func (m *memory) Free() {
	if m.room != nil {
		release(m.room)
	}
	m.room, m.bytes = nil, nil
}
