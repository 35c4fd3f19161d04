package exit

import (
	"errors"
	"fmt"
	"testing"
)

func TestCode(t *testing.T) {
	for name, test := range map[string]struct {
		err  error
		want int
	}{
		"nothing":           {nil, 0},
		"nothing, coded":    {WithCode(Invalid, nil), 0},
		"any error":         {errors.New("disk"), Retryable},
		"coded":             {WithCode(Usage, errors.New("flag")), Usage},
		"coded and wrapped": {fmt.Errorf("secrets: %w", WithCode(Invalid, errors.New("key"))), Invalid},
		"joined":            {errors.Join(errors.New("disk"), WithCode(Usage, errors.New("flag"))), Usage},
	} {
		t.Run(name, func(t *testing.T) {
			if code := Code(test.err); code != test.want {
				t.Errorf("code is %d, want %d", code, test.want)
			}
		})
	}
}
