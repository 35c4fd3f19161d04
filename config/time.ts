/** Points in time as the stack file writes them: a date, which begins at midnight, or a time; both in UTC. */
const form = /^\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d)?Z)?$/;

/** What Pulumi's CLI makes of one without quotes, in the file and for programs: Go's own way to write it. */
const written = /^(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d) \+0000 UTC$/;

/** Milliseconds of the epoch; undefined for a date that does not exist, such as the 30th of February. */
export function time(text: string): number | undefined {
  const plain = text.replace(written, "$1T$2Z");
  if (!form.test(plain)) return undefined;
  const at = Date.parse(plain);
  return Number.isNaN(at) || new Date(at).toISOString().slice(0, 10) !== plain.slice(0, 10) ? undefined : at;
}

export const timeProblem = (text: string): string | undefined =>
  time(text) === undefined ? "expected a date or a time in UTC, as in 2027-02-27 or 2027-02-27T12:00:00Z" : undefined;
