/** What a check found. */
export interface Finding {
  /** What was looked at. */
  name: string;
  /** `warning`: good enough to deploy. `skipped`: not needed by this stack, or not to be seen before something else is fixed. */
  status: "ok" | "warning" | "failed" | "skipped";
  /** What was found. */
  detail: string;
  /** What to do. Only with `failed` and `warning`. */
  fix?: string;
}
