/**
 * Certificates are valid for six days, ninety days or longer, so "expires soon" means less than this share of the lifetime, 1/8, is left. As in `pop
 * health` (image/pop/acme/schedule.go).
 */
const share = 8;

/** Times in milliseconds since the epoch. If the start is unknown, a week before the end is soon. */
export const endsSoon = ({ begins, ends }: { begins?: number | undefined; ends: number }, now: number): boolean =>
  ends - now < (begins === undefined ? 7 * 86_400_000 : (ends - begins) / share);

/** Remaining time in whole days, or in hours for the last two days. */
export function leftText(milliseconds: number): string {
  const hours = Math.floor(milliseconds / 3_600_000);
  return hours < 48 ? `${hours} h` : `${Math.floor(hours / 24)} d`;
}
