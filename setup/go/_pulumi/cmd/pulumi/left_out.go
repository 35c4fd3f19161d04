package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

// leftOut is in the place of a command that this build has not: see setup/go/left-out.mjs.
func leftOut(name string) *cobra.Command {
	return &cobra.Command{
		Use:                name,
		Hidden:             true,
		DisableFlagParsing: true,
		RunE: func(*cobra.Command, []string) error {
			return fmt.Errorf("`pulumi %s` was left out of the Pulumi CLI that fly-pops compiled; the vendor's has it: https://www.pulumi.com/docs/install", name)
		},
	}
}
