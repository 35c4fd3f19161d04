/** Of all v4 addresses of apps: the whole of TEST-NET-3. */
export const anycastRange = "203.0.113.0/24";
