package acme

import (
	"context"
	"slices"
)

// refreshWindow fetches the renewal window of a certificate (ARI). If there is none, the time of renewal depends on the lifetime only.
func (a *Agent) refreshWindow(ctx context.Context, cert *managedCert) {
	cert.pollAt = a.now().Add(defaultPoll)
	directory := cert.order.IssuedBy
	if a.unavailable[directory] != nil || !slices.Contains(a.config.Directories, directory) {
		return
	}
	ca, err := newAuthority(a.config, directory, a.now)
	if err != nil {
		return
	}
	defer ca.http.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(ctx, exchangeTimeout)
	defer cancel()
	if err := ca.checkDirectory(ctx); err != nil {
		a.unavailable[directory] = err
		return
	}
	info, err := ca.client.GetRenewalInfo(ctx, cert.leaf)
	if err != nil {
		return
	}
	cert.pollAt = a.now().Add(pollAfter(ca.pollWait()))
	window := Window{info.SuggestedWindow.Start.UTC(), info.SuggestedWindow.End.UTC()}
	if known := cert.order.Window; known == nil || *known != window {
		cert.order.Window = &window
		// Saved so that other PoPs are not given a certificate that is due. A volume that cannot be written to is reported when something is ordered.
		_ = a.saveOrder(cert, orderIsLost)
	}
}
