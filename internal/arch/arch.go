// Package arch holds the rules of the house, as a test: which room may import which, and how large things may grow.
package arch
