// Package pack turns columns of numbers into few bytes and back: differences, common divisors, and as few bits a value as needed.
package pack
