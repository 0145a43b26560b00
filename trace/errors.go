package trace

import (
	"errors"
	"fmt"
	"time"
)

// ErrorKind says what a caller can do about an error; the receivers and the API dialects turn it into their protocol's status.
type ErrorKind uint8

// The kinds of error. An error without a kind counts as Internal.
const (
	Internal      ErrorKind = iota // our fault: look at the log
	Invalid                        // the request is wrong; sending it again is useless
	NotFound                       // there is no such thing
	TooLarge                       // over a documented limit; sending it again is useless
	Busy                           // cannot now; send it again after Error.After
	Corrupt                        // data on disk is damaged
	UnknownTenant                  // the request is of a tenant that is not configured; sending it again is useless
)

func (k ErrorKind) String() string {
	return [...]string{"internal", "invalid", "not_found", "too_large", "busy", "corrupt", "unknown_tenant"}[k]
}

// Error is an error with a kind. Its message is safe to show to a client; Err, the inner cause, belongs in the log.
type Error struct {
	Kind  ErrorKind
	Msg   string
	After time.Duration // with Busy: when to come back, 0 if unknown
	Err   error
}

func (e *Error) Error() string {
	if e.Err != nil {
		return e.Msg + ": " + e.Err.Error()
	}
	return e.Msg
}

func (e *Error) Unwrap() error { return e.Err }

// Errorf returns an Error of a kind whose message is formatted as fmt.Sprintf does.
func Errorf(kind ErrorKind, format string, args ...any) *Error {
	return &Error{Kind: kind, Msg: fmt.Sprintf(format, args...)}
}

// ErrorOf returns the first Error in err's chain, or an Internal one that holds err.
func ErrorOf(err error) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	return &Error{Err: err}
}

// KindOf returns the kind of the first Error in err's chain, or Internal.
func KindOf(err error) ErrorKind { return ErrorOf(err).Kind }
