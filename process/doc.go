// Package process is what happens to a batch between receive and store: a chain of steps that leave spans out, change them or refuse them.
//
//	receive ──▶ Chain ── step ── step ── … ──▶ store
//	              └─ for each step: which tenants and services, and what an error means
//
// A step sees a trace.Batch: OTLP bytes and their index. It changes them with Batch.Edit, Keep and Rewrite, which leave what is not
// touched byte for byte as it is. A chain without steps is not put in at all: spans then go the way they went before there were any.
//
// What the chain must never do is lose a span silently. It counts what each step left out by the difference, so that whatever a step does,
//
//	received = stored + refused + dropped
//
// holds span by span. Spans that are dropped on purpose (filtered, sampled out) are acknowledged to the sender: sending them again would
// change nothing. Spans over a rate are refused, and the sender is told.
package process
