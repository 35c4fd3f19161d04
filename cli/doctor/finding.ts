/** What a check found. */
export interface Finding {
  /** What was looked at. */
  name: string;
  /** `warning`: you can deploy. `skipped`: this stack does not need it, or it cannot be checked before another fault is fixed. */
  status: "ok" | "warning" | "failed" | "skipped";
  /** What was found. */
  detail: string;
  /** What to do. Only with `failed` and `warning`. */
  fix?: string;
}
