// Package forward sends spans on to other tracing servers, so that Clew can run beside the one that it replaces.
//
// It is a sink between what receives and what stores. A batch is stored, put into the queue of each destination whose filter it passes,
// and then acknowledged:
//
//	receive ─▶ Forwarder.Append ─▶ store                       ┌─▶ acknowledged
//	                           └─▶ filter ─▶ split ─▶ queue ─▶ fsync
//	                                                  └─▶ take ─▶ encode ─▶ send ─▶ done
//
// A queue is a log on disk (store/spool/wal), bounded in bytes. What always holds:
//
//  1. A batch that was acknowledged is in the queue on disk: it survives kill -9 and a power cut, and is sent at least once, unless it is
//     dropped, which is counted by reason. Of each destination, queued = sent + dropped + still there, span by span.
//  2. A destination that is slow or down holds up nobody: neither those that send to Clew, unless its on_full is refuse, nor other destinations.
//  3. Memory is bounded by destination: what is being sent, concurrency times batch_bytes, and its encoded form.
//  4. Spans that were here before are not sent on: see Marked.
//
// It must never change what is stored.
package forward
