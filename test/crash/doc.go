// Package crash kills the real server at random moments under load, damages its files, and looks at what is left.
//
//	go test -v ./test/crash                                       50 kills; -short: 8
//	go test -v ./test/crash -run Kill -crash.seed 1               the same load and moments, as far as clocks allow
//	go test -v ./test/crash -run Replay -crash.log 1073741824     the start-up time with 1 GiB of log
package crash
