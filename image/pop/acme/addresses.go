package acme

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	"fly-pops/pop/internal/resolve"
)

func (c *nameChecker) resolve(ctx context.Context, name string) ([]netip.Addr, Reach, error) {
	if c.isPrivateName(name) {
		if len(c.edge) == 0 {
			return nil, reachUnknown, fmt.Errorf("%s is in a zone of dns.forward, so its public addresses cannot be looked up here, and the addresses of this edge are not known", name)
		}
		return c.edge, reachUnknown, nil
	}
	// The final dot prevents that a search list applies.
	found, err := c.lookup(ctx, "ip", name+".")
	if err != nil {
		if missing, is := errors.AsType[*net.DNSError](err); is && missing.IsNotFound {
			return nil, reachElsewhere, fmt.Errorf("%s does not resolve: set its %s", name, missingRecords(c.edge))
		}
		if c.failureReason != nil {
			if reason := c.failureReason(ctx, name+"."); resolve.IsDNSSEC(reason) {
				return nil, reachUnknown, bogus(name, reason)
			}
		}
		return nil, reachUnknown, fmt.Errorf("%s cannot be resolved: %w", name, dnsReason(err))
	}
	for i := range found {
		found[i] = found[i].Unmap()
	}
	if len(c.edge) > 0 {
		if err := wrongAddress(name, found, c.edge); err != nil {
			return nil, reachElsewhere, err
		}
	}
	return found[:min(len(found), maxAddresses)], reachUnknown, nil
}

// wrongAddress returns an error for the first address that does not belong to the edge: an authority may connect to any of them.
func wrongAddress(name string, found, edge []netip.Addr) error {
	for _, address := range found {
		if slices.Contains(edge, address) {
			continue
		}
		own := slices.DeleteFunc(slices.Clone(edge), func(own netip.Addr) bool { return own.Is4() != address.Is4() })
		if len(own) == 0 {
			return fmt.Errorf("%s resolves to %s, and this edge has no %s address: remove its %s record", name, address, addressFamily(address), recordType(address))
		}
		return fmt.Errorf("%s resolves to %s, not to this edge (%s): set its %s record", name, address, joinAddresses(own), recordType(address))
	}
	return nil
}

// missingRecords describes the records to set for a name without any.
func missingRecords(edge []netip.Addr) string {
	var found []string
	for _, address := range edge {
		found = append(found, fmt.Sprintf("%s record to %s", recordType(address), address))
	}
	if len(found) == 0 {
		return "A and AAAA records to the addresses of this edge"
	}
	return strings.Join(found, " and its ")
}

func recordType(address netip.Addr) string {
	if address.Is4() {
		return "A"
	}
	return "AAAA"
}

func addressFamily(address netip.Addr) string {
	if address.Is4() {
		return "IPv4"
	}
	return "IPv6"
}

func joinAddresses(addresses []netip.Addr) string {
	texts := make([]string, len(addresses))
	for i, address := range addresses {
		texts[i] = address.String()
	}
	return strings.Join(texts, ", ")
}
