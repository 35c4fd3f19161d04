package health

import (
	"io"
	"math"
	"net/http"
	"strings"

	"fly-pops/pop/certs"
	"fly-pops/pop/metrics"
	"fly-pops/pop/probe"
	"fly-pops/pop/selfsigned"
	"fly-pops/pop/tailnet"
)

// serveMetrics answers GET /metrics. Fly scrapes it every 15 seconds, and adds app, region and instance. Counters start at 0 with this process.
func (h *health) serveMetrics(w http.ResponseWriter) {
	w.Header().Set("Content-Type", metrics.ContentType)
	w.Header().Set("Cache-Control", "no-store")
	var text strings.Builder
	metrics.Write(&text, h.families())
	// The client may be gone.
	_, _ = io.WriteString(w, text.String())
}

// families leaves out values that are unknown.
func (h *health) families() []metrics.Family {
	found := h.current()
	all := []metrics.Family{
		metrics.Gauge("pop_info", "1, with the name of the PoP.", metrics.NewSample(1, "pop", found.Pop)),
		buildFamily(found.Image),
		metrics.Gauge("pop_serving", "1 while visitors are served, which is what Fly's check sees.", metrics.NewSample(metrics.Bool(found.Status != failing))),
		componentFamily(found.Components),
	}
	all = append(all, certificateFamilies(found.Certificates)...)
	all = append(all, secretIDFamilies(found.VaultSecretID)...)
	all = append(all, nginxFamilies(found.nginx)...)
	all = append(all, found.counts...)
	all = append(all, memoryFamilies(found.Memory)...)
	all = append(all, originFamilies(found.Origins)...)
	all = append(all, tailnetFamilies(found.tailnet)...)
	return append(all, volumeFamilies(found.volume)...)
}

func buildFamily(context string) metrics.Family {
	build := metrics.Gauge("pop_build_info", "1, with the digest of the build context the image was made from.")
	if context != "" {
		build.Add(1, "context", context)
	}
	return build
}

func componentFamily(components map[string]component) metrics.Family {
	up := metrics.Gauge("pop_component_up", "1 while a component of the PoP is healthy. If it is not, /healthz has the reason.")
	for _, name := range sortedKeys(components) {
		up.Add(metrics.Bool(components[name].Status == ok), "component", name)
	}
	return up
}

func certificateFamilies(all []selfsigned.Status) []metrics.Family {
	notBefore := metrics.Gauge("pop_certificate_not_before_timestamp_seconds", "Start of a certificate's validity, in seconds since 1970.")
	notAfter := metrics.Gauge("pop_certificate_not_after_timestamp_seconds", "End of a certificate's validity, in seconds since 1970.")
	selfSigned := metrics.Gauge("pop_certificate_self_signed", "1 if a site's certificate is self-signed by the PoP.")
	for _, status := range all {
		if !status.NotBefore.IsZero() {
			notBefore.Add(float64(status.NotBefore.Unix()), "site", status.Host)
		}
		if !status.NotAfter.IsZero() {
			notAfter.Add(float64(status.NotAfter.Unix()), "site", status.Host)
			selfSigned.Add(metrics.Bool(status.SelfSigned), "site", status.Host)
		}
	}
	return []metrics.Family{notBefore, notAfter, selfSigned}
}

// secretIDFamilies have what is known of the secret_id; +Inf means that there is no end.
func secretIDFamilies(status *certs.SecretIDStatus) []metrics.Family {
	if status == nil {
		return nil
	}
	known := metrics.Gauge("pop_vault_secret_id_known", "1 while the vault knows the secret_id, so that a PoP that starts can log in.")
	created := metrics.Gauge("pop_vault_secret_id_created_timestamp_seconds", "Creation time of the vault's secret_id, in seconds since 1970.")
	notAfter := metrics.Gauge("pop_vault_secret_id_not_after_timestamp_seconds", "End of the vault's secret_id, in seconds since 1970. +Inf: it does not end.")
	usesLeft := metrics.Gauge("pop_vault_secret_id_uses_left", "Logins left with the vault's secret_id. +Inf: any number.")
	isFromVault := status.Unknown == ""
	if isFromVault {
		known.Add(metrics.Bool(!status.Gone))
	}
	if status.CreatedAt != nil {
		created.Add(float64(status.CreatedAt.Unix()))
	}
	switch {
	case status.EndsAt != nil:
		notAfter.Add(float64(status.EndsAt.Unix()))
	case isFromVault && !status.Gone:
		notAfter.Add(math.Inf(1))
	}
	switch {
	case status.UsesLeft != nil:
		usesLeft.Add(float64(*status.UsesLeft))
	case isFromVault && !status.Gone:
		usesLeft.Add(math.Inf(1))
	}
	return []metrics.Family{known, created, notAfter, usesLeft}
}

func nginxFamilies(status *probe.StubStatus) []metrics.Family {
	if status == nil {
		return nil
	}
	return []metrics.Family{
		metrics.Gauge("pop_nginx_connections", "Connections of visitors by state. active is the sum of the others.",
			metrics.NewSample(status.Active, "state", "active"), metrics.NewSample(status.Reading, "state", "reading"),
			metrics.NewSample(status.Writing, "state", "writing"), metrics.NewSample(status.Waiting, "state", "waiting")),
		metrics.Counter("pop_nginx_connections_accepted_total", "Connections accepted since nginx started.", metrics.NewSample(status.Accepted)),
		metrics.Counter("pop_nginx_connections_handled_total", "Connections handled since nginx started. Fewer than accepted if there were too many.",
			metrics.NewSample(status.Handled)),
	}
}

func memoryFamilies(found *memory) []metrics.Family {
	if found == nil {
		return nil
	}
	return []metrics.Family{
		metrics.Gauge("pop_memory_used_bytes", "Memory of the whole PoP, without what the kernel can free at once.", metrics.NewSample(float64(found.UsedBytes))),
		metrics.Gauge("pop_memory_limit_bytes", "Memory of the machine.", metrics.NewSample(float64(found.LimitBytes))),
		metrics.Counter("pop_oom_kills_total", "Processes killed because memory ran out, since boot.", metrics.NewSample(float64(found.OomKills))),
	}
}

func volumeFamilies(found *volume) []metrics.Family {
	if found == nil {
		return nil
	}
	return []metrics.Family{
		metrics.Gauge("pop_volume_size_bytes", "Size of the volume.", metrics.NewSample(found.sizeBytes)),
		metrics.Gauge("pop_volume_free_bytes", "Free space on the volume.", metrics.NewSample(found.freeBytes)),
	}
}

// originFamilies have no latency for an origin that does not answer.
func originFamilies(paths []tailnet.Path) []metrics.Family {
	up := metrics.Gauge("pop_origin_up", "1 while an origin's node answers over the tailnet.")
	direct := metrics.Gauge("pop_origin_direct", "1 while the path to an origin's node is direct, 0 while it goes through a relay.")
	latency := metrics.Gauge("pop_origin_latency_seconds", "Round trip to an origin's node over the tailnet, in seconds.")
	for _, path := range paths {
		up.Add(metrics.Bool(path.Via != ""), "origin", path.Origin)
		if path.Via != "" {
			direct.Add(metrics.Bool(path.Via == tailnet.Direct), "origin", path.Origin, "node", path.Node, "relay", path.Relay)
			latency.Add(path.LatencySeconds, "origin", path.Origin, "node", path.Node)
		}
	}
	return []metrics.Family{up, direct, latency}
}

func tailnetFamilies(traffic []tailnet.Traffic) []metrics.Family {
	received := metrics.Counter("pop_tailnet_received_bytes_total", "Bytes from all nodes since tailscaled started, by path.")
	sent := metrics.Counter("pop_tailnet_sent_bytes_total", "Bytes to all nodes since tailscaled started, by path.")
	for _, sum := range traffic {
		family := &received
		if sum.Direction == "out" {
			family = &sent
		}
		family.Add(sum.Bytes, "path", sum.Path)
	}
	return []metrics.Family{received, sent}
}
