package main

// Which image runs here, and which one is wanted. An image has the digest of the build context it was made from in its own environment, and the machine's
// config names the wanted one under another name, so neither hides the other. What hands images out, a registry or a client of it, may name an old one's
// digest; such an image serves well and is the wrong one all the same.

import (
	"fmt"
	"os"
)

const (
	// Set by the image (image/context.ts).
	contextVariable = "POP_CONTEXT"
	// Set by the machine's config (components/machine-config.ts); absent where nobody says what the image was made from.
	expectedContextVariable = "POP_EXPECTED_CONTEXT"
)

// image has digests in hex; empty: not known, and nothing in particular expected.
type image struct{ context, expected string }

func imageOfEnvironment() image {
	return image{context: os.Getenv(contextVariable), expected: os.Getenv(expectedContextVariable)}
}

// component is nil when no image in particular is expected.
func (i image) component() *component {
	if i.expected == "" {
		return nil
	}
	found := judge(failing, i.mismatch())
	return &found
}

func (i image) mismatch() error {
	switch i.context {
	case i.expected:
		return nil
	case "":
		return fmt.Errorf("wrong image: context %s is expected, this image does not say what it was made from", short(i.expected))
	default:
		return fmt.Errorf("wrong image: context %s is expected, this image was made from %s", short(i.expected), short(i.context))
	}
}

// short is as much of a digest as is in an image's tag.
func short(digest string) string { return digest[:min(len(digest), 16)] }
