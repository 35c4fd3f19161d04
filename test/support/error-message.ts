/** What a failure says; "it succeeded" when there is none. */
export const errorMessage = (work: Promise<unknown>): Promise<string> =>
  work.then(
    () => "it succeeded",
    (error: Error) => error.message,
  );
