package health

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"fly-pops/pop/maintenance"
	"fly-pops/pop/probe"
)

// allChecks are the checks of a round.
func (h *health) allChecks() []*check {
	// A check without a component: if it does not answer in time, its values are left out.
	optional := func(run func(context.Context) update) *check { return &check{run: run} }
	all := []*check{
		{component: "nginx", fallback: failing, run: func(ctx context.Context) update {
			return setComponent("nginx", h.probedComponent(failing, probe.Nginx(ctx, h.manifest.Ports.NginxStatus)))
		}},
		// Cached pages, sites in the image and origins given by address still work without DNS.
		{component: "unbound", fallback: degraded, run: func(ctx context.Context) update {
			if err := probe.Unbound(ctx, h.manifest.Ports.DNS); err != nil {
				return setComponent("unbound", h.probedComponent(degraded, err))
			}
			return setComponent("unbound", newComponent(degraded, h.dnssec.get()))
		}},
		{component: "tailnet", fallback: degraded, run: h.checkTailnet},
		{component: "secrets", fallback: degraded, run: h.checkSecrets},
		{component: "certificates", fallback: degraded, run: h.checkCertificates},
		{component: "volume", fallback: degraded, run: h.checkVolume},
		{component: "counts", fallback: degraded, run: h.checkCounts},
		optional(func(ctx context.Context) update {
			status, err := probe.NginxStatus(ctx, h.manifest.Ports.NginxStatus)
			return func(s *snapshot) {
				if err == nil {
					s.nginx = &status
				}
			}
		}),
		optional(func(context.Context) update {
			found, err := h.memory()
			return func(s *snapshot) {
				if err == nil {
					s.Memory = &found
				}
			}
		}),
		optional(func(context.Context) update {
			hosts := maintenance.Active(h.manifest.Hosts, h.maintenanceDir)
			return func(s *snapshot) { s.Maintenance = hosts }
		}),
		optional(func(context.Context) update {
			name := PopName(h.run)
			return func(s *snapshot) { s.Pop = name }
		}),
	}
	for name, luggage := range h.manifest.Luggage {
		component := "luggage-" + name
		all = append(all, &check{component: component, fallback: degraded, run: func(context.Context) update {
			return setComponent(component, newComponent(degraded, luggage.Problem(h.run, name, h.now())))
		}})
	}
	return all
}

func setComponent(name string, c component) update {
	return func(s *snapshot) { s.Components[name] = c }
}

// setComponentIfAny does nothing for nil: the PoP may not have the component.
func setComponentIfAny(name string, c *component) update {
	return func(s *snapshot) {
		if c != nil {
			s.Components[name] = *c
		}
	}
}

// newComponent is healthy without an error, and has the given status otherwise.
func newComponent(statusIfError string, err error) component {
	if err == nil {
		return component{Status: ok}
	}
	return component{Status: statusIfError, Reason: err.Error()}
}

// probedComponent is newComponent for a probe over a connection: all kinds of timeout get the same reason.
func (h *health) probedComponent(statusIfError string, err error) component {
	var timeout interface{ Timeout() bool }
	if errors.As(err, &timeout) && timeout.Timeout() {
		return component{Status: statusIfError, Reason: h.timeoutReason()}
	}
	return newComponent(statusIfError, err)
}

// errorOrNil is nil for an empty reason.
func errorOrNil(reason string) error {
	if reason == "" {
		return nil
	}
	return errors.New(reason)
}

// overallStatus is the worst status of all components.
func overallStatus(components map[string]component) string {
	status := ok
	for _, c := range components {
		if c.Status == failing || c.Status == degraded && status == ok {
			status = c.Status
		}
	}
	return status
}

// failureReason has the reasons of all components that are failing.
func failureReason(components map[string]component) string {
	var reasons []string
	for _, name := range sortedKeys(components) {
		if components[name].Status == failing {
			reasons = append(reasons, name+": "+components[name].Reason)
		}
	}
	return strings.Join(reasons, ", ")
}

// checkVolume combines what postInit found at boot (an empty file: no fault) with how full the volume is now.
func (h *health) checkVolume(context.Context) update {
	atBoot := h.volumeFaultAtBoot()
	now, err := h.volume()
	found := volumeComponent(atBoot, err)
	if err == nil {
		found = volumeComponent(atBoot, now.shortage())
	}
	return func(s *snapshot) {
		s.Components["volume"] = found
		if err == nil {
			s.volume = &now
		}
	}
}

func volumeComponent(atBoot, now error) component {
	if atBoot != nil && now != nil {
		return newComponent(degraded, fmt.Errorf("%w. Also: %w", atBoot, now))
	}
	return newComponent(degraded, errors.Join(atBoot, now))
}

func (h *health) volumeFaultAtBoot() error {
	text, err := os.ReadFile(filepath.Join(h.run, "volume"))
	if err != nil {
		return err
	}
	return errorOrNil(strings.TrimSpace(string(text)))
}

func (h *health) checkCounts(context.Context) update {
	err := h.counter.Ingest()
	counted := h.counter.Snapshot()
	return func(s *snapshot) {
		s.Components["counts"] = newComponent(degraded, err)
		s.Traffic, s.counts = counted.Traffic, counted.Metrics
		s.Ports, s.PassThrough = counted.Ports, counted.PassThrough
	}
}

// probeDNSSEC is a round of the watch of signatures.
func (h *health) probeDNSSEC(ctx context.Context) (error, bool) {
	err := probe.DNSSEC(ctx, h.manifest.Ports.DNS, probe.SignedNames(h.manifest.Origins), h.now)
	return err, err == nil
}

// PopName is the PoP's name as post-init wrote it. Empty: unknown.
func PopName(run string) string {
	text, err := os.ReadFile(filepath.Join(run, "name"))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text))
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
