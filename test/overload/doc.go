// Package overload sends a real server ten times what it can take, and holds that it stays within its memory, answers questions, and keeps exactly what it acknowledged.
package overload
