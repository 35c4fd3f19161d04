package main

import "golang.org/x/sys/unix"

// volume is how much of the volume is in use.
type volume struct {
	sizeBytes, freeBytes float64
}

func statVolume(folder string) (volume, error) {
	var found unix.Statfs_t
	if err := unix.Statfs(folder, &found); err != nil {
		return volume{}, err
	}
	block := float64(found.Bsize)
	return volume{sizeBytes: block * float64(found.Blocks), freeBytes: block * float64(found.Bavail)}, nil
}
