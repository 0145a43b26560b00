// Package load makes the traces of a shop that does not exist and sends them as fast, or as slowly, as it is asked to.
//
// A Generator plays requests to the shop (flows.go) through its services (shop.go). What a service does is an Operation
// (operations.go), compiled once to the bytes of its span with the places where the next span differs (template.go); making
// a span is copying these bytes and writing IDs, times and values into them. The same seed and times give the same bytes.
//
//	flows ─▶ operations ─▶ templates ─▶ Generator ─▶ OTLP bytes ─▶ Sender ─▶ OTLP as it is, or another protocol's form
//
// The sender must not be what is measured: making a span costs it a small part of what any server needs to keep one.
package load
