package acme

import (
	"fmt"
	"net/http"
	"net/netip"
)

// popHeader contains the PoP's name. nginx sets it on every response: image/render/nginx-common.ts.
const popHeader = "X-PoP"

// unreadyStatuses are what nginx of a PoP responds with while its `pop certs` starts or hangs, or does not know this PoP yet.
var unreadyStatuses = []int{http.StatusNotFound, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout}

// unreadyError: a PoP of this app does not respond to challenges right now. This ends within seconds of a restart, and an order would fail until then.
type unreadyError struct{ error }

func (e unreadyError) Unwrap() error { return e.error }

func unready(name string, address netip.Addr, response *http.Response) error {
	reason := "whose `pop certs` does not answer"
	if response.StatusCode == http.StatusNotFound {
		reason = "which does not reach this PoP over the app's private network"
	}
	return unreadyError{fmt.Errorf("port 80 of %s (%s) is answered with %d by PoP %s, %s",
		name, address, response.StatusCode, oneLine(response.Header.Get(popHeader)), reason)}
}
