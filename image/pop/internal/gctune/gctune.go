// Package gctune keeps the memory of long-running processes small.
package gctune

import "runtime/debug"

// LimitMemory makes the collector run early, and harder near a limit that these processes do not reach. They hold a few hundred KB and need no speed.
func LimitMemory() {
	debug.SetGCPercent(25)
	debug.SetMemoryLimit(10 << 20)
}
