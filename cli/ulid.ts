/** Fly's versions are ULIDs, which contain their creation time. https://github.com/ulid/spec */
const digits = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/** Milliseconds since the epoch. Undefined: not a ULID. */
export function ulidTime(ulid: string): number | undefined {
  if (!/^[0-7][0-9A-HJKMNP-TV-Z]{25}$/i.test(ulid)) return undefined;
  return [...ulid.slice(0, 10).toUpperCase()].reduce((time, digit) => time * 32 + digits.indexOf(digit), 0);
}
