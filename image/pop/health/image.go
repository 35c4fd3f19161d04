package health

import (
	"fmt"
	"os"
)

const (
	// Set by the image (image/context.ts).
	contextVariable = "POP_CONTEXT"
	// Set by the machine's config (components/machine-config.ts); absent if the build context is unknown.
	expectedContextVariable = "POP_EXPECTED_CONTEXT"
)

// image has the digest of the build context that the image was made from, from its own environment, and the expected one, from the machine's config. They
// differ if a registry or its client delivered an older image: it works, but it is the wrong one. In hex; empty: unknown, or none expected.
type image struct{ context, expected string }

func imageFromEnv() image {
	return image{context: os.Getenv(contextVariable), expected: os.Getenv(expectedContextVariable)}
}

// component is nil if no particular image is expected.
func (i image) component() *component {
	if i.expected == "" {
		return nil
	}
	found := newComponent(failing, i.mismatch())
	return &found
}

func (i image) mismatch() error {
	switch i.context {
	case i.expected:
		return nil
	case "":
		return fmt.Errorf("wrong image: expected context %s, and this image does not say what it was made from", short(i.expected))
	default:
		return fmt.Errorf("wrong image: expected context %s, and this image was made from %s", short(i.expected), short(i.context))
	}
}

// short is the beginning of a digest, as in the image's tag.
func short(digest string) string { return digest[:min(len(digest), 16)] }
