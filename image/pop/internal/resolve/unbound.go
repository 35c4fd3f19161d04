package resolve

import (
	"fmt"
	"net"
)

// Unbound is the address of the PoP's own resolver.
func Unbound(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }

// ByUnbound asks the PoP's own resolver.
func ByUnbound(port int) *net.Resolver { return By(Unbound(port)) }
