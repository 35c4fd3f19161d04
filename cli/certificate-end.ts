/** Certificates live for six days, for ninety, or longer: that one ends soon is said by the share of its lifetime that is left. As `pop health` says it (image/pop/acme/schedule.go). */
const share = 8;

/** Milliseconds of the epoch. Where its beginning is not known, a week is soon. */
export const endsSoon = ({ begins, ends }: { begins?: number | undefined; ends: number }, now: number): boolean =>
  ends - now < (begins === undefined ? 7 * 86_400_000 : (ends - begins) / share);

/** What is left in whole days, the last two days in hours. */
export function leftText(milliseconds: number): string {
  const hours = Math.floor(milliseconds / 3_600_000);
  return hours < 48 ? `${hours} h` : `${Math.floor(hours / 24)} d`;
}
