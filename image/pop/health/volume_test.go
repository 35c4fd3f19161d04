package health

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func TestVolume(t *testing.T) {
	const mb, gb = 1 << 20, 1 << 30
	roomy := volume{sizeBytes: 3 * gb, freeBytes: 2 * gb, inodes: 196_608, freeInodes: 190_000}
	with := func(change func(*volume)) volume {
		found := roomy
		change(&found)
		return found
	}
	for name, test := range map[string]struct {
		atBoot string
		now    volume
		err    error
		status string
		says   []string
	}{
		"room":             {"", roomy, nil, ok, nil},
		"just enough":      {"", with(func(v *volume) { v.sizeBytes, v.freeBytes = 1000*mb, 50*mb }), nil, ok, nil},
		"nearly full":      {"", with(func(v *volume) { v.sizeBytes, v.freeBytes = 1000*mb, 49*mb }), nil, degraded, []string{"49 of 1000 MB are free", "Increase volumeGb"}},
		"full":             {"", with(func(v *volume) { v.freeBytes = 0 }), nil, degraded, []string{"0 of 3072 MB are free"}},
		"no inodes":        {"", with(func(v *volume) { v.freeInodes = 9_000 }), nil, degraded, []string{"9000 of 196608 inodes are free"}},
		"neither":          {"", with(func(v *volume) { v.freeBytes, v.freeInodes = 0, 0 }), nil, degraded, []string{"0 of 3072 MB", "0 of 196608 inodes"}},
		"inodes as needed": {"", with(func(v *volume) { v.inodes, v.freeInodes = 0, 0 }), nil, ok, nil},
		// 5 % of the volume, as mkfs.ext4 reserves, is not usable, and is not a shortage.
		"reserved for root": {"", with(func(v *volume) { v.sizeBytes, v.reservedBytes, v.freeBytes = 1000*mb, 50*mb, 48*mb }), nil, ok, nil},
		"unknown":           {"", volume{}, errors.New("input/output error"), degraded, []string{"input/output error"}},
		"bad at boot":       {"cannot write to /var\n", roomy, nil, degraded, []string{"cannot write to /var"}},
		"bad, and full":     {"memory stands in for it\n", with(func(v *volume) { v.freeBytes = 0 }), nil, degraded, []string{"memory stands in for it. Also: the volume", "0 of 3072 MB"}},
	} {
		t.Run(name, func(t *testing.T) {
			h := popWith(t, fine)
			write(t, h, "volume", test.atBoot)
			h.volume = func() (volume, error) { return test.now, test.err }
			status, seen := get(t, h, "GET", "/healthz")
			found := seen.Components["volume"]
			if status != 200 || found.Status != test.status || (found.Reason == "") != (test.status == ok) {
				t.Errorf("%d %+v", status, found)
			}
			for _, words := range test.says {
				if !strings.Contains(found.Reason, words) {
					t.Errorf("%q is not in %q", words, found.Reason)
				}
			}
		})
	}
}

func TestAFullVolumeIsReportedWhenItHappens(t *testing.T) {
	h := popWith(t, fine)
	free := 2.0 * (1 << 30)
	h.volume = func() (volume, error) { return volume{sizeBytes: 3 << 30, freeBytes: free}, nil }
	at := now
	for _, step := range []struct {
		free   float64
		status string
	}{{1 << 30, ok}, {0, degraded}, {1 << 30, ok}} {
		free, at = step.free, at.Add(freshFor)
		h.now = func() time.Time { return at }
		if _, seen := get(t, h, "GET", "/healthz"); seen.Components["volume"].Status != step.status {
			t.Errorf("with %g bytes free: %+v", step.free, seen.Components["volume"])
		}
	}
}

func TestTheVolumeOfThisMachine(t *testing.T) {
	found, err := statVolume(t.TempDir())
	if err != nil || found.sizeBytes <= 0 || found.freeBytes <= 0 || found.freeBytes > found.sizeBytes || found.reservedBytes < 0 {
		t.Errorf("%+v %v", found, err)
	}
	if _, err := statVolume("/nowhere"); err == nil || !strings.Contains(err.Error(), "the volume at /nowhere") {
		t.Errorf("%v", err)
	}
}
