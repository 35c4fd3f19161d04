package main

import (
	"strings"
	"testing"
)

func TestCommands(t *testing.T) {
	if err := run(nil); err == nil || !strings.Contains(err.Error(), "usage:") {
		t.Errorf("error is %v", err)
	}
}
