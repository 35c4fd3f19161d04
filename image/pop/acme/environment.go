package acme

import (
	"fmt"
	"net/netip"
	"strings"
)

// Environment is what differs between PoPs and so cannot be part of the image.
type Environment struct {
	// The app's anycast addresses. Empty: not known, so names are not compared with them.
	Addresses []netip.Addr
	// Name of the Fly app; "": there are no peers.
	App string
	// This machine's address in the app's private network. The zero value: it has none.
	Private netip.Addr
	// Name server that knows the app's other machines, host:port.
	PeerResolver string
	// Name of this PoP. It spreads renewals over time.
	Pop string
}

// Variables of the machine, in the order of the fields above. The last but one is for tests.
const (
	AddressesVariable    = "POP_ADDRESSES"
	appVariable          = "FLY_APP_NAME"
	privateVariable      = "FLY_PRIVATE_IP"
	peerResolverVariable = "POP_PEER_RESOLVER"
	popVariable          = "POP_NAME"
)

// flyResolver is Fly's resolver of the private network: https://fly.io/docs/networking/private-networking/#fly-io-internal-dns
const flyResolver = "[fdaa::3]:53"

// ReadEnvironment treats invalid values as absent and returns a problem for each.
func ReadEnvironment(variable func(string) string) (Environment, []string) {
	found, problems := Environment{App: variable(appVariable), PeerResolver: flyResolver, Pop: variable(popVariable)}, []string{}
	for _, text := range strings.Fields(variable(AddressesVariable)) {
		if address, err := netip.ParseAddr(text); err == nil {
			found.Addresses = append(found.Addresses, address.Unmap())
		} else {
			problems = append(problems, fmt.Sprintf("%s has %q, which is not an address", AddressesVariable, text))
		}
	}
	if text := variable(privateVariable); text != "" {
		if address, err := netip.ParseAddr(text); err == nil {
			found.Private = address
		} else {
			problems = append(problems, fmt.Sprintf("%s is %q, which is not an address", privateVariable, text))
		}
	}
	if text := variable(peerResolverVariable); text != "" {
		if _, err := netip.ParseAddrPort(text); err == nil {
			found.PeerResolver = text
		} else {
			problems = append(problems, fmt.Sprintf("%s is %q, which is not an address and a port", peerResolverVariable, text))
		}
	}
	return found, problems
}
