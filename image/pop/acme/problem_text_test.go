package acme

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestOneLine(t *testing.T) {
	if text := oneLine(" a\r\n\tb\x00c\x7f "); text != "a b c" {
		t.Errorf("%q", text)
	}
	for _, long := range []string{strings.Repeat("é", maxDetail), "x" + strings.Repeat("é", maxDetail)} {
		text := oneLine(long)
		kept, isCut := strings.CutSuffix(text, "...")
		if !isCut || len(kept) < maxDetail-1 || len(kept) > maxDetail || !strings.HasPrefix(long, kept) || !utf8.ValidString(text) {
			t.Errorf("%q", text)
		}
	}
}
