//go:build unix

package wasm

import (
	"fmt"
	"syscall"
)

// reserve returns n bytes of address space. The system gives them memory as they are written to.
func reserve(n int) ([]byte, error) {
	b, err := syscall.Mmap(-1, 0, n, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		return nil, fmt.Errorf("reserve %d bytes of memory: %w", n, err)
	}
	return b, nil
}

func release(b []byte) { _ = syscall.Munmap(b) }
