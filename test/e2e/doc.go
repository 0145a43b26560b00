// Package e2e tests the clew binary from outside: how it starts, what it says, how it stops.
package e2e
