/** Fly's own registry. It takes the API token as the password of user `x`. */
export const flyRegistry = "registry.fly.io";
