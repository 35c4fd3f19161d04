package health

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

// minFreeShare is the share of free space and inodes below which a volume is nearly full.
const minFreeShare = 0.05

// volume is how much of the volume is in use.
type volume struct {
	sizeBytes, freeBytes float64
	// Bytes reserved for root, part of both the size and the free space.
	reservedBytes float64
	// Inodes, one per file and directory. Both are 0 on a file system that creates them as needed.
	inodes, freeInodes float64
}

// statVolume: https://man7.org/linux/man-pages/man3/statvfs.3.html
func statVolume(dir string) (volume, error) {
	var found unix.Statfs_t
	if err := unix.Statfs(dir, &found); err != nil {
		return volume{}, fmt.Errorf("cannot read how full the volume at %s is: %w", dir, err)
	}
	block := float64(found.Bsize)
	return volume{
		sizeBytes:     block * float64(found.Blocks),
		freeBytes:     block * float64(found.Bavail),
		reservedBytes: block * float64(found.Bfree-found.Bavail),
		inodes:        float64(found.Files),
		freeInodes:    float64(found.Ffree),
	}, nil
}

// shortage says what is nearly used up, what that means and what to do; nil if there is enough of both.
func (v volume) shortage() error {
	var shortages []string
	// Space reserved for root is not usable: no process that writes much runs as root.
	if size := v.sizeBytes - v.reservedBytes; v.freeBytes < minFreeShare*size {
		shortages = append(shortages, fmt.Sprintf("%.0f of %.0f MB are free", v.freeBytes/(1<<20), size/(1<<20)))
	}
	if v.freeInodes < minFreeShare*v.inodes {
		shortages = append(shortages, fmt.Sprintf("%.0f of %.0f inodes are free, and each file needs one", v.freeInodes, v.inodes))
	}
	if len(shortages) == 0 {
		return nil
	}
	return errors.New("the volume at /var is nearly full: " + strings.Join(shortages, "; ") +
		". On a full volume nothing new is cached or logged, and no new certificate is stored. Increase volumeGb, or remove files of luggage from /var/lib/luggage")
}
