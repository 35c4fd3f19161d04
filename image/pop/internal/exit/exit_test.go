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
		"nothing, coded":    {With(Refused, nil), 0},
		"any error":         {errors.New("disk"), Again},
		"coded":             {With(Mistake, errors.New("flag")), Mistake},
		"coded and wrapped": {fmt.Errorf("secrets: %w", With(Refused, errors.New("key"))), Refused},
		"joined":            {errors.Join(errors.New("disk"), With(Mistake, errors.New("flag"))), Mistake},
	} {
		t.Run(name, func(t *testing.T) {
			if code := Code(test.err); code != test.want {
				t.Errorf("code is %d, want %d", code, test.want)
			}
		})
	}
}
