package health

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"fly-pops/pop/internal/resolve"
	"fly-pops/pop/tailnet"
)

// checkTailnet reports the component and the paths to origins. Without tailscaled's socket there is no component: the PoP has no tailnet, or `expects` of the
// manifest says that it should have one.
func (h *health) checkTailnet(ctx context.Context) update {
	if _, err := os.Stat(h.tailscaled); errors.Is(err, fs.ErrNotExist) && !h.isLookingForHome() {
		return setComponentIfAny("tailnet", nil)
	}
	paths := h.origins.get()
	local := tailnet.NewLocalAPI(h.tailscaled)
	status, err := local.Status(ctx)
	if err != nil {
		return setComponent("tailnet", h.tailnetComponent(err))
	}
	// An error only leaves out metrics.
	traffic, _ := local.Traffic(ctx)
	faults := tailnet.Faults(status, h.manifest.Tailnet, h.now())
	// Faults of this node explain those of its paths.
	if len(faults) == 0 {
		faults = pathFaults(paths)
	}
	return func(s *snapshot) {
		s.Components["tailnet"] = h.tailnetComponent(errorOrNil(strings.Join(faults, "; ")))
		s.Origins, s.tailnet = paths, traffic
	}
}

// tailnetComponent is failing while the PoP still looks for its origins at home.
func (h *health) tailnetComponent(err error) component {
	if h.isLookingForHome() {
		if err == nil {
			err = errors.New("after the boot, waiting until nginx reaches the origins at home")
		}
		return newComponent(failing, err)
	}
	return h.probedComponent(degraded, err)
}

func pathFaults(paths []tailnet.Path) []string {
	faults := []string{}
	for _, path := range paths {
		if path.Problem != "" {
			faults = append(faults, fmt.Sprintf("origin %s: %s", path.Origin, path.Problem))
		}
	}
	return faults
}

// probeOrigins returns the paths to the origins, and false if one of them has none.
func (h *health) probeOrigins(ctx context.Context) ([]tailnet.Path, bool) {
	local := tailnet.NewLocalAPI(h.tailscaled)
	status, err := local.Status(ctx)
	if err != nil || status.BackendState != "Running" {
		return nil, false
	}
	prober := tailnet.Prober{
		Wanted: h.manifest.Tailnet, Origins: h.manifest.Origins, Ping: local.Ping, Lookup: resolve.LookupByUnbound(h.manifest.Ports.DNS),
	}
	paths := prober.Probe(ctx)
	h.noteWayHome(paths)
	return paths, len(pathFaults(paths)) == 0
}
