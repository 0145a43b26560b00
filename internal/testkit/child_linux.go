package testkit

import "syscall"

// Child makes the system end a process that this one started, when this one is killed.
func Child() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
