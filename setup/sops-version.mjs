/** The oldest sops that will do, [major, minor]: older ones know no SSH key as a recipient. */
export const minSopsVersion = [3, 10];
