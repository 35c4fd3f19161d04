package main

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

// enoughFree is the share of space, and of inodes, below which a volume is nearly full.
const enoughFree = 0.05

// volume is how much of the volume is in use.
type volume struct {
	sizeBytes, freeBytes float64
	// Bytes reserved for root, part of both the size and the free space.
	reservedBytes float64
	// Inodes, one for each file and folder. Both are 0 on a file system that makes them as it needs them.
	inodes, freeInodes float64
}

// statVolume: https://man7.org/linux/man-pages/man3/statvfs.3.html
func statVolume(folder string) (volume, error) {
	var found unix.Statfs_t
	if err := unix.Statfs(folder, &found); err != nil {
		return volume{}, fmt.Errorf("cannot tell how full the volume at %s is: %w", folder, err)
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

// shortage says what the volume lacks, what that means and what to do; nil when it has room.
func (v volume) shortage() error {
	var lacks []string
	// Space reserved for root is not usable: no process that writes much runs as root.
	if size := v.sizeBytes - v.reservedBytes; v.freeBytes < enoughFree*size {
		lacks = append(lacks, fmt.Sprintf("%.0f of %.0f MB are free", v.freeBytes/(1<<20), size/(1<<20)))
	}
	if v.freeInodes < enoughFree*v.inodes {
		lacks = append(lacks, fmt.Sprintf("%.0f of %.0f inodes are free, and each file takes one", v.freeInodes, v.inodes))
	}
	if len(lacks) == 0 {
		return nil
	}
	return errors.New("the volume at /var is nearly full: " + strings.Join(lacks, "; ") +
		". Without room nothing new is cached or logged, and no new certificate is stored. Raise volumeGb, or remove what luggage left in /var/lib/luggage")
}
