// Package spool is Clew's embedded store: a write-ahead log, open columns in memory, and immutable blocks on disk, all by shapes.
//
// The nouns:
//
//   - A shape is what does not vary from span to span: service, scope, name, kind, status, flags, and the attributes'
//     keys and types. Spans come off production lines: a few hundred shapes stand for all of them.
//   - Rows are the spans of some shapes, as columns: one array per thing that varies, dense, because every span of a shape has it.
//   - The log has every accepted batch until a block has it. One fsync serves all batches that wait for it.
//   - A head is new spans as rows in memory. A front is the heads that one log segment fills, side by side; the newest one is open.
//   - A tombstone stands for a deleted trace, a pass brings it about that nothing on disk has the trace (delete.go).
//   - A block is an immutable file of traces in order of their start. Its groups are self-contained sets of
//     rows with a template (the sequence of shapes and parents) per trace.
//
// The way of a span:
//
//	Append ──▶ log (wal) ──▶ fsync ──▶ acknowledged
//	   └─────▶ head (head.go) ──cut──▶ block (cut.go, group.go, block.go) ──merge──▶ larger block (compact.go)
//
// and of an answer: Trace (lookup.go) and Scan (scan.go) read heads and blocks alike, since both are rows.
//
// What always holds:
//
//	I1  An Append that returned nil is on disk: its log record was fsynced before.
//	I2  A span is in the log until a block that has it is durable under its final name.
//	I3  A block names the last log segment it has (Footer.Segment); older segments are not replayed.
//	I4  A block names the blocks it replaces (Footer.Replaces); where both exist, the replaced ones are ignored and deleted.
//	I5  Files in blocks/ with the ending .blk are complete; a file under construction ends in .tmp.
//	I6  Nobody changes a head after it was frozen, nor a block ever.
//	I7  Locks are taken in the order deleter.mu, Spool.mu, head.mu, wal.mu.
//	I8  A block of which a group is damaged, or could not be read, is not merged: nothing that is there is given up for what is not.
//	I9  A deleted trace has a tombstone, on disk before Delete returns. No answer has a trace that has one, nor is a block written with it.
//	I10 A tombstone is dropped only when a pass has found the trace in no head and no block, and the removal of the blocks and segments
//	    that had it is durable. A block that is damaged, or was left out, may have it.
//
// Exact duplicates (a batch sent again because its acknowledgement was lost) are one span: they are dropped when a
// trace is read and when its block is written.
//
// The files are described in docs/format/.
package spool
