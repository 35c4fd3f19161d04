package main

import (
	"strings"
	"testing"

	"fly-pops/pop/internal/exit"
)

func TestInvalidCommandsAreUsageErrors(t *testing.T) {
	for says, arguments := range map[string]string{
		"no command":                 "",
		"fly: no such command":       "fly",
		"ask nginx: no such command": "ask nginx",
		"check: no such command":     "check",
		"health now: no such":        "health now",
	} {
		err := run(strings.Fields(arguments))
		if exit.Code(err) != exit.Usage || !strings.HasPrefix(err.Error(), says) || !strings.Contains(err.Error(), "\nusage:\n  pop identity") {
			t.Errorf("%q: error is %v", arguments, err)
		}
	}
}
