// Package extreme sends a real server what is large beyond reason, asks for it back, and holds that the process stays within its memory.
package extreme
