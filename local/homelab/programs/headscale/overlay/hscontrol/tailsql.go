package hscontrol

import (
	"context"

	"tailscale.com/types/logger"
)

// runTailSQLService runs nothing: the service is for debugging, and has a whole Tailscale client in it, two fifths of all there would be to compile.
func runTailSQLService(_ context.Context, logf logger.Logf, _, _ string) error {
	logf("TailSQL was left out of the headscale of this homelab")
	return nil
}
