/**
 * Environment variables that tell `pop health` (image/pop/health/image.go) which build context the image was made from and which one the machine expects. They
 * need different names: a machine's variable overrides an image's variable of the same name, so with one name both would always agree.
 */
export const contextVariables = {
  /** Set by the image: the digest of the context it was made from, hex. */
  own: "POP_CONTEXT",
  /** Set by the machine's config: the digest that the image should have. Absent: any image is accepted. */
  expected: "POP_EXPECTED_CONTEXT",
};
