// Package pack is what the store's files are made of that knows nothing of spans: columns of numbers in few bits, hashes in pages, and filters.
package pack
