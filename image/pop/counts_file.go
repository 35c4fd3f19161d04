package main

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

const (
	// Read in pieces of this size; a line is some 60 bytes.
	pieceSize = 64 << 10
	// What was read is given back in steps of at least this size: the file never holds much more.
	giveBackAfter = 256 << 10
	// Longer than any line can be: without an end by then it is no line.
	longestLine = 4 << 10
)

// lineFile is a file that another process appends lines to for ever. What was read is punched out of it, which takes its blocks and leaves its length, so
// that nobody has to agree with the writer on a moment.
type lineFile struct {
	path string
	file *os.File
	// Up to here it was read, and given back.
	offset, freed int64
	// The start of a line whose end is not written yet.
	begun []byte
	// Beyond the longest line: passed over up to its end.
	overlong bool
	piece    []byte
}

// each calls use for every line that was completed since the last call. A file that is not there yet has none.
func (it *lineFile) each(use func([]byte)) error {
	if it.file == nil {
		if err := it.open(); errors.Is(err, fs.ErrNotExist) {
			return nil
		} else if err != nil {
			return err
		}
	}
	if err := it.noticeTruncation(); err != nil {
		return err
	}
	for {
		read, err := it.file.ReadAt(it.piece, it.offset)
		it.offset += int64(read)
		it.split(it.piece[:read], use)
		if errors.Is(err, io.EOF) {
			return it.giveBack()
		}
		if err != nil {
			return err
		}
	}
}

// open starts where there is something to read: an earlier process may have given the space before it back.
func (it *lineFile) open() error {
	file, err := os.OpenFile(it.path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	start, err := unix.Seek(int(file.Fd()), 0, unix.SEEK_DATA)
	if errors.Is(err, unix.ENXIO) { // nothing but what was given back
		start, err = file.Seek(0, io.SeekEnd)
	}
	if err != nil {
		return errors.Join(err, file.Close())
	}
	it.file, it.offset, it.freed = file, start, start
	it.piece = make([]byte, pieceSize)
	return nil
}

func (it *lineFile) noticeTruncation() error {
	found, err := it.file.Stat()
	if err == nil && found.Size() < it.offset {
		it.offset, it.freed, it.begun = 0, 0, nil
	}
	return err
}

func (it *lineFile) split(piece []byte, use func([]byte)) {
	for {
		end := bytes.IndexByte(piece, '\n')
		if end < 0 {
			break
		}
		line := piece[:end]
		if len(it.begun) > 0 {
			line = append(it.begun, line...)
		}
		// The rest of a block that was given back in part reads as zeros.
		if line = bytes.TrimLeft(line, "\x00"); !it.overlong {
			use(line)
		}
		it.begun, it.overlong, piece = it.begun[:0], false, piece[end+1:]
	}
	if len(it.begun)+len(piece) > longestLine {
		it.begun, it.overlong = it.begun[:0], true
		return
	}
	it.begun = append(it.begun, piece...)
}

func (it *lineFile) giveBack() error {
	if it.offset-it.freed < giveBackAfter {
		return nil
	}
	err := unix.Fallocate(int(it.file.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, it.freed, it.offset-it.freed)
	if errors.Is(err, unix.EOPNOTSUPP) {
		// A file system without holes: what is written between our last read and this is lost.
		if err = it.file.Truncate(0); err == nil {
			it.offset = 0
		}
	}
	if err == nil {
		it.freed = it.offset
	}
	return err
}
