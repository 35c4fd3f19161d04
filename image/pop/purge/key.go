package purge

import (
	"encoding/binary"
	"errors"
	"io"
	"os"
)

/*
A file of nginx's cache begins with a structure (ngx_http_file_cache_header_t, version 5), then "\nKEY: ", the key and a newline; there the origin's header
begins. On all machines of 64 bits that a PoP runs on it is laid out alike.
*/
const (
	headerVersion = 5
	// Offset of header_start, the end of the newline after the key.
	headerStartAt = 6*8 + 4 + 2
	headerSize    = 336
	keyMark       = "\nKEY: "
	// Enough for most keys.
	firstRead = 1 << 10
)

// readKey returns the key of a file. "": the file is not a cached response.
func readKey(path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	start := make([]byte, firstRead)
	read, err := file.ReadAt(start, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return "", err
	}
	end := keyEnd(start[:read])
	if end > read { // 64 KB at most
		start = make([]byte, end)
		if _, err := file.ReadAt(start, 0); err != nil && !errors.Is(err, io.EOF) {
			return "", err
		}
	}
	return keyIn(start, end), nil
}

// keyEnd is the offset of the newline after the key. 0: the file is not a cached response.
func keyEnd(start []byte) int {
	if len(start) < headerSize+len(keyMark) || binary.NativeEndian.Uint64(start) != headerVersion {
		return 0
	}
	return int(binary.NativeEndian.Uint16(start[headerStartAt:])) - 1
}

func keyIn(start []byte, end int) string {
	begin := headerSize + len(keyMark)
	if end < begin || end > len(start) || string(start[headerSize:begin]) != keyMark {
		return ""
	}
	return string(start[begin:end])
}
