//go:build !linux

package testkit

import "syscall"

// Child would make the system end a process that this one started, when this one is killed; only Linux can.
func Child() *syscall.SysProcAttr { return nil }

// lock would keep processes from doing the same work twice; without it they do, and the first to finish counts.
func lock(string) (unlock func(), err error) { return func() {}, nil }
