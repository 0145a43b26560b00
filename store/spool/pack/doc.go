// Package pack is what the store's files are made of that knows nothing of spans: columns of numbers and bytes, in memory and encoded,
// hashes in pages, filters, and memory for what is read of them.
package pack
