//go:build !linux

package testkit

import "syscall"

// Child would make the system end a process that this one started, when this one is killed; only Linux can.
func Child() *syscall.SysProcAttr { return nil }
