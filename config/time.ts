/** Points in time as the stack file writes them: a date, which begins at midnight, or a time; both in UTC. */
const form = /^\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d)?Z)?$/;

/** Milliseconds of the epoch; undefined for what is none, such as the 30th of February. */
export function time(text: string): number | undefined {
  if (!form.test(text)) return undefined;
  const at = Date.parse(text);
  return Number.isNaN(at) || new Date(at).toISOString().slice(0, 10) !== text.slice(0, 10) ? undefined : at;
}

export const timeProblem = (text: string): string | undefined =>
  time(text) === undefined ? "takes a date or a time in UTC, as in 2027-02-27 or 2027-02-27T12:00:00Z" : undefined;
