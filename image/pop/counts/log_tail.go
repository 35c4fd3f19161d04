package counts

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

const (
	// Bytes per read; a line has some 60.
	bufferSize = 64 << 10
	// Space is freed in steps of at least this size, so the file never holds much more.
	punchAfter = 256 << 10
	// A longer line is skipped.
	maxLineLength = 4 << 10
)

// logTail reads a file to which another process appends lines without end. It punches holes where it has read: that frees the blocks and keeps the file's
// length, so that reader and writer need not coordinate.
type logTail struct {
	path string
	file *os.File
	// Read up to offset, freed up to punched.
	offset, punched int64
	// The beginning of a line whose end is not written yet.
	partial []byte
	// Within a line that is too long.
	skipping bool
	buffer   []byte
}

// each calls use for every line that was completed since the last call. A missing file has none.
func (t *logTail) each(use func([]byte)) error {
	if t.file == nil {
		if err := t.open(); errors.Is(err, fs.ErrNotExist) {
			return nil
		} else if err != nil {
			return err
		}
	}
	if err := t.detectTruncation(); err != nil {
		return err
	}
	for {
		n, err := t.file.ReadAt(t.buffer, t.offset)
		t.offset += int64(n)
		t.split(t.buffer[:n], use)
		if errors.Is(err, io.EOF) {
			return t.punchHole()
		}
		if err != nil {
			return err
		}
	}
}

// open begins at the first data: an earlier process may have freed the space before it.
func (t *logTail) open() error {
	file, err := os.OpenFile(t.path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	start, err := unix.Seek(int(file.Fd()), 0, unix.SEEK_DATA)
	if errors.Is(err, unix.ENXIO) { // everything is freed
		start, err = file.Seek(0, io.SeekEnd)
	}
	if err != nil {
		return errors.Join(err, file.Close())
	}
	t.file, t.offset, t.punched = file, start, start
	t.buffer = make([]byte, bufferSize)
	return nil
}

func (t *logTail) detectTruncation() error {
	info, err := t.file.Stat()
	if err == nil && info.Size() < t.offset {
		t.offset, t.punched, t.partial, t.skipping = 0, 0, nil, false
	}
	return err
}

func (t *logTail) split(text []byte, use func([]byte)) {
	for {
		end := bytes.IndexByte(text, '\n')
		if end < 0 {
			break
		}
		line := text[:end]
		if len(t.partial) > 0 {
			line = append(t.partial, line...)
		}
		// The rest of a block that was freed in part reads as zeros.
		if line = bytes.TrimLeft(line, "\x00"); !t.skipping {
			use(line)
		}
		t.partial, t.skipping, text = t.partial[:0], false, text[end+1:]
	}
	if len(t.partial)+len(text) > maxLineLength {
		t.partial, t.skipping = t.partial[:0], true
		return
	}
	t.partial = append(t.partial, text...)
}

func (t *logTail) punchHole() error {
	if t.offset-t.punched < punchAfter {
		return nil
	}
	err := unix.Fallocate(int(t.file.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, t.punched, t.offset-t.punched)
	if errors.Is(err, unix.EOPNOTSUPP) {
		// A file system without holes: lines that were written since the last read are lost.
		if err = t.file.Truncate(0); err == nil {
			t.offset = 0
		}
	}
	if err == nil {
		t.punched = t.offset
	}
	return err
}
