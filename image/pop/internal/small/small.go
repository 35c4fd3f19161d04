// Package small keeps processes that run for ever small.
package small

import "runtime/debug"

// Memory: the collector runs early, and harder near a limit these processes do not reach. What they hold is a few hundred KB; speed is none of their worries.
func Memory() {
	debug.SetGCPercent(25)
	debug.SetMemoryLimit(10 << 20)
}
