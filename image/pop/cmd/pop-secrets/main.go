// pop-secrets is a program of its own because the sops library links every cloud's key service: 44 MB that no other command needs, and that an image without
// secrets does not contain. Flags, files and exit codes are documented in ../../secrets.
package main

import (
	"fmt"
	"os"

	"fly-pops/pop/internal/exit"
	"fly-pops/pop/secrets"
)

func main() {
	if err := secrets.Run(os.Args[1:]); err != nil {
		fmt.Fprintf(os.Stderr, "pop-secrets: %v\n", err)
		os.Exit(exit.Code(err))
	}
}
