import { expect, test } from "vitest";
import { archiveOf } from "../../../setup/apt.mjs";

test.each([
  ["a line", "deb http://mirror.example/debian bookworm main\n", "http://mirror.example/debian"],
  ["a line with options", "deb [signed-by=/x.gpg arch=amd64] http://m/debian bookworm main", "http://m/debian"],
  ["security alone is not an archive", "deb http://s/debian-security bookworm-security main", undefined],
  ["a commented line", "# deb http://m/debian bookworm main", undefined],
  ["another release", "deb http://m/debian trixie main", undefined],
  [
    "a stanza",
    "Types: deb\nURIs: http://s\nSuites: bookworm-security\n\nTypes: deb\nURIs: http://m/debian\nSuites: bookworm bookworm-updates\n",
    "http://m/debian",
  ],
])("the archive of apt's sources: %s", (_, text, archive) => {
  expect(archiveOf(["", text], "bookworm")).toBe(archive);
});
